//! Why a request could not be proven or sent.

use aims_fetch::BoxError;

/// A request was not proven or not sent, or its answer not accepted. The code is that of the part
/// that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The content of the answer broke off.
    #[error("the content of the answer broke off")]
    Answer(#[source] BoxError),
    /// The content of the answer is longer than the limit.
    #[error(
        "the content of the answer is longer than {limit} bytes; for a signed answer the limit is \
         `AgentBuilder::max_answer`"
    )]
    AnswerTooLong {
        /// In bytes.
        limit: usize,
    },
    /// `Authorization` is repeated, or holds another scheme than `Bearer` or a malformed token.
    #[error(
        "unexpected `Authorization`, expected none or one `Bearer` token: the proof cannot cover it"
    )]
    Authorization,
    /// The HTTP client that carries the calls failed; the source is its error.
    #[error("the HTTP client failed")]
    Client(#[source] BoxError),
    /// The content of the request broke off.
    #[error("the content of the request broke off before it was sent")]
    Content(#[source] BoxError),
    /// The content of the request is longer than the limit.
    #[error(
        "the content of the request is longer than {limit} bytes, and the proof covers it; raise \
         `AgentBuilder::max_content`, or choose a proof that covers no content"
    )]
    ContentTooLong {
        /// In bytes.
        limit: usize,
    },
    /// The proof covers the content of the request, which is not known where it is made.
    #[error(
        "the proof covers the content, which is unread; give `prepare` the bytes or their digest, \
         use `Agent::send` or `Agent::layer`, which read it, or choose a proof that covers no \
         content, such as `.proof(RequestAuth::Wpt)`"
    )]
    ContentUnread,
    /// The identity's WIT has a character that no header field can have.
    #[error("the identity's WIT has a character that a header field cannot have")]
    Header,
    /// The agent has no identity at the moment.
    #[error(transparent)]
    Identity(#[from] aims_wimse_cred::Error),
    /// A URL, an issuer or a list of scopes cannot be read.
    #[error(transparent)]
    Name(#[from] aims_oauth_wire::Error),
    /// The proof could not be made.
    #[error(transparent)]
    Proof(#[from] aims_wimse_wpt::Error),
    /// Nothing was sent, or no answer came.
    #[error(transparent)]
    Send(#[from] aims_fetch::Error),
    /// The key could not sign.
    #[error("the key of the identity could not sign the proof")]
    Sign(#[source] aims_jose::Error),
    /// The request could not be signed, or the signature of the response is refused.
    #[error(transparent)]
    Signature(#[from] aims_http_sig::Error),
    /// The URI is not in normal form, so that it cannot be told whether it is within a resource
    /// that tokens are for.
    #[error(
        "the URI is not in normal form, so it cannot be told whether a token belongs to it; \
         write it with a host in lower case and without `..`, a default port or user information"
    )]
    Target(#[source] aims_oauth_wire::Error),
    /// No access token was received.
    #[error(transparent)]
    Token(#[from] aims_oauth_client::Error),
    /// An access token is to go with a WPT of draft-ietf-wimse-wpt-02, and both stand in
    /// `Authorization`.
    #[error(
        "an access token and a WPT of draft-ietf-wimse-wpt-02 both stand in `Authorization`; \
         prove the request by `.proof(RequestAuth::HttpSignature)`, which covers the token, or \
         name the older draft on both sides, here by `.wpt_revision(Revision::Draft01)`"
    )]
    TokenWithWpt,
    /// The response is signed by a workload that is not among the expected tools.
    #[error(
        "the response is signed by a workload that `SignedResponses` does not name; add it by \
         `or_of` if it is the tool"
    )]
    Tool,
    /// The request or its answer has trailers, and a signature covers the content but not these.
    #[error("the message has trailers, which its signature would not cover")]
    Trailers,
}

impl Error {
    aims_error::codes! {
        Self::Answer(_) => Unavailable "agent.answer",
        Self::AnswerTooLong { .. } => TooLarge "agent.answer_too_long",
        Self::Authorization => Configuration "agent.authorization",
        Self::Client(_) => Unavailable "agent.client",
        Self::Content(_) => Unavailable "agent.content",
        Self::ContentTooLong { .. } => TooLarge "agent.content_too_long",
        Self::ContentUnread => Configuration "agent.content_unread",
        Self::Header => Configuration "agent.header",
        Self::Sign(_) => Unavailable "agent.sign",
        Self::Target(_) => Configuration "agent.target",
        Self::TokenWithWpt => Configuration "agent.token_with_wpt",
        Self::Tool => Mismatch "agent.tool",
        Self::Trailers => Configuration "agent.trailers",
        ;
        Self::Identity(source) => source.code(), source.kind();
        Self::Name(source) => source.code(), source.kind();
        Self::Proof(source) => source.code(), source.kind();
        Self::Send(source) => source.code(), source.kind();
        Self::Signature(source) => source.code(), source.kind();
        Self::Token(source) => source.code(), source.kind();
    }
}
