//! The guard as a tower layer over any body.

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
use http::request::Parts;
use http::{Request, Response, Uri};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::admission::{Admission, within};
pub use super::body::ResponseBody;
pub use super::content::RequestBody;
use super::evidence::{UnspentProof, http_signature};
use super::post_admission::{AdmittedRequest, CONTENT_UNREAD};
use super::received::ReceivedRequest;
use super::refused::Refused;
use super::{Deferred, Guard, Signatures};
use crate::refusal::{ErrorResponse, Refusal};

impl<M> Guard<M> {
    /// A layer that passes on what this guard admits, with the [`Principal`](crate::Principal) in
    /// the request's extensions, and answers everything else itself. Where the guard has
    /// [metadata](super::GuardBuilder::metadata), it answers requests for that as well.
    ///
    /// The head of a request is judged, and the content where an accepted proof covers it: up to
    /// 64 KiB before the service is called, beyond that while it is read, with an error in place of
    /// its end. The layer waits for the content for at most the
    /// [deadline](super::HttpSignatures::with_content_deadline). A content that no proof covers
    /// passes unread. Responses stream, except where the caller demands a signed response: that is
    /// read whole and signed, by a key that may be behind a device or a network. Where it cannot be
    /// signed, or its content does not end within the
    /// [deadline](super::HttpSignatures::with_response_deadline), the answer is 501 instead. Mark a
    /// route whose responses have no end by
    /// [`Requirements::streams`](crate::Requirements::streams). What is found out after a request
    /// was accepted goes to the [`Record`](crate::record::Record) as an event of its own.
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
    /// Whatever is routed within the layer is guarded: with axum's `Router::layer`, the routes,
    /// nested and merged routers, services and the fallback that the router has at that moment, for
    /// every method, also where none of them fits. By axum's nature these are not within it:
    ///
    /// - what is added after it: `route`, `merge`, `nest`, `fallback`;
    /// - the fallback, where the layer is added by `route_layer`, or to one nested router or one
    ///   method router.
    ///
    /// A handler there that takes a `Principal` is never reached, and answers 500; one that takes
    /// none is open to everybody. So add the layer last, and let handlers take a `Principal`.
    ///
    /// A proof is about the URI by which the tool was called. Within axum's `nest` a layer sees a
    /// path without the prefix of the nest: with the feature `axum` it judges by the URI that the
    /// request came with all the same (axum's `OriginalUri`), and the service gets the shorter one.
    /// Whatever else takes a prefix off must stand within this layer: outside of it, every proof is
    /// refused, with `wpt.audience` or `sig.audience`.
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
                // A slow sender is judged by the time when it has sent.
                now = self.inner.clock.now();
                if !admission.is_refused()
                    && let Err(refused) = self.still_good(admission.received, now)
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
        let mut to_sign = None;
        if signs || content.has_more_to_compare() {
            // The response is signed over the request as it came.
            let admitted = Arc::new(AdmittedRequest::new(self, &parts, admitted));
            content.admitted_by(&admitted);
            to_sign = signs.then_some(admitted);
        }
        parts.uri = routed;
        parts.extensions.insert(principal);
        let request = Request::from_parts(parts, content);
        Ok(AdmittedCall { request, to_sign })
    }
}

/// A request for the inner service, and where its response is to be signed, what it answers.
struct AdmittedCall<B> {
    request: Request<RequestBody<B>>,
    to_sign: Option<Arc<AdmittedRequest>>,
}

/// Puts the outcome of the comparison into the admission.
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

/// A content that did not come to its end.
fn content_unread() -> Refused {
    Refused::new(
        "guard.content",
        ErrorKind::Malformed,
        ErrorResponse::Problem(CONTENT_UNREAD),
        CONTENT_UNREAD,
    )
}

/// The guard judges the head of a request, and the content where a proof covers it.
#[derive(Debug)]
#[non_exhaustive]
pub struct HeadAndContent;

/// See [`Guard::layer`].
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
    pub(super) const fn service(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The guard, and the service that was asked whether it is ready, which is the one to call.
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
            if let Some(metadata) = guard.metadata_response(&request) {
                return Ok(metadata.map(ResponseBody::guard));
            }
            let refused = |it: Refusal| it.into_response().map(ResponseBody::guard);
            let admitted = match guard.admit_request(request).await {
                Ok(admitted) => admitted,
                Err(refusal) => return Ok(refused(refusal)),
            };
            let response = inner.call(admitted.request).await?;
            Ok(match admitted.to_sign {
                None => response.map(ResponseBody::service),
                Some(request) => request.sign(response).await.unwrap_or_else(refused),
            })
        })
    }
}

/// Puts the URI back that the client sent, and returns the one that a router made of it.
pub(super) fn restore_original_uri(request: &mut Parts) -> Uri {
    let original = original_uri(&request.extensions).unwrap_or_else(|| request.uri.clone());
    mem::replace(&mut request.uri, original)
}

/// Set by axum's outermost router, by nothing that a caller sends.
#[cfg(feature = "axum")]
pub(super) fn original_uri(extensions: &http::Extensions) -> Option<Uri> {
    let original = extensions.get::<axum::extract::OriginalUri>();
    original.map(|it| it.0.clone())
}

#[cfg(not(feature = "axum"))]
pub(super) const fn original_uri(_: &http::Extensions) -> Option<Uri> {
    None
}
