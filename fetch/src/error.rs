//! Why nothing was fetched.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http::header::CONTENT_ENCODING;

use crate::address::is_private;
use crate::begins_as_object;

/// A request was not sent, or its answer was not taken.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL has no host, user information, or cannot be read.
    #[error("the URL cannot be fetched: {reason}")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The text is no absolute URL.
    #[error("the URL cannot be fetched: expected an absolute URL, found {found}")]
    NotUrl {
        /// The text, without user information and query: escaped, at most 200 characters.
        found: Box<str>,
    },
    /// The URL is not in normal form: what would be sent is another one than the request was made
    /// for.
    #[error("the URL is not in normal form, and would be sent as another one")]
    Rewritten,
    /// Neither `https`, nor `http` to loopback where that was allowed.
    #[error(
        "only `https` is fetched; plain `http` only to loopback, and only where `allow_loopback_http` was called on the builder of the `Fetcher` that is given to `.fetcher(..)` of the agent or `.fetch(..)` of the guard"
    )]
    Scheme,
    /// The host is, or its name leads only to, an address that is not public.
    #[error("expected a public address, found {address}{}", way_out(address))]
    Address {
        /// The address, the first one of several.
        address: IpAddr,
    },
    /// The name has no address.
    #[error(
        "the name of the host has no address; where a proxy is the only way out, name it with `proxy`"
    )]
    Resolve,
    /// No connection, or one that broke.
    #[error("the connection failed")]
    Connect(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// TLS could not be agreed on: a certificate that is not trusted, expired or for another name,
    /// or a peer that speaks no TLS 1.2.
    #[error("no trusted TLS connection{}", no_tls(&**.0))]
    Tls(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// A redirect that is not followed: too many, not of a `GET`, or without a target.
    #[error("the redirect is not followed")]
    Redirect,
    /// The answer's body is longer than the limit.
    #[error("the answer is longer than {limit} bytes")]
    BodyTooLong {
        /// In bytes.
        limit: usize,
        /// What is known of the answer, where its beginning was read.
        answer: Option<LongAnswer>,
    },
    /// The answer is not of the content type that was expected, or is no JSON document and of
    /// another content type.
    #[error("expected a JSON document, found {length} bytes of the content type {found}")]
    ContentType {
        /// The content type that was found, shortened.
        found: Box<str>,
        /// The length of the body, in bytes.
        length: usize,
        /// Whether the body begins as a JSON object does.
        is_object: bool,
    },
    /// The body has a content coding that was not asked for and is not decoded: another one than
    /// `gzip`, several, or one that is malformed.
    #[error("expected a body without a content coding or one readable as `gzip`, found `{found}`")]
    ContentEncoding {
        /// The codings, shortened.
        found: Box<str>,
    },
    /// The answer has another status than 200.
    #[error("expected status 200, found {status}")]
    Status {
        /// The status code.
        status: u16,
    },
    /// The program's own check refused the document.
    #[error("the document was refused by its check")]
    Rejected,
    /// A document was refreshed a moment ago, and there is none to give.
    #[error("refreshed less than the least interval ago")]
    TooSoon,
    /// Fetching the document failed a moment ago; it is not tried again before a pause is over.
    #[error("not tried again for {} ms after a failure", retry_in.as_millis())]
    BackingOff {
        /// What is left of the pause.
        retry_in: Duration,
        /// The failure, as it was then.
        #[source]
        cause: Arc<Self>,
    },
    /// As many documents are being fetched at this moment as may be, in all or from this host.
    #[error("too many documents are being fetched")]
    Busy,
    /// The fetch ended without a result: its task panicked, its runtime stopped, or there is no
    /// runtime.
    #[error("the fetch was interrupted")]
    Interrupted,
    /// The proxy is not named by a URL that can be used.
    #[error("the proxy cannot be used: {reason}")]
    Proxy {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The client could not be made of this configuration.
    #[error("the client cannot be built")]
    Build(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// What is known of an answer whose body is too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LongAnswer {
    /// The status code.
    pub status: u16,
    /// Whether the body [begins](crate::begins_as_object) as a JSON object does. Where it is coded,
    /// and so not known, it counts as one.
    pub is_object: bool,
}

impl Error {
    /// The body of this answer is longer than the limit. So much of it was read.
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
        Self::Build(_) => Configuration "fetch.build",
    }

    #[cfg(feature = "client")]
    pub(crate) fn content_encoding(found: &str) -> Self {
        Self::ContentEncoding {
            found: shown(found),
        }
    }
}

/// What to do where the peer did not answer in TLS at all.
fn no_tls(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    if causes.any(|it| it.to_string().contains("InvalidContentType")) {
        "; does the server speak http at this port?"
    } else {
        ""
    }
}

/// What to do about an address that is not public.
fn way_out(address: &IpAddr) -> &'static str {
    if is_private(*address) {
        "; call `allow_private_networks` where the URL is configuration"
    } else {
        ""
    }
}

/// A text that is no URL, without what may be a password or a secret.
#[cfg(feature = "client")]
pub(crate) fn public(text: &str) -> Box<str> {
    let public = text.split(['?', '#']).next().unwrap_or_default();
    match public.rsplit_once('@') {
        Some((_secret, rest)) => aims_error::shown([format!("…@{rest}").as_str()]),
        None => aims_error::shown([public]),
    }
}

/// A text of somebody else as an error shows it: its first printable ASCII characters.
pub(crate) fn shown(text: &str) -> Box<str> {
    let printable = |char: char| match char {
        ' '..='~' => char,
        _ => '?',
    };
    text.chars().take(MAX_SHOWN).map(printable).collect()
}

/// The most characters that are shown.
const MAX_SHOWN: usize = 80;
