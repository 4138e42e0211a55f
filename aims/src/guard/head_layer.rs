//! The guard as a tower layer for services over a fixed body type.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::layer::came_by;
use super::{Deferred, Guard};

impl<M> Guard<M> {
    /// As [`layer`](Self::layer), for a service whose request and response bodies must stay of
    /// their types. It judges heads alone: an HTTP signature, which covers the content, is no proof
    /// here.
    #[must_use]
    pub fn head_layer(&self) -> HeadLayer {
        HeadLayer(self.deferred())
    }
}

/// See [`Guard::head_layer`].
#[derive(Clone, Debug)]
pub struct HeadLayer(Guard<Deferred>);

impl<S> Layer<S> for HeadLayer {
    type Service = HeadGuarded<S>;

    fn layer(&self, inner: S) -> HeadGuarded<S> {
        HeadGuarded {
            guard: self.0.clone(),
            inner,
        }
    }
}

/// A service behind a guard.
#[derive(Clone)]
pub struct HeadGuarded<S> {
    guard: Guard<Deferred>,
    inner: S,
}

impl<S> fmt::Debug for HeadGuarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadGuarded")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for HeadGuarded<S>
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
            if let Some(metadata) = guard.metadata_response(&request) {
                return Ok(metadata.map(R::from));
            }
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
