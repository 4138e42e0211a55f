//! Serves the metadata of a protected resource (RFC 9728).

use aims_oauth_wire::metadata::{ResourceMetadata, well_known};
use aims_oauth_wire::names::Endpoint;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use crate::Error;

/// Protected resource metadata, ready to be served.
///
/// ```
/// use aims_oauth_rs::ProtectedResource;
/// use aims_oauth_wire::metadata::ResourceMetadata;
///
/// let metadata = ResourceMetadata::new("https://tools.example/mcp".parse()?)
///     .with_authorization_server("https://as.example".parse()?);
/// let published = ProtectedResource::new(&metadata)?;
/// assert_eq!(published.path(), "/.well-known/oauth-protected-resource/mcp");
/// let answer: http::Response<Vec<u8>> = published.to_response();
/// assert_eq!(answer.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    url: Endpoint,
    json: String,
}

impl ProtectedResource {
    /// Prepares this document.
    ///
    /// # Errors
    ///
    /// Those of `aims-oauth-wire` if no URL can be derived from the resource's identifier.
    pub fn new(metadata: &ResourceMetadata) -> Result<Self, Error> {
        Ok(Self {
            url: well_known::resource(metadata.resource())?,
            json: metadata.to_json(),
        })
    }

    /// Returns the URL of the document, for `resource_metadata` of a challenge (RFC 9728 §5.1).
    #[must_use]
    pub const fn url(&self) -> &Endpoint {
        &self.url
    }

    /// Returns the path of [`url`](Self::url), such as `/.well-known/oauth-protected-resource/mcp`
    /// (RFC 9728 §3.1).
    #[must_use]
    pub fn path(&self) -> &str {
        let url = self.url.as_str();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
    }

    /// Returns the answer to a `GET` (RFC 9728 §3.2): JSON that may be cached for an hour.
    #[must_use]
    pub fn to_response<B: From<Vec<u8>>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.json.clone().into_bytes()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=3600"),
        );
        response
    }
}
