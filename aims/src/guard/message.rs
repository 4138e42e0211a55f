//! The guard as a tower layer for whole messages: requests with their content, and responses that
//! are signed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use aims_http_sig::digest::BodyError;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use tower_layer::Layer;
use tower_service::Service;

pub use super::content::Content;
use super::judge::{Examined, Part, content_unread, signature_refused};
use super::layer::came_by;
use super::post_admission::{AdmittedRequest, head_of};
use super::signed::Unsignable;
use super::{Guard, Signatures};
use crate::principal::Principal;
use crate::refusal::Refusal;

impl Guard {
    /// The layer that guards a service as [`layer`](Self::layer) does, and takes HTTP signatures as
    /// well, where the guard was [given](super::GuardBuilder::http_signatures) how.
    ///
    /// The content of a signed request is compared with the digest that was signed: up to 64 KiB
    /// before the service is called, beyond that while it is read, with an error in place of its
    /// end (T-062). Where the caller asks for a signed response, the response is read whole,
    /// signed, and answered with 501 instead where that cannot be done (SIG-09). Both come after
    /// the request was accepted, and the seam *record* is told of them by an event of their own.
    ///
    /// A response that never ends is waited for as long as whatever is around this layer allows:
    /// put a time limit there, such as `tower_http::timeout::TimeoutLayer`.
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
    /// Router::new().route("/call", post(call)).layer(guard.message_layer())
    /// # }
    /// ```
    #[must_use]
    pub fn message_layer(&self) -> MessageLayer {
        MessageLayer(self.clone())
    }

    async fn admit_request<B>(
        &self,
        request: Request<B>,
    ) -> Result<(Admitted<B>, Principal), Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut parts, body) = request.into_parts();
        let routed = came_by(&mut parts);
        let (mut examined, mut now) = self.examine_fresh(&parts, Part::Message).await;
        let content = match examined.content() {
            Some(check) => {
                let most = self.inner.signatures.as_ref();
                let most = most.map_or(0, Signatures::max_content);
                let content = Content::signed(body, check.digest(), most).await;
                // Whoever sends slowly is judged by when it has sent.
                now = self.inner.clock.now();
                self.examine_again(&mut examined, &parts, now);
                content
            }
            None => Ok(Content::unsigned(body)),
        };
        let content = held(&mut examined, content);
        let principal = self.finish(&parts, examined, now)?;
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
    ) -> Result<Response<R>, Refusal>
    where
        R: Body<Data = Bytes> + From<Vec<u8>>,
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
        self.sign_response(request, principal, &mut parts, &content, now)?;
        Ok(Response::from_parts(parts, R::from(content.to_vec())))
    }
}

/// A request for the inner service, and where its response is to be signed, the head that this is
/// about.
struct Admitted<B> {
    request: Request<Content<B>>,
    came: Option<Parts>,
}

/// What is known of the content goes into what was found.
fn held<B, E>(
    examined: &mut Examined,
    content: Result<Content<B>, BodyError<E>>,
) -> Option<Content<B>> {
    match content {
        Ok(content) => Some(content),
        Err(BodyError::Digest(error)) => {
            examined.found = Err(signature_refused(&error));
            None
        }
        Err(_body) => {
            examined.found = Err(content_unread());
            None
        }
    }
}

/// Guards a service with the content of its requests.
#[derive(Clone, Debug)]
pub struct MessageLayer(Guard);

impl<S> Layer<S> for MessageLayer {
    type Service = MessageGuarded<S>;

    fn layer(&self, inner: S) -> MessageGuarded<S> {
        MessageGuarded {
            guard: self.0.clone(),
            inner,
        }
    }
}

/// A guarded service. Its inner service finds the [`Principal`] in the request's extensions.
#[derive(Clone)]
pub struct MessageGuarded<S> {
    guard: Guard,
    inner: S,
}

impl<S> fmt::Debug for MessageGuarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageGuarded")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for MessageGuarded<S>
where
    S: Service<Request<Content<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
    R: Body<Data = Bytes> + From<Vec<u8>> + Send,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let guard = self.guard.clone();
        // The service that was asked whether it is ready is the one that is called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let (Admitted { mut request, came }, principal) =
                match guard.admit_request(request).await {
                    Ok(admitted) => admitted,
                    Err(refusal) => return Ok(refusal.into_response()),
                };
            request.extensions_mut().insert(principal.clone());
            let response = inner.call(request).await?;
            let Some(came) = came else {
                return Ok(response);
            };
            let signed = guard.signed(&came, &principal, response).await;
            Ok(signed.unwrap_or_else(Refusal::into_response))
        })
    }
}
