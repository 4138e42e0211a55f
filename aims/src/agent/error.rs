//! Why a request could not be proven or sent.

/// A request was not proven or not sent, or its answer not taken. The code is that of the part that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `Authorization` is repeated, or is not `Bearer`: the proof could not cover it.
    #[error("the `Authorization` of the request cannot be covered by a proof")]
    Authorization,
    /// The agent has no identity at the moment.
    #[error(transparent)]
    Identity(#[from] wimse_cred::Error),
    /// The proof could not be made.
    #[error(transparent)]
    Proof(#[from] wimse_wpt::Error),
    /// The identity's WIT is no value of a field.
    #[cfg(feature = "http-sig")]
    #[error("the identity's token cannot stand in a field")]
    Header,
    /// The response is signed by another workload than the tool.
    #[cfg(feature = "http-sig")]
    #[error("the response is signed by another workload than the tool")]
    Tool,
    /// The request could not be signed, or the signature of the response is refused.
    #[cfg(feature = "http-sig")]
    #[error(transparent)]
    Signature(#[from] http_sig::Error),
    /// The key could not sign.
    #[error("the proof could not be signed")]
    Sign(#[source] jose::Error),
    /// No access token was got.
    #[error(transparent)]
    Token(#[from] oauth_client::Error),
    /// Nothing was sent, or no answer came.
    #[error(transparent)]
    Send(#[from] fetch::Error),
}

impl Error {
    /// The codes that are not those of a part.
    pub const CODES: &'static [&'static str] = &[
        "agent.authorization",
        "agent.header",
        "agent.sign",
        "agent.tool",
    ];

    /// The stable name of this error, for records, tests and tools.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Authorization => "agent.authorization",
            Self::Identity(source) => source.code(),
            Self::Proof(source) => source.code(),
            #[cfg(feature = "http-sig")]
            Self::Header => "agent.header",
            #[cfg(feature = "http-sig")]
            Self::Tool => "agent.tool",
            #[cfg(feature = "http-sig")]
            Self::Signature(source) => source.code(),
            Self::Sign(_) => "agent.sign",
            Self::Token(source) => source.code(),
            Self::Send(source) => source.code(),
        }
    }
}
