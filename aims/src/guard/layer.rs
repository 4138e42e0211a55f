//! The guard as a tower layer for services with any body.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aims_error::ErrorKind;
use aims_http_sig::digest::BodyError;
use aims_oauth_wire::dpop::{DPOP_NONCE, Nonce};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::admission::{Admission, within};
pub use super::body::ResponseBody;
pub use super::content::{RequestBody, RequestBodyError};
use super::ending::Ending;
pub use super::ending::StreamEnded;
use super::evidence::{UnspentProof, http_signature};
use super::lifetime::Lifetime;
use super::post_admission::{AdmittedRequest, CONTENT_UNREAD};
use super::received::ReceivedRequest;
use super::refused::Refused;
use super::{Deferred, Guard, Signatures, upgrade};
use crate::principal::Principal;
use crate::refusal::{ErrorResponse, GRPC, Refusal};

impl<M> Guard<M> {
    /// Returns a tower layer that passes on the requests that this guard accepts, and answers all
    /// others.
    ///
    /// It inserts the [`Principal`] into the extensions of an accepted request.
    /// If the guard has [metadata](super::GuardBuilder::metadata), the layer also answers requests
    /// for that.
    ///
    /// ```
    /// # fn example(guard: aims::Guard) -> axum::Router {
    /// use aims::Principal;
    /// use axum::{Router, routing::post};
    ///
    /// async fn call(who: Principal, arguments: String) -> String {
    ///     format!("{} sent {arguments}", who.subject())
    /// }
    ///
    /// Router::new().route("/mcp/call", post(call)).layer(guard.layer())
    /// # }
    /// ```
    ///
    /// # Content
    ///
    /// The layer verifies the head of a request. If an accepted proof covers the content, it also
    /// compares the content: up to 64 KiB before it calls the service, the rest while the service
    /// reads it. If the rest differs, the body ends with an error. The layer waits for the first
    /// part for at most the [deadline](super::HttpSignatures::with_content_deadline). It does not
    /// read a content that no proof covers.
    ///
    /// # Responses
    ///
    /// Responses stream, unless the caller demands a signed response.
    ///
    /// # Streams
    ///
    /// The body of a request and that of its response end with [`StreamEnded`] when a credential of
    /// the request is revoked. On a route that requires scopes or other rights, they also end when
    /// the first credential expires, after the clock skew. The issuer of an opaque token is asked
    /// again when its answer is as old as the ceiling
    /// ([`OpaqueTokens::ceiling`](super::OpaqueTokens::ceiling)); nothing is passed on meanwhile.
    /// The streams end if it does not answer, or if the route does not accept the token any longer.
    ///
    /// The guard cannot end a connection that has changed its protocol, such as one of WebSocket.
    /// It refuses such a request with 403 and `guard.upgrade`.
    ///
    /// [`Requirements::outlive_credentials`](crate::Requirements::outlive_credentials) permits
    /// streams that do not end, and other protocols.
    ///
    /// # Signed responses
    ///
    /// If a signed response is demanded, the layer reads the
    /// response completely and signs it; the key may be in a device or behind a network. If the
    /// response cannot be signed, or does not end within the
    /// [deadline](super::HttpSignatures::with_response_deadline), the answer is 501. Mark routes
    /// with endless responses by [`Requirements::streams`](crate::Requirements::streams).
    ///
    /// A failure after a request was accepted is a separate event for the
    /// [`Record`](crate::record::Record).
    ///
    /// # gRPC
    ///
    /// The layer guards gRPC services, such as those of tonic, if it is outside of them. It answers
    /// a refused call with `grpc-status` and no content. A streaming call is accepted with a proof
    /// that covers no content (workload proof token, DPoP, mutual TLS) or a bearer token; an HTTP
    /// signature covers a content that is complete.
    ///
    /// # Which routes are guarded
    ///
    /// Everything inside the layer is guarded. axum's `Router::layer` wraps all routes, nested and
    /// merged routers, services and the fallback that the router has at that moment, for every
    /// method. In axum, these are outside of it:
    ///
    /// - what is added later with `route`, `merge`, `nest` or `fallback`;
    /// - the fallback, if the layer is added with `route_layer`, or to one nested router or one
    ///   method router.
    ///
    /// Outside the layer, a handler that takes a `Principal` answers 500 and is never called. A
    /// handler without a `Principal` is open to everyone. So add the layer last, and take a
    /// `Principal` in each handler.
    ///
    /// # Nested routers
    ///
    /// A proof is about the URI by which the tool was called. Inside axum's `nest`, a layer sees
    /// the path without the prefix. With the feature `axum`, the guard verifies the original URI
    /// (axum's `OriginalUri`), and the service gets the shortened one. Any other code that removes
    /// a prefix must be inside this layer. If it is outside, the guard refuses every proof with
    /// `wpt.audience` or `sig.audience`.
    #[must_use]
    pub fn layer(&self) -> GuardLayer {
        GuardLayer::new(self.deferred())
    }
}

