//! The guard as a tower layer.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response, Uri};
use tower_layer::Layer;
use tower_service::Service;

use super::Guard;

impl Guard {
    /// A layer that lets through what this guard admits, with the [`Principal`](crate::Principal)
    /// in the request's extensions, and answers everything else itself.
    ///
    /// Whatever is routed within the layer is guarded: with axum's `Router::layer`, the routes,
    /// nested and merged routers, services and the fallback that the router has at that moment, for
    /// every method, also where none of them fits. By axum's nature these are not within it:
    ///
    /// - what is added after it: `route`, `merge`, `nest`, `fallback`;
    /// - the fallback, where the layer is added by `route_layer`, or to one nested router or one
    ///   method router.
    ///
    /// A handler there that takes a [`Principal`](crate::Principal) is never reached, and answers
    /// 500; one that takes none is open to everybody. So add the layer last, and let handlers take
    /// a `Principal` (T-140).
    ///
    /// A proof is about the URI by which the tool was called. Within axum's `nest` a layer sees a
    /// path without the prefix of the nest: with the feature `axum` it judges by the URI that the
    /// request came with all the same (axum's `OriginalUri`), and the service gets the shorter one.
    /// Whatever else takes a prefix off must stand within this layer: outside of it, every proof is
    /// refused, with `wpt.audience` or `sig.audience`.
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
        let mut inner = mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let routed = came_by(&mut parts);
            let verdict = guard.admit(&parts).await;
            parts.uri = routed;
            match verdict {
                Ok(principal) => {
                    parts.extensions.insert(principal);
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(refusal) => Ok(refusal.into_response()),
            }
        })
    }
}

/// Gives a request the URI again that it came with, and takes the one that a router has made of it.
pub(super) fn came_by(request: &mut Parts) -> Uri {
    let came = original(request).unwrap_or_else(|| request.uri.clone());
    mem::replace(&mut request.uri, came)
}

/// Set by axum's outermost router, by nothing that a caller sends.
#[cfg(feature = "axum")]
fn original(request: &Parts) -> Option<Uri> {
    let original = request.extensions.get::<axum::extract::OriginalUri>();
    original.map(|it| it.0.clone())
}

#[cfg(not(feature = "axum"))]
const fn original(_: &Parts) -> Option<Uri> {
    None
}
