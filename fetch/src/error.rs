//! Why nothing was fetched.

use std::sync::Arc;

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
    /// Neither `https`, nor `http` to loopback where that was allowed.
    #[error("only `https` is fetched")]
    Scheme,
    /// The host is, or its name leads only to, an address that is not public.
    #[error("the address is not a public one")]
    Address,
    /// The name has no address.
    #[error("the name has no address")]
    Resolve,
    /// No connection, or one that broke; TLS failures are here as well.
    #[error("the connection failed")]
    Connect(#[source] Arc<dyn std::error::Error + Send + Sync>),
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
    #[error("the answer is not of the expected content type")]
    ContentType,
    /// The answer has another status than 200.
    #[error("the answer's status is {status}")]
    Status {
        /// The status code.
        status: u16,
    },
    /// The client could not be made of this configuration.
    #[error("the client cannot be built")]
    Build(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// All codes that [`code`](Self::code) gives.
    pub const CODES: &'static [&'static str] = &[
        "fetch.url",
        "fetch.scheme",
        "fetch.address",
        "fetch.resolve",
        "fetch.connect",
        "fetch.timeout",
        "fetch.redirect",
        "fetch.body_too_long",
        "fetch.content_type",
        "fetch.status",
        "fetch.build",
    ];

    /// The stable name of this error, for records, tests and tools.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "fetch.url",
            Self::Scheme => "fetch.scheme",
            Self::Address => "fetch.address",
            Self::Resolve => "fetch.resolve",
            Self::Connect(_) => "fetch.connect",
            Self::Timeout => "fetch.timeout",
            Self::Redirect => "fetch.redirect",
            Self::BodyTooLong { .. } => "fetch.body_too_long",
            Self::ContentType => "fetch.content_type",
            Self::Status { .. } => "fetch.status",
            Self::Build(_) => "fetch.build",
        }
    }
}
