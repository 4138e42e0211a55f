//! The error type of this crate.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http::header::CONTENT_ENCODING;

use crate::address::is_private;
use crate::begins_as_object;

/// Error returned when a request was not sent, or its answer was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL has no host, has user information, or cannot be parsed.
    #[error("the URL cannot be fetched: {reason}")]
    Url {
        /// The problem.
        reason: &'static str,
    },
    /// The text is not an absolute URL.
    #[error("the URL cannot be fetched: expected an absolute URL, found {found}")]
    NotUrl {
        /// The text, without user information and query: escaped, at most 200 characters.
        found: Box<str>,
    },
    /// The URL is not in normal form, so the client would send another one than the request has.
    #[error("the URL is not in normal form, and would be sent as another one")]
    Rewritten,
    /// The URL is neither `https` nor an allowed `http` URL to loopback.
    #[error(
        "only `https` is fetched; plain `http` only to loopback, and only where `allow_loopback_http` was called on the builder of the `Fetcher` that is given to `.fetcher(..)` of the agent or `.fetch(..)` of the guard"
    )]
    Scheme,
    /// The host is an address that is not public, or its name has only such addresses.
    #[error("expected a public address, found {address}{}", way_out(address))]
    Address {
        /// The address, or the first one of several.
        address: IpAddr,
    },
    /// The host name has no address.
    #[error(
        "the name of the host has no address; where a proxy is the only way out, name it with `proxy`"
    )]
    Resolve,
    /// The connection failed or broke off.
    #[error("the connection failed")]
    Connect(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// TLS failed: the certificate is not trusted, has expired or is for another name, or the peer
    /// does not support TLS 1.2.
    #[error("no trusted TLS connection{}", no_tls(&**.0))]
    Tls(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A timeout was exceeded.
    #[error("it took too long")]
    Timeout,
    /// A redirect was not followed: there were too many, the method is not `GET` or `HEAD`, or it
    /// has no target.
    #[error("the redirect is not followed")]
    Redirect,
    /// The body of the answer is longer than the limit.
    #[error("the answer is longer than {limit} bytes")]
    BodyTooLong {
        /// The limit, in bytes.
        limit: usize,
        /// The status and start of the answer, if they were read.
        answer: Option<LongAnswer>,
    },
    /// The answer does not have the expected content type, or is not a JSON document.
    #[error("expected a JSON document, found {length} bytes of the content type {found}")]
    ContentType {
        /// The content type that was found, shortened.
        found: Box<str>,
        /// The length of the body, in bytes.
        length: usize,
        /// Whether the body starts like a JSON object.
        is_object: bool,
    },
    /// The body has a content coding that was not requested and cannot be decoded: another one than
    /// `gzip`, several, or a malformed one.
    #[error("expected a body without a content coding or one readable as `gzip`, found `{found}`")]
    ContentEncoding {
        /// The content codings, shortened.
        found: Box<str>,
    },
    /// The status of the answer is not 200.
    #[error("expected status 200, found {status}")]
    Status {
        /// The status code.
        status: u16,
    },
    /// The program's own check refused the document.
    #[error("the document was refused by its check")]
    Rejected,
    /// The document was fetched shortly before, and there is none to return.
    #[error("refreshed less than the least interval ago")]
    TooSoon,
    /// Fetching the document failed shortly before. It is not tried again before a pause is over.
    #[error("not tried again for {} ms after a failure", retry_in.as_millis())]
    BackingOff {
        /// The remaining pause.
        retry_in: Duration,
        /// The error of the failed fetch.
        #[source]
        cause: Arc<Self>,
    },
    /// The maximum number of documents is being fetched, in total or from this host.
    #[error("too many documents are being fetched")]
    Busy,
    /// The fetch ended without a result: its task panicked, its runtime stopped, or there is no
    /// runtime.
    #[error("the fetch was interrupted")]
    Interrupted,
    /// The URL of the proxy is not valid.
    #[error("the proxy cannot be used: {reason}")]
    Proxy {
        /// The problem.
        reason: &'static str,
    },
    /// The certificate of the client cannot be used.
    #[error("the client certificate cannot be used: {reason}")]
    ClientCertificate {
        /// The problem.
        reason: &'static str,
    },
    /// The server ended the connection because of the client's certificate: it requires one, or
    /// does not accept the one that was presented.
    #[error("the server requires a client certificate that it accepts: {alert}")]
    CertificateRefused {
        /// The alert of TLS (RFC 8446 §6.2).
        alert: Box<str>,
    },
    /// The client cannot be built with these settings.
    #[error("the client cannot be built")]
    Build(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// The status and start of an answer whose body is too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LongAnswer {
    /// The status code.
    pub status: u16,
    /// Whether the body [starts](crate::begins_as_object) like a JSON object. A compressed body
    /// counts as one, because its start is not known.
    pub is_object: bool,
}

impl Error {
    /// Creates the error for an answer whose body is longer than the limit. The answer has the part
    /// that was read.
    #[must_use]
    pub fn body_too_long<B: AsRef<[u8]>>(limit: usize, answer: &Response<B>) -> Self {
        let is_coded = answer.headers().contains_key(CONTENT_ENCODING);
        let is_object = is_coded || begins_as_object(answer.body().as_ref());
        Self::BodyTooLong {
            limit,
            answer: Some(LongAnswer {
                status: answer.status().as_u16(),
                is_object,
            }),
        }
    }

    aims_error::codes! {
        Self::Url { .. } | Self::NotUrl { .. } => Configuration "fetch.url",
        Self::Rewritten => Mismatch "fetch.rewritten",
        Self::Scheme => Forbidden "fetch.scheme",
        Self::Address { .. } => Forbidden "fetch.address",
        Self::Resolve => Unavailable "fetch.resolve",
        Self::Connect(_) => Unavailable "fetch.connect",
        Self::Tls(_) => Untrusted "fetch.tls",
        Self::Timeout => Unavailable "fetch.timeout",
        Self::Redirect => Forbidden "fetch.redirect",
        Self::BodyTooLong { .. } => TooLarge "fetch.body_too_long",
        Self::ContentType { .. } => Malformed "fetch.content_type",
        Self::ContentEncoding { .. } => Malformed "fetch.content_encoding",
        Self::Status { .. } => Unavailable "fetch.status",
        Self::Rejected => Forbidden "fetch.rejected",
        Self::TooSoon => Unavailable "fetch.too_soon",
        Self::BackingOff { .. } => Unavailable "fetch.backing_off",
        Self::Busy => Unavailable "fetch.busy",
        Self::Interrupted => Unavailable "fetch.interrupted",
        Self::Proxy { .. } => Configuration "fetch.proxy",
        Self::ClientCertificate { .. } => Configuration "fetch.client_certificate",
        Self::CertificateRefused { .. } => Forbidden "fetch.certificate_refused",
        Self::Build(_) => Configuration "fetch.build",
    }

    #[cfg(feature = "client")]
    pub(crate) fn content_encoding(found: &str) -> Self {
        Self::ContentEncoding {
            found: shown(found),
        }
    }
}

/// Returns what to do if the peer did not answer with TLS.
fn no_tls(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    if causes.any(|it| it.to_string().contains("InvalidContentType")) {
        "; does the server speak http at this port?"
    } else {
        ""
    }
}

/// Returns what to do about an address that is not public.
fn way_out(address: &IpAddr) -> &'static str {
    if is_private(*address) {
        "; call `allow_private_networks` where the URL is configuration"
    } else {
        ""
    }
}

/// Returns a text that is not a URL, without parts that may be a password or a secret.
#[cfg(feature = "client")]
pub(crate) fn public(text: &str) -> Box<str> {
    let public = text.split(['?', '#']).next().unwrap_or_default();
    match public.rsplit_once('@') {
        Some((_secret, rest)) => aims_error::shown([format!("…@{rest}").as_str()]),
        None => aims_error::shown([public]),
    }
}

/// Returns the first printable ASCII characters of an untrusted text, for an error message.
pub(crate) fn shown(text: &str) -> Box<str> {
    let printable = |char: char| match char {
        ' '..='~' => char,
        _ => '?',
    };
    text.chars().take(MAX_SHOWN).map(printable).collect()
}

/// The maximum number of characters that are shown.
const MAX_SHOWN: usize = 80;