impl Guard<Deferred> {
    async fn admit_request<B: Body>(
        &self,
        request: Request<B>,
    ) -> Result<AdmittedCall<B>, Refusal> {
        let (mut parts, body) = request.into_parts();
        let routed = restore_original_uri(&mut parts);
        let mut admission = Admission::new(ReceivedRequest::with_content_to_come(&parts));
        let mut now = self.verify_fresh(&mut admission).await;
        let check = admission.unspent().iter().find_map(UnspentProof::content);
        let content = match check {
            Some(check) => {
                let (most, deadline) = self
                    .inner
                    .signatures
                    .as_ref()
                    .map_or_else(Default::default, |it: &Signatures| {
                        (it.max_content(), it.content_deadline())
                    });
                let covered = RequestBody::covered(body, check.digest(), most);
                let content = within(deadline, covered).await;
                // Read the clock again: a slow sender is judged by the time when its content has
                // arrived.
                now = self.inner.clock.now();
                if !admission.is_refused()
                    && let Err(refused) = self.still_good(&admission, now)
                {
                    admission.refuse(refused);
                }
                compared(&mut admission, content, deadline)
            }
            None => Some(RequestBody::uncovered(body)),
        };
        let admitted = self.conclude(admission, now).await?;
        let mut content = content.ok_or_else(|| content_unread().refusal)?;
        let principal = admitted.principal.clone();
        let signs = self.signature_to_answer(&principal).is_some();
        let lifetime = self.stream_end();
        let lifetime = lifetime.map(|it| Lifetime::new(self, it, &parts, &principal));
        let ends = lifetime.is_some();
        let mut kept = None;
        if signs {
            // The response is signed over the request as it arrived.
            kept = Some(AdmittedRequest::new(self, &parts, admitted));
        } else if ends || content.has_more_to_compare() {
            kept = Some(AdmittedRequest::brief(self, &parts, admitted));
        }
        let kept = kept.map(|it| Arc::new(it.with_lifetime(lifetime)));
        if let Some(kept) = &kept {
            content.admitted_by(kept);
        }
        let watched = kept.clone().filter(|_| ends);
        if let Some(watched) = &watched {
            content.set_ending(Ending::new(Arc::clone(watched)));
        }
        parts.uri = routed;
        self.strip(&mut parts.headers, &principal);
        let nonce = next_nonce(&principal);
        parts.extensions.insert(principal);
        let request = Request::from_parts(parts, content);
        Ok(AdmittedCall {
            request,
            nonce,
            to_sign: kept.filter(|_| signs),
            watched,
        })
    }
}

/// A request for the inner service, and the data to sign its response if that is required.
struct AdmittedCall<B> {
    request: Request<RequestBody<B>>,
    /// The value of `DPoP-Nonce` in the response.
    nonce: Option<HeaderValue>,
    to_sign: Option<Arc<AdmittedRequest>>,
    /// The request, if its streams end with its credentials.
    watched: Option<Arc<AdmittedRequest>>,
}

/// Refuses a response that switches protocols, where streams end.
pub(super) fn switched<R>(
    watched: Option<&AdmittedRequest>,
    response: &Response<R>,
) -> Option<Refusal> {
    let watched = watched?;
    let refused = upgrade::switched(response.status())?;
    Some(watched.refuse(refused))
}

/// Stores the result of the comparison in the admission.
fn compared<B, E>(
    admission: &mut Admission<'_>,
    content: Option<Result<RequestBody<B>, BodyError<E>>>,
    deadline: Duration,
) -> Option<RequestBody<B>> {
    let refused = match content {
        Some(Ok(content)) => return Some(content),
        Some(Err(BodyError::Digest(error))) => http_signature::refused(&error),
        Some(Err(_body)) => content_unread(),
        None => Refused::new(
            "guard.content_deadline",
            ErrorKind::Unavailable,
            ErrorResponse::Timeout,
            format!(
                "the content of the signed request did not come within {} s; call `HttpSignatures::with_content_deadline` for slower senders",
                deadline.as_secs()
            ),
        ),
    };
    admission.refuse(refused);
    None
}

/// Refuses a content that did not arrive completely.
pub(super) fn content_unread() -> Refused {
    Refused::new(
        "guard.content",
        ErrorKind::Malformed,
        ErrorResponse::Problem(CONTENT_UNREAD),
        CONTENT_UNREAD,
    )
}

/// Mode of a layer that verifies the head of a request, and the content if a proof covers it.
#[derive(Debug)]
#[non_exhaustive]
pub struct HeadAndContent;

/// A tower layer that verifies requests. Created by [`Guard::layer`].
#[derive(Debug)]
pub struct GuardLayer<J = HeadAndContent> {
    guard: Guard<Deferred>,
    judges: PhantomData<fn() -> J>,
}

impl<J> GuardLayer<J> {
    pub(super) const fn new(guard: Guard<Deferred>) -> Self {
        let judges = PhantomData;
        Self { guard, judges }
    }
}

impl<J> Clone for GuardLayer<J> {
    fn clone(&self) -> Self {
        Self::new(self.guard.clone())
    }
}

impl<S, J> Layer<S> for GuardLayer<J> {
    type Service = Guarded<S, J>;

    fn layer(&self, inner: S) -> Guarded<S, J> {
        Guarded {
            guard: self.guard.clone(),
            inner,
            judges: PhantomData,
        }
    }
}

