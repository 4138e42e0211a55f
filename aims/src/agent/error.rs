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
    pub const CODES: &'static [&'static str] = &["agent.authorization", "agent.sign"];

    /// The stable name of this error, for records, tests and tools.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Authorization => "agent.authorization",
            Self::Identity(source) => source.code(),
            Self::Proof(source) => source.code(),
            Self::Sign(_) => "agent.sign",
            Self::Token(source) => source.code(),
            Self::Send(source) => source.code(),
        }
    }
}
