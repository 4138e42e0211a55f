//! Why nothing was fetched.

use std::sync::Arc;
use std::time::Duration;

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
    /// The URL is not in normal form: what would be sent is another one than the request was made
    /// for.
    #[error("the URL is not in normal form, and would be sent as another one")]
    Rewritten,
    /// Neither `https`, nor `http` to loopback where that was allowed.
    #[error(
        "only `https` is fetched; plain `http` only to loopback, and only where `allow_loopback_http` was called"
    )]
    Scheme,
    /// The host is, or its name leads only to, an address that is not public.
    #[error("the address is not a public one")]
    Address,
    /// The name has no address.
    #[error("the name has no address")]
    Resolve,
    /// No connection, or one that broke.
    #[error("the connection failed")]
    Connect(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// TLS could not be agreed on: a certificate that is not trusted, expired or for another name,
    /// or a peer that speaks no TLS 1.2.
    #[error("no trusted TLS connection")]
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
    },
    /// The answer is no JSON document by its content type.
    #[error("{length} bytes of another content type than JSON")]
    ContentType {
        /// The length of the body, in bytes.
        length: usize,
    },
    /// The answer has another status than 200.
    #[error("the answer's status is {status}")]
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
    /// The client could not be made of this configuration.
    #[error("the client cannot be built")]
    Build(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    aims_error::codes! {
        Self::Url { .. } => Configuration "fetch.url",
        Self::Rewritten => Mismatch "fetch.rewritten",
        Self::Scheme => Forbidden "fetch.scheme",
        Self::Address => Forbidden "fetch.address",
        Self::Resolve => Unavailable "fetch.resolve",
        Self::Connect(_) => Unavailable "fetch.connect",
        Self::Tls(_) => Untrusted "fetch.tls",
        Self::Timeout => Unavailable "fetch.timeout",
        Self::Redirect => Forbidden "fetch.redirect",
        Self::BodyTooLong { .. } => TooLarge "fetch.body_too_long",
        Self::ContentType { .. } => Malformed "fetch.content_type",
        Self::Status { .. } => Unavailable "fetch.status",
        Self::Rejected => Forbidden "fetch.rejected",
        Self::TooSoon => Unavailable "fetch.too_soon",
        Self::BackingOff { .. } => Unavailable "fetch.backing_off",
        Self::Busy => Unavailable "fetch.busy",
        Self::Interrupted => Unavailable "fetch.interrupted",
        Self::Build(_) => Configuration "fetch.build",
    }
}
