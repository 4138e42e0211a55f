//! Why a request could not be proven or sent.

#[cfg(feature = "tower")]
use std::error::Error as StdError;

/// A request was not proven or not sent, or its answer not taken. The code is that of the part that
/// failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The content of the answer broke off.
    #[cfg(feature = "tower")]
    #[error("the content of the answer could not be read")]
    Answer(#[source] Box<dyn StdError + Send + Sync>),
    /// The content of the answer is longer than the limit.
    #[cfg(feature = "tower")]
    #[error("the content of the answer is longer than {limit} bytes")]
    AnswerTooLong {
        /// In bytes.
        limit: usize,
    },
    /// `Authorization` is repeated, or no bearer token as it should be written: the proof could not
    /// cover it.
    #[error("the `Authorization` of the request cannot be covered by a proof")]
    Authorization,
    /// The HTTP client that the agent is a layer around has failed; the source is its error.
    #[cfg(feature = "tower")]
    #[error("the HTTP client failed")]
    Client(#[source] Box<dyn StdError + Send + Sync>),
    /// The content of the request broke off.
    #[cfg(feature = "tower")]
    #[error("the content of the request could not be read")]
    Content(#[source] Box<dyn StdError + Send + Sync>),
    /// The content of the request is longer than the limit.
    #[cfg(feature = "tower")]
    #[error("the content of the request is longer than {limit} bytes")]
    ContentTooLong {
        /// In bytes.
        limit: usize,
    },
    /// The agent has no identity at the moment.
    #[error(transparent)]
    Identity(#[from] aims_wimse_cred::Error),
    /// The proof could not be made.
    #[error(transparent)]
    Proof(#[from] aims_wimse_wpt::Error),
    /// The identity's WIT is no value of a field.
    #[error("the identity's token cannot stand in a field")]
    Header,
    /// The URI is not in a form in which it can be told whether it is within a resource that tokens
    /// are for.
    #[error("it cannot be told whether a token belongs to this URI")]
    Target(#[source] aims_oauth_wire::Error),
    /// The response is signed by another workload than the tool.
    #[error("the response is signed by another workload than the tool")]
    Tool,
    /// The request could not be signed, or the signature of the response is refused.
    #[error(transparent)]
    Signature(#[from] aims_http_sig::Error),
    /// The key could not sign.
    #[error("the proof could not be signed")]
    Sign(#[source] aims_jose::Error),
    /// The request or its answer has trailers, which nothing would cover.
    #[cfg(feature = "tower")]
    #[error("the message has trailers")]
    Trailers,
    /// No access token was got.
    #[error(transparent)]
    Token(#[from] aims_oauth_client::Error),
    /// Nothing was sent, or no answer came.
    #[error(transparent)]
    Send(#[from] aims_fetch::Error),
}

impl Error {
    aims_error::codes! {
        #[cfg(feature = "tower")]
        Self::Answer(_) => Unavailable "agent.answer",
        #[cfg(feature = "tower")]
        Self::AnswerTooLong { .. } => TooLarge "agent.answer_too_long",
        Self::Authorization => Configuration "agent.authorization",
        #[cfg(feature = "tower")]
        Self::Client(_) => Unavailable "agent.client",
        #[cfg(feature = "tower")]
        Self::Content(_) => Unavailable "agent.content",
        #[cfg(feature = "tower")]
        Self::ContentTooLong { .. } => TooLarge "agent.content_too_long",
        Self::Header => Configuration "agent.header",
        Self::Tool => Mismatch "agent.tool",
        Self::Sign(_) => Unavailable "agent.sign",
        Self::Target(_) => Configuration "agent.target",
        #[cfg(feature = "tower")]
        Self::Trailers => Configuration "agent.trailers",
        ;
        Self::Identity(source) => source.code(), source.kind();
        Self::Proof(source) => source.code(), source.kind();
        Self::Signature(source) => source.code(), source.kind();
        Self::Token(source) => source.code(), source.kind();
        Self::Send(source) => source.code(), source.kind();
    }
}
