//! Serves the metadata of the protected resource (RFC 9728).

use http::{Method, Request, Response, StatusCode, header};

use super::Guard;
use super::cors::AllowedOrigin;
use super::layer::original_uri;

impl<M> Guard<M> {
    /// Answers a request that needs no credentials: for the metadata, and a preflight request.
    pub(super) fn public_response<B>(
        &self,
        request: &Request<B>,
        origin: Option<&AllowedOrigin>,
    ) -> Option<Response<Vec<u8>>> {
        let preflight = self.preflight(request, origin);
        preflight.or_else(|| self.metadata_response(request))
    }

    /// Answers a `GET` or `HEAD` request for the metadata at the path that challenges name. Returns
    /// `None` for any other request.
    fn metadata_response<B>(&self, request: &Request<B>) -> Option<Response<Vec<u8>>> {
        let published = self.inner.published.as_deref()?;
        let original = original_uri(request.extensions());
        let path = original.as_ref().unwrap_or_else(|| request.uri()).path();
        if path != published.path() {
            return None;
        }
        Some(match *request.method() {
            Method::GET => published.to_response(),
            Method::HEAD => {
                let mut response: Response<Vec<u8>> = published.to_response();
                let length = response.body().len().into();
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length);
                response.map(|_| Vec::new())
            }
            _ => {
                let mut response = Response::new(Vec::new());
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                let allowed = header::HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(header::ALLOW, allowed);
                response
            }
        })
    }

    /// Returns a router that serves the metadata of the resource.
    ///
    /// Add it to the outermost router if [`layer`](Self::layer) wraps only a nested router, because
    /// the path of the metadata starts at the root of the host (RFC 9728 §3.1). It is empty if the
    /// guard has no metadata. Needs the feature `axum`.
    ///
    /// ```
    /// # fn example(guard: aims::Guard, tool: axum::Router) -> axum::Router {
    /// axum::Router::new()
    ///     .nest("/mcp", tool.layer(guard.layer()))
    ///     .merge(guard.metadata_routes())
    /// # }
    /// ```
    #[cfg(feature = "axum")]
    #[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
    pub fn metadata_routes<T: Clone + Send + Sync + 'static>(&self) -> axum::Router<T> {
        let Some(published) = &self.inner.published else {
            return axum::Router::new();
        };
        let guard = self.deferred();
        let serve = move |request: axum::extract::Request| {
            let guard = guard.clone();
            async move {
                let origin = guard.allowed_origin(request.headers());
                // Only this path leads here.
                let public = guard.public_response(&request, origin.as_ref());
                let mut response = public.unwrap_or_default().map(axum::body::Body::from);
                guard.expose(&mut response, origin);
                response
            }
        };
        axum::Router::new().route(published.path(), axum::routing::any(serve))
    }
}
