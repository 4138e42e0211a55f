//! Messages of the crate `http`.

use std::borrow::Cow;
use std::fmt;

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode, request, response};

use super::{Message, Section, Start};
use crate::Error;
use crate::target::{is_scheme, no_scheme};

/// A request of the crate `http`.
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
    /// A request that a server got, with the scheme and the authority under which it was reached,
    /// `"https"` and `"tools.example"`; both are configuration.
    ///
    /// Components that are made of them are refused (`sig.target`) where the scheme is neither
    /// `https` nor `http`, as it is where the two were swapped.
    ///
    /// In HTTP/1.1 an absolute URI is a target in absolute form, written as `http::Uri` writes it;
    /// use [`with_target`](Self::with_target) where the very bytes are known. From HTTP/2 on the
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

    /// A request that a client is about to send: its URI is absolute, and what goes out is the path
    /// with the query (for `CONNECT` the authority).
    ///
    /// # Errors
    ///
    /// `sig.target` where the URI is not absolute (that of a request which a server got is not:
    /// [`received`](Self::received)), has another scheme than `https` and `http`, or has user
    /// information.
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

    /// The same request with the target as it stood on the wire.
    #[must_use]
    pub fn with_target(mut self, target: &'a str) -> Self {
        self.target = Cow::Borrowed(target);
        self
    }

    /// The same request with its trailers.
    #[must_use]
    pub const fn with_trailers(mut self, trailers: &'a HeaderMap) -> Self {
        self.trailers = Some(trailers);
        self
    }
}

/// Authority form for `CONNECT`, origin or asterisk form for all else.
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
    /// A response, received or about to be sent.
    #[must_use]
    pub const fn new(parts: &'a response::Parts) -> Self {
        Self {
            status: parts.status,
            headers: &parts.headers,
            trailers: None,
        }
    }

    /// The same response with its trailers.
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

/// Fields by their number: a value may be a token.
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

/// The names that most signatures ask for, which need not be read again each time.
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
