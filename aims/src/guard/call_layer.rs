//! The guard as a tower layer that first reads the call of each request.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, mem};

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

pub use super::calls::CallContent;
use super::calls::CallReader;
use super::layer::{
    GuardLayer, Guarded, RequestBody, ResponseBody, answer, is_grpc, restore_original_uri,
};
use super::{Deferred, Guard};

impl<M> Guard<M> {
    /// Returns a layer like [`layer`](Self::layer) which first reads the call of a request from its
    /// content. The guard compares this call with the one that a person
    /// [approved](crate::Requirements::approved_call), or that a transaction token is bound to.
    ///
    /// The layer inserts the [`ToolCall`](aims_oauth_wire::call::ToolCall) into the extensions of
    /// the request, in place of any other, and passes the content on unchanged. A handler acts on
    /// the call in the extensions, or on the same bytes.
    ///
    /// ```
    /// use aims::guard::{BuildError, CallReader};
    /// use aims::oauth_wire::call::ToolCall;
    /// use aims::{Guard, Principal, Requirements};
    /// use axum::{Router, extract::Extension, routing::post};
    ///
    /// async fn call(who: Principal, Extension(call): Extension<ToolCall>) -> String {
    ///     format!("{} for {}", call.tool(), who.subject())
    /// }
    ///
    /// fn router(guard: &Guard) -> Result<Router, BuildError> {
    ///     let approved = guard.requiring(Requirements::new().approved_call())?;
    ///     let layer = approved.call_layer(CallReader::mcp());
    ///     Ok(Router::new().route("/mcp/call", post(call)).layer(layer))
    /// }
    /// # drop(router);
    /// ```
    ///
    /// # Refusals
    ///
    /// The layer reads the content before the guard verifies the request, up to the limits of the
    /// reader. It answers and records:
    ///
    /// - 413 `guard.call_too_large` for a longer content.
    /// - 400 `guard.call_malformed` for a content whose call cannot be read: it is no JSON, has
    ///   several calls, a member twice, or a number that a double cannot hold.
    /// - 400 `guard.content` and 408 `guard.content_deadline` for a content that breaks off or is
    ///   late.
    ///
    /// The [metadata](super::GuardBuilder::metadata) are read by requests without content: merge
    /// [`Guard::metadata_routes`] outside the layer where the reader has no `None` for these.
    ///
    /// A request without a call passes, unless the route requires one (`guard.call`).
    #[must_use]
    pub fn call_layer(&self, calls: CallReader) -> CallLayer {
        CallLayer {
            guard: self.layer(),
            calls,
        }
    }
}

/// A tower layer that reads the call of requests and verifies them. Created by
/// [`Guard::call_layer`].
#[derive(Clone, Debug)]
pub struct CallLayer {
    guard: GuardLayer,
    calls: CallReader,
}

impl<S> Layer<S> for CallLayer {
    type Service = CallGuarded<S>;

    fn layer(&self, inner: S) -> CallGuarded<S> {
        CallGuarded {
            guarded: self.guard.layer(inner),
            calls: self.calls.clone(),
        }
    }
}

/// A service behind a [`CallLayer`].
#[derive(Clone)]
pub struct CallGuarded<S> {
    guarded: Guarded<S>,
    calls: CallReader,
}

impl<S> fmt::Debug for CallGuarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallGuarded")
            .field("guarded", &self.guarded)
            .field("calls", &self.calls)
            .finish()
    }
}

impl<S, B, R> Service<Request<B>> for CallGuarded<S>
where
    S: Service<Request<RequestBody<CallContent>>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Send,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>> + Send,
    R: Body + Send,
    R::Data: Send,
    R::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.guarded.service().poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Call the service whose `poll_ready` was called, not its clone.
        let fresh = self.guarded.clone();
        let mut guarded = mem::replace(&mut self.guarded, fresh);
        let calls = self.calls.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            match calls.read(&mut head, body).await {
                Ok(content) => guarded.call(Request::from_parts(head, content)).await,
                Err(refused) => {
                    let guard: &Guard<Deferred> = guarded.guard();
                    let origin = guard.allowed_origin(&head.headers);
                    let is_grpc = is_grpc(&head.method, head.version, &head.headers);
                    restore_original_uri(&mut head);
                    let refusal = guard.refuse_unverified(&head, refused);
                    let mut response = answer(refusal, is_grpc).map(ResponseBody::guard);
                    guard.expose(&mut response, origin);
                    Ok(response)
                }
            }
        })
    }
}
