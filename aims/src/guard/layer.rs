//! The guard as a tower layer over any body.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use aims_error::ErrorKind;
use aims_http_sig::digest::BodyError;
use http::request::Parts;
use http::{Request, Response, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use tower_layer::Layer;
use tower_service::Service;

use super::admission::{Admission, within};
pub use super::body::ResponseBody;
pub use super::content::RequestBody;
use super::evidence::{UnspentProof, http_signature};
use super::post_admission::{AdmittedRequest, CONTENT_UNREAD, head_of};
use super::received::Received;
use super::refused::Refused;
use super::signed::Unsignable;
use super::{Deferred, Guard, Signatures};
use crate::principal::Principal;
use crate::refusal::{Answer, Refusal};

impl<M> Guard<M> {
    /// A layer that passes on what this guard admits, with the [`Principal`] in the request's
    /// extensions, and answers everything else itself. Where the guard has
    /// [metadata](super::GuardBuilder::metadata), it answers requests for that as well.
    ///
    /// The head of a request is judged, and the content where an accepted proof covers it: up to
    /// 64 KiB before the service is called, beyond that while it is read, with an error in place of
    /// its end. The layer waits for the content for at most the
    /// [deadline](super::HttpSignatures::with_content_deadline). A content that no proof covers
    /// passes unread. Responses stream, except where the caller demands a signed response: that is
    /// read whole, signed, and answered with 501 instead where it cannot be signed. Mark a route
    /// whose responses have no end by [`Requirements::streams`](crate::Requirements::streams). What
    /// is found out after a request was accepted is told to the seam *record* by an event of its
    /// own.
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
    /// A handler there that takes a [`Principal`] is never reached, and answers 500; one that takes
    /// none is open to everybody. So add the layer last, and let handlers take a `Principal`.
    ///
    /// A proof is about the URI by which the tool was called. Within axum's `nest` a layer sees a
    /// path without the prefix of the nest: with the feature `axum` it judges by the URI that the
    /// request came with all the same (axum's `OriginalUri`), and the service gets the shorter one.
    /// Whatever else takes a prefix off must stand within this layer: outside of it, every proof is
    /// refused, with `wpt.audience` or `sig.audience`.
    #[must_use]
    pub fn layer(&self) -> GuardLayer {
        GuardLayer(self.deferred())
    }
}

impl Guard<Deferred> {
    async fn admit_request<B: Body>(
        &self,
        request: Request<B>,
    ) -> Result<(Admitted<B>, Principal), Refusal> {
        let (mut parts, body) = request.into_parts();
        let routed = came_by(&mut parts);
        let mut admission = Admission::new(Received::later(&parts));
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
                compared(&mut admission, content)
            }
            None => Some(RequestBody::uncovered(body)),
        };
        let principal = self.conclude(admission, now).await?;
        let mut content = content.ok_or_else(|| content_unread().refusal)?;
        content.admitted_by(|| AdmittedRequest::new(self, &parts, &principal));
        // The response is signed over the request as it came.
        let signs = self.signs_response_to(&principal);
        let came = signs.then(|| head_of(&parts));
        parts.uri = routed;
        let request = Request::from_parts(parts, content);
        Ok((Admitted { request, came }, principal))
    }

    /// Reads a response whole and signs it.
    async fn signed<R>(
        &self,
        request: &Parts,
        principal: &Principal,
        response: Response<R>,
    ) -> Result<Response<ResponseBody<R>>, Refusal>
    where
        R: Body,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let unsigned = |why| self.unsignable(request, principal, why, self.inner.clock.now());
        let most = self.inner.signatures.as_ref();
        let most = most.map_or(0, Signatures::max_answer);
        let (mut parts, body) = response.into_parts();
        let content = Limited::new(Box::pin(body), most).collect().await;
        let content = content.map_err(|error| unsigned(Unsignable::of(error.as_ref())))?;
        if content.trailers().is_some() {
            return Err(unsigned(Unsignable("the response has trailers".to_owned())));
        }
        let content = content.to_bytes();
        parts.headers.remove(header::TRANSFER_ENCODING);
        let now = self.inner.clock.now();
        self.sign_response_waiting(request, principal, &mut parts, &content, now)
            .await?;
        Ok(Response::from_parts(
            parts,
            ResponseBody::guard(content.to_vec()),
        ))
    }
}

/// A request for the inner service, and where its response is to be signed, the head that this is
/// about.
struct Admitted<B> {
    request: Request<RequestBody<B>>,
    came: Option<Parts>,
}

/// What came of the comparison goes into the admission.
fn compared<B, E>(
    admission: &mut Admission<'_>,
    content: Option<Result<RequestBody<B>, BodyError<E>>>,
) -> Option<RequestBody<B>> {
    let refused = match content {
        Some(Ok(content)) => return Some(content),
        Some(Err(BodyError::Digest(error))) => http_signature::refused(&error),
        Some(Err(_body)) => content_unread(),
        None => Refused::new(
            "guard.content_deadline",
            ErrorKind::Unavailable,
            Answer::Timeout,
            "the content of the signed request did not come in time",
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
        Answer::Problem(CONTENT_UNREAD),
        CONTENT_UNREAD,
    )
}

/// See [`Guard::layer`].
#[derive(Clone, Debug)]
pub struct GuardLayer(Guard<Deferred>);

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            guard: self.0.clone(),
            inner,
        }
    }
}

/// A service behind a guard.
#[derive(Clone)]
pub struct Guarded<S> {
    guard: Guard<Deferred>,
    inner: S,
}

impl<S> fmt::Debug for Guarded<S> {
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
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let guard = self.guard.clone();
        // The service that was asked whether it is ready is the one that is called.
        let fresh = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            if let Some(metadata) = guard.metadata_response(&request) {
                return Ok(metadata.map(ResponseBody::guard));
            }
            let refused = |it: Refusal| it.into_response().map(ResponseBody::guard);
            let (Admitted { mut request, came }, principal) =
                match guard.admit_request(request).await {
                    Ok(admitted) => admitted,
                    Err(refusal) => return Ok(refused(refusal)),
                };
            request.extensions_mut().insert(principal.clone());
            let response = inner.call(request).await?;
            let Some(came) = came else {
                return Ok(response.map(ResponseBody::service));
            };
            let signed = guard.signed(&came, &principal, response).await;
            Ok(signed.unwrap_or_else(refused))
        })
    }
}

/// Gives a request the URI again that it came with, and takes the one that a router has made of it.
pub(super) fn came_by(request: &mut Parts) -> Uri {
    let came = original(&request.extensions).unwrap_or_else(|| request.uri.clone());
    mem::replace(&mut request.uri, came)
}

/// Set by axum's outermost router, by nothing that a caller sends.
#[cfg(feature = "axum")]
pub(super) fn original(extensions: &http::Extensions) -> Option<Uri> {
    let original = extensions.get::<axum::extract::OriginalUri>();
    original.map(|it| it.0.clone())
}

#[cfg(not(feature = "axum"))]
pub(super) const fn original(_: &http::Extensions) -> Option<Uri> {
    None
}
