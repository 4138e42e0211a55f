//! The guard as a tower layer for services with a fixed body type.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::Guard;
use super::layer::{
    GuardLayer, Guarded, add_nonce, answer, is_grpc, next_nonce, restore_original_uri, switched,
};
use super::post_admission::AdmittedRequest;

impl<M> Guard<M> {
    /// Returns a layer like [`layer`](Self::layer), for a service whose request and response bodies
    /// must keep their types.
    ///
    /// It verifies only the head of a request. An HTTP signature covers the content, so this layer
    /// does not accept one as a proof. Streams do not end with the credentials of their requests.
    /// Other protocols are refused as in [`layer`](Self::layer).
    #[must_use]
    pub fn head_layer(&self) -> HeadLayer {
        GuardLayer::new(self.deferred())
    }
}

/// Mode of a layer that verifies only the head of a request.
#[derive(Debug)]
#[non_exhaustive]
pub struct HeadAlone;

/// A tower layer that verifies the head of requests. Created by [`Guard::head_layer`].
pub type HeadLayer = GuardLayer<HeadAlone>;

/// A service behind a [`HeadLayer`].
pub type HeadGuarded<S> = Guarded<S, HeadAlone>;

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
        self.service().poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (guard, mut inner) = self.take_ready();
        Box::pin(async move {
            let origin = guard.allowed_origin(request.headers());
            if let Some(public) = guard.public_response(&request, origin.as_ref()) {
                let mut response = public.map(R::from);
                guard.expose(&mut response, origin);
                return Ok(response);
            }
            let (mut parts, body) = request.into_parts();
            let is_grpc = is_grpc(&parts.method, parts.version, &parts.headers);
            let routed = restore_original_uri(&mut parts);
            let verdict = guard.admit(&parts).await;
            parts.uri = routed;
            let mut response = match verdict {
                Ok(principal) => {
                    guard.strip(&mut parts.headers, &principal);
                    let nonce = next_nonce(&principal);
                    let watched = guard.stream_end().is_some().then(|| {
                        let admitted = guard.admitted(&parts, &principal);
                        AdmittedRequest::brief(&guard, &parts, admitted)
                    });
                    parts.extensions.insert(principal);
                    let response = inner.call(Request::from_parts(parts, body)).await?;
                    let mut response = match switched(watched.as_ref(), &response) {
                        Some(refusal) => answer(refusal, is_grpc),
                        None => response,
                    };
                    add_nonce(&mut response, nonce);
                    response
                }
                Err(refusal) => answer(refusal, is_grpc),
            };
            guard.expose(&mut response, origin);
            Ok(response)
        })
    }
}
