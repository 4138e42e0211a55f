//! Messages of the crate `http`.

use std::borrow::Cow;
use std::fmt;

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode, request, response};

use super::{Message, Section, Start};
use crate::Error;
use crate::target::{is_scheme, no_scheme};

/// A request of the crate `http`.
///
/// ```
/// use aims_http_sig::{HttpRequest, Message as _, Start};
///
/// let (parts, ()) = http::Request::get("https://tools.example/pay?x=1").body(())?.into_parts();
/// let request = HttpRequest::to_send(&parts)?;
/// let Start::Request { target, authority, .. } = request.start() else { unreachable!() };
/// assert_eq!((target, authority), ("/pay?x=1", "tools.example"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HttpRequest<'a> {
    method: &'a Method,
    target: Cow<'a, str>,
    scheme: &'a str,
    authority: &'a str,
    headers: &'a HeaderMap,
    trailers: Option<&'a HeaderMap>,
}

impl<'a> HttpRequest<'a> {
    /// Creates the view of a request that a server received. `scheme` and `authority` are those by
    /// which the server is reached, such as `"https"` and `"tools.example"`. Both are
    /// configuration.
    ///
    /// If `scheme` is neither `https` nor `http`, components that depend on it are refused with
    /// `sig.target`. This also detects swapped arguments.
    ///
    /// In HTTP/1.1 an absolute URI is a target in absolute form, in the spelling of `http::Uri`.
    /// Use [`with_target`](Self::with_target) if you have the original bytes. From HTTP/2 on, the
    /// target is the path with the query.
    #[must_use]
    pub fn received(parts: &'a request::Parts, scheme: &'a str, authority: &'a str) -> Self {
        let uri = &parts.uri;
        let absolute = uri.scheme().is_some() && parts.version <= http::Version::HTTP_11;
        let target = match (parts.method == Method::CONNECT, absolute) {
            (false, true) => Cow::Owned(uri.to_string()),
            (connect, _) => short_target(uri, connect),
        };
        Self {
            method: &parts.method,
            target,
            scheme,
            authority,
            headers: &parts.headers,
            trailers: None,
        }
    }

    /// Creates the view of a request that a client is about to send. Its URI is absolute. The
    /// target is the path with the query, or the authority for `CONNECT`.
    ///
    /// # Errors
    ///
    /// `sig.target` if the URI is not absolute, has another scheme than `https` and `http`, or has
    /// user information. The URI of a received request is not absolute; use
    /// [`received`](Self::received).
    pub fn to_send(parts: &'a request::Parts) -> Result<Self, Error> {
        let uri = &parts.uri;
        let connect = parts.method == Method::CONNECT;
        let wrong = |reason| Error::Target { reason };
        let relative = || wrong("the URI is not absolute, as it is of a request to send");
        let authority = uri.authority().ok_or_else(relative)?.as_str();
        let scheme = match uri.scheme_str() {
            Some(scheme) => scheme,
            None if connect => "https",
            None => return Err(relative()),
        };
        if !is_scheme(scheme) {
            return Err(no_scheme());
        }
        if authority.contains('@') {
            return Err(wrong("the URI has user information"));
        }
        Ok(Self {
            method: &parts.method,
            target: short_target(uri, connect),
            scheme,
            authority,
            headers: &parts.headers,
            trailers: None,
        })
    }

    /// Sets the target as sent, byte for byte.
    #[must_use]
    pub fn with_target(mut self, target: &'a str) -> Self {
        self.target = Cow::Borrowed(target);
        self
    }

    /// Adds the trailers of the request.
    #[must_use]
    pub const fn with_trailers(mut self, trailers: &'a HeaderMap) -> Self {
        self.trailers = Some(trailers);
        self
    }
}

/// Returns the authority form for `CONNECT`, and otherwise the origin or asterisk form.
fn short_target(uri: &http::Uri, connect: bool) -> Cow<'_, str> {
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let path = uri
        .path_and_query()
        .map(http::uri::PathAndQuery::as_str)
        .unwrap_or("/");
    Cow::Borrowed(match (connect, authority) {
        (true, Some(authority)) => authority,
        _ => path,
    })
}

impl Message for HttpRequest<'_> {
    fn start(&self) -> Start<'_> {
        Start::Request {
            method: self.method.as_str(),
            target: &self.target,
            scheme: self.scheme,
            authority: self.authority,
        }
    }

    fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        lines(self.headers, self.trailers, section, name, each);
    }
}

impl fmt::Debug for HttpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, "HttpRequest", self.start(), self.headers, self.trailers)
    }
}

/// A response of the crate `http`.
#[derive(Clone)]
pub struct HttpResponse<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
    trailers: Option<&'a HeaderMap>,
}

impl<'a> HttpResponse<'a> {
    /// Creates the view of a response that was received or is about to be sent.
    #[must_use]
    pub const fn new(parts: &'a response::Parts) -> Self {
        Self {
            status: parts.status,
            headers: &parts.headers,
            trailers: None,
        }
    }

    /// Adds the trailers of the response.
    #[must_use]
    pub const fn with_trailers(mut self, trailers: &'a HeaderMap) -> Self {
        self.trailers = Some(trailers);
        self
    }
}

impl Message for HttpResponse<'_> {
    fn start(&self) -> Start<'_> {
        Start::Response {
            status: self.status.as_u16(),
        }
    }

    fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        lines(self.headers, self.trailers, section, name, each);
    }
}

impl fmt::Debug for HttpResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, "HttpResponse", self.start(), self.headers, self.trailers)
    }
}

/// Prints the number of fields, because a value may be a token.
fn print(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    start: Start<'_>,
    headers: &HeaderMap,
    trailers: Option<&HeaderMap>,
) -> fmt::Result {
    f.debug_struct(name)
        .field("start", &start)
        .field("headers", &headers.len())
        .field("trailers", &trailers.map(HeaderMap::len))
        .finish()
}

fn lines<'m>(
    headers: &'m HeaderMap,
    trailers: Option<&'m HeaderMap>,
    section: Section,
    name: &str,
    each: &mut dyn FnMut(&'m [u8]),
) {
    let map = match section {
        Section::Headers => Some(headers),
        Section::Trailers => trailers,
    };
    if let Some(map) = map {
        let values = match known(name) {
            Some(name) => map.get_all(name),
            None => map.get_all(name),
        };
        values.iter().for_each(|value| each(value.as_bytes()));
    }
}

/// The names that most signatures cover, parsed once.
fn known(name: &str) -> Option<&'static HeaderName> {
    static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
    static SIGNATURE: HeaderName = HeaderName::from_static("signature");
    static SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
    static TXN_TOKEN: HeaderName = HeaderName::from_static("txn-token");
    static WIT: HeaderName = HeaderName::from_static("workload-identity-token");
    Some(match name {
        "authorization" => &header::AUTHORIZATION,
        "content-digest" => &CONTENT_DIGEST,
        "content-length" => &header::CONTENT_LENGTH,
        "content-type" => &header::CONTENT_TYPE,
        "signature" => &SIGNATURE,
        "signature-input" => &SIGNATURE_INPUT,
        "transfer-encoding" => &header::TRANSFER_ENCODING,
        "txn-token" => &TXN_TOKEN,
        "workload-identity-token" => &WIT,
        _ => return None,
    })
}
