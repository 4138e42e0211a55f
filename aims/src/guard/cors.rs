//! Requests of browsers from other origins (the CORS protocol of the Fetch standard).

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::{BuildError, Guard, GuardBuilder};

/// Lets scripts of other web origins call the tool from a browser. Off by default.
///
/// The guard answers preflight requests, and lets the scripts read its metadata and the fields of
/// its challenges: `WWW-Authenticate`, `DPoP-Nonce` and `Retry-After`. Every request is verified as
/// before. Cookies and other ambient credentials of the browser are never allowed.
///
/// ```
/// use std::sync::Arc;
///
/// use aims::guard::Cors;
/// use http::HeaderName;
///
/// let cors = Cors::origins(["https://app.example"])
///     .request_header(HeaderName::from_static("x-trace"));
/// let guard = aims::Guard::builder("https://tools.example/mcp")
///     .trust(Arc::new(aims::cred::TrustStore::new()))
///     .cors(cors)
///     .build()?;
/// # drop(guard);
/// # Ok::<(), aims::guard::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "give it to `GuardBuilder::cors`"]
pub struct Cors {
    /// `None` for any origin.
    origins: Option<Vec<String>>,
    request_headers: Vec<HeaderName>,
    exposed: Vec<HeaderName>,
}

impl Cors {
    /// Allows scripts of these origins, such as `https://app.example`: scheme, host and port, as a
    /// browser writes them in `Origin`.
    pub fn origins<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        Self::of(Some(origins.into_iter().map(Into::into).collect()))
    }

    /// Allows scripts of any origin, for a tool that only bearers of a token can use.
    pub fn any_origin() -> Self {
        Self::of(None)
    }

    fn of(origins: Option<Vec<String>>) -> Self {
        Self {
            origins,
            request_headers: REQUEST.map(HeaderName::from_static).to_vec(),
            exposed: EXPOSED.map(HeaderName::from_static).to_vec(),
        }
    }

    /// Lets scripts send another header field. Those of OAuth, of signatures and of MCP are
    /// allowed.
    pub fn request_header(mut self, name: HeaderName) -> Self {
        self.request_headers.push(name);
        self
    }

    /// Lets scripts read another header field of responses.
    pub fn exposed_header(mut self, name: HeaderName) -> Self {
        self.exposed.push(name);
        self
    }

    /// # Errors
    ///
    /// [`BuildError::Cors`] for a text that no browser sends as `Origin`.
    pub(super) fn build(self) -> Result<CorsRules, BuildError> {
        if let Some(origins) = &self.origins {
            let bad = origins.iter().find(|it| !is_origin(it)).cloned();
            if let Some(found) = bad.or_else(|| origins.is_empty().then(String::new)) {
                return Err(BuildError::Cors { found });
            }
        }
        let list = |names: Vec<HeaderName>| {
            let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
            // Names of fields are visible ASCII.
            HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("*"))
        };
        Ok(CorsRules {
            origins: self.origins,
            request_headers: list(self.request_headers),
            exposed: list(self.exposed),
        })
    }
}

impl<T, M> GuardBuilder<T, M> {
    /// Lets scripts of other web origins call the tool from a browser. Defaults to none.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.settings.cors = Some(cors);
        self
    }
}

/// The checked settings.
#[derive(Debug)]
pub(super) struct CorsRules {
    origins: Option<Vec<String>>,
    request_headers: HeaderValue,
    exposed: HeaderValue,
}

/// The origin of a request that is allowed, as the response names it.
pub(super) struct AllowedOrigin(HeaderValue);

impl<M> Guard<M> {
    /// Returns the origin of the script that sends the request, if it is an allowed one.
    pub(super) fn allowed_origin(&self, headers: &HeaderMap) -> Option<AllowedOrigin> {
        let rules = self.inner.cors.as_ref()?;
        let origin = headers.get(header::ORIGIN)?;
        match &rules.origins {
            None => Some(AllowedOrigin(HeaderValue::from_static("*"))),
            Some(origins) => {
                let is_own = origins.iter().any(|it| it.as_bytes() == origin.as_bytes());
                is_own.then(|| AllowedOrigin(origin.clone()))
            }
        }
    }

    /// Answers a preflight request of an allowed origin. It has no credentials to verify.
    pub(super) fn preflight<B>(
        &self,
        request: &Request<B>,
        origin: Option<&AllowedOrigin>,
    ) -> Option<Response<Vec<u8>>> {
        let rules = self.inner.cors.as_ref()?;
        let asks = request.headers().contains_key(ASKED_METHOD);
        if request.method() != Method::OPTIONS || !asks || origin.is_none() {
            return None;
        }
        let mut response = Response::new(Vec::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let fields = rules.request_headers.clone();
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, fields);
        let minutes = HeaderValue::from_static("600");
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, minutes);
        Some(response)
    }

    /// Lets the script read the response.
    pub(super) fn expose<B>(&self, response: &mut Response<B>, origin: Option<AllowedOrigin>) {
        let Some(rules) = &self.inner.cors else {
            return;
        };
        let headers = response.headers_mut();
        // Cookies are never allowed, whatever the handler says.
        headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        if rules.origins.is_some() {
            // A cache must not give one origin the response of another.
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(AllowedOrigin(origin)) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let exposed = rules.exposed.clone();
            headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// Returns whether a browser can send this text as `Origin`: a scheme and an authority in lower
/// case, without a path.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    matches!(scheme, "https" | "http")
        && !authority.is_empty()
        && authority.bytes().all(plain)
        && !authority.contains(['/', '?', '#', '@', '*', ','])
}

const ASKED_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;
/// The fields of requests that scripts may set.
const REQUEST: [&str; 13] = [
    "accept",
    "authorization",
    "content-type",
    "content-digest",
    "dpop",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "signature",
    "signature-input",
    "traceparent",
    "workload-identity-token",
    "workload-proof-token",
];
/// The fields of responses that scripts may read.
const EXPOSED: [&str; 4] = [
    "www-authenticate",
    "dpop-nonce",
    "retry-after",
    "mcp-session-id",
];

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn an_origin_is_a_scheme_and_an_authority() {
        for good in [
            "https://app.example",
            "http://localhost:3000",
            "https://[::1]:8443",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example",
            "https://",
            "https://app.example/",
            "https://App.example",
            "https://*.example",
            "https://a@app.example",
            "https://a.example, https://b.example",
            "ftp://app.example",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