/// A service behind a guard.
pub struct Guarded<S, J = HeadAndContent> {
    guard: Guard<Deferred>,
    inner: S,
    judges: PhantomData<fn() -> J>,
}

impl<S, J> Guarded<S, J> {
    pub(super) const fn guard(&self) -> &Guard<Deferred> {
        &self.guard
    }

    pub(super) const fn service(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the guard and the service whose `poll_ready` was called.
    pub(super) fn take_ready(&mut self) -> (Guard<Deferred>, S)
    where
        S: Clone,
    {
        let fresh = self.inner.clone();
        (self.guard.clone(), mem::replace(&mut self.inner, fresh))
    }
}

impl<S: Clone, J> Clone for Guarded<S, J> {
    fn clone(&self) -> Self {
        Self {
            guard: self.guard.clone(),
            inner: self.inner.clone(),
            judges: PhantomData,
        }
    }
}

impl<S, J> fmt::Debug for Guarded<S, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
    R: Body + Send,
    R::Data: Send,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service().poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (guard, mut inner) = self.take_ready();
        Box::pin(async move {
            let origin = guard.allowed_origin(request.headers());
            let is_grpc = is_grpc(request.method(), request.version(), request.headers());
            let refused = |it: Refusal| answer(it, is_grpc).map(ResponseBody::guard);
            let mut response = match guard.public_response(&request, origin.as_ref()) {
                Some(public) => public.map(ResponseBody::guard),
                None => match guard.admit_request(request).await {
                    Ok(admitted) => {
                        let response = inner.call(admitted.request).await?;
                        let watched = admitted.watched;
                        let mut response =
                            match (switched(watched.as_deref(), &response), admitted.to_sign) {
                                (Some(refusal), _) => refused(refusal),
                                (None, None) => {
                                    let is_grpc = is_grpc && has_grpc_content(response.headers());
                                    let ending = watched.map(|it| Ending::new(it).of_grpc(is_grpc));
                                    response.map(|it| {
                                        ResponseBody::service(it).ending(ending.map(Box::new))
                                    })
                                }
                                // A signed response does not stream.
                                (None, Some(request)) => {
                                    request.sign(response).await.unwrap_or_else(refused)
                                }
                            };
                        add_nonce(&mut response, admitted.nonce);
                        response
                    }
                    Err(refusal) => refused(refusal),
                },
            };
            guard.expose(&mut response, origin);
            Ok(response)
        })
    }
}

/// Returns a nonce for the sender's next DPoP proof if the one of this request ends soon (RFC 9449
/// §8.2).
pub(super) fn next_nonce(principal: &Principal) -> Option<HeaderValue> {
    let proof = principal.dpop()?;
    proof.next_nonce().map(Nonce::to_header_value)
}

impl<M> Guard<M> {
    /// Removes the fields that handlers must not read or forward: those of client certificates, the
    /// accepted access token, and where streams end, an offer of another protocol.
    pub(super) fn strip(&self, headers: &mut HeaderMap, principal: &Principal) {
        if let Some(certificates) = &self.inner.certificates {
            certificates.strip(headers);
        }
        if self.stream_end().is_some() {
            upgrade::strip(headers);
        }
        if principal.access_token().is_some() && !self.inner.passes_token {
            headers.remove(header::AUTHORIZATION);
        }
    }
}

/// Returns whether a request is a call of gRPC: a `POST` over HTTP/2 with its content type.
///
/// Any other request gets a status of HTTP, which a proxy that asks the guard (`auth_request` of
/// nginx) decides by.
pub(super) fn is_grpc(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    *method == Method::POST && version == Version::HTTP_2 && has_grpc_content(headers)
}

/// Returns whether the content type is `application/grpc`, with or without a format such as
/// `+proto`.
fn has_grpc_content(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let rest = value.and_then(|it| it.as_bytes().strip_prefix(GRPC.as_bytes()));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Returns the answer to a refused request, in the form of its protocol.
pub(super) fn answer<B: From<Vec<u8>>>(refusal: Refusal, is_grpc: bool) -> Response<B> {
    if is_grpc {
        refusal.into_grpc_response()
    } else {
        refusal.into_response()
    }
}

pub(super) fn add_nonce<B>(response: &mut Response<B>, nonce: Option<HeaderValue>) {
    if let Some(nonce) = nonce {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
}

/// Restores the URI that the client sent, and returns the one that a router has shortened.
pub(super) fn restore_original_uri(request: &mut Parts) -> Uri {
    let original = original_uri(&request.extensions).unwrap_or_else(|| request.uri.clone());
    mem::replace(&mut request.uri, original)
}

/// Returns the URI that axum's outermost router has stored. Callers cannot set it.
#[cfg(feature = "axum")]
pub(super) fn original_uri(extensions: &http::Extensions) -> Option<Uri> {
    let original = extensions.get::<axum::extract::OriginalUri>();
    original.map(|it| it.0.clone())
}

#[cfg(not(feature = "axum"))]
pub(super) const fn original_uri(_: &http::Extensions) -> Option<Uri> {
    None
}
