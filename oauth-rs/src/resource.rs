//! The document that tells clients about a resource (RFC 9728).

use aims_oauth_wire::metadata::{ResourceMetadata, well_known};
use aims_oauth_wire::names::Endpoint;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use crate::Error;

/// Protected Resource Metadata, ready to be served.
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    url: Endpoint,
    json: String,
}

impl ProtectedResource {
    /// Serves this document.
    ///
    /// # Errors
    ///
    /// Those of `oauth-wire`, where no URL can be derived from the resource's identifier.
    pub fn new(metadata: &ResourceMetadata) -> Result<Self, Error> {
        Ok(Self {
            url: well_known::resource(metadata.resource())?,
            json: metadata.to_json(),
        })
    }

    /// Where it is served: for `resource_metadata` of a challenge (RFC 9728 §5.1).
    #[must_use]
    pub const fn url(&self) -> &Endpoint {
        &self.url
    }

    /// The path of [`url`](Self::url), such as `/.well-known/oauth-protected-resource/mcp`
    /// (RFC 9728 §3.1).
    #[must_use]
    pub fn path(&self) -> &str {
        let url = self.url.as_str();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
    }

    /// The answer to a `GET` (RFC 9728 §3.2): JSON, to be kept for an hour.
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
