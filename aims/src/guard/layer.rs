//! The guard as a tower layer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::Guard;

impl Guard {
    /// A layer that lets through what this guard admits, with the [`Principal`](crate::Principal) in the request's extensions, and answers everything else
    /// itself.
    ///
    /// Whatever is routed within the layer is guarded: with axum's `Router::layer`, the routes, nested and merged routers, services and the fallback that the router has
    /// at that moment, for every method, also where none of them fits. By axum's nature these are not within it:
    ///
    /// - what is added after it: `route`, `merge`, `nest`, `fallback`;
    /// - the fallback, where the layer is added by `route_layer`, or to one nested router or one method router.
    ///
    /// A handler there that takes a [`Principal`](crate::Principal) is never reached, and answers 500; one that takes none is open to everybody. So add the layer last, and let
    /// handlers take a `Principal` (T-140).
    #[must_use]
    pub fn layer(&self) -> GuardLayer {
        GuardLayer(self.clone())
    }
}

/// See [`Guard::layer`].
#[derive(Clone, Debug)]
pub struct GuardLayer(Guard);

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
    guard: Guard,
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
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<Vec<u8>>,
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
            let (mut parts, body) = request.into_parts();
            match guard.admit(&parts).await {
                Ok(principal) => {
                    parts.extensions.insert(principal);
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(refusal) => Ok(refusal.into_response()),
            }
        })
    }
}
