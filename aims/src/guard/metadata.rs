//! Serves the metadata of the protected resource (RFC 9728).

use http::{Method, Request, Response, StatusCode, header};

use super::Guard;
use super::layer::original_uri;

impl<M> Guard<M> {
    /// Answers a `GET` or `HEAD` request for the metadata at the path that challenges name. Returns
    /// `None` for any other request.
    pub(super) fn metadata_response<B>(&self, request: &Request<B>) -> Option<Response<Vec<u8>>> {
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
        let Some(published) = self.inner.published.clone() else {
            return axum::Router::new();
        };
        let path = published.path().to_owned();
        let serve = move || {
            let published = std::sync::Arc::clone(&published);
            async move { published.to_response::<axum::body::Body>() }
        };
        axum::Router::new().route(&path, axum::routing::get(serve))
    }
}
