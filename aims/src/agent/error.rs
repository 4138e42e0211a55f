//! The errors of an agent.

use aims_fetch::BoxError;
use aims_oauth_wire::names::Resource;

/// Error returned when a request cannot be proven or sent, or when its answer is not accepted.
///
/// Its code is that of the part that failed.
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
        /// The limit, in bytes.
        limit: usize,
    },
    /// Persons are asked for calls of a tool that the agent has no tokens for.
    #[error(
        "approvals are set for {tool}, which is no tool of the agent: expected the URL of `tool`, \
         `connect` or `authorize`"
    )]
    Approval {
        /// The URL.
        tool: Resource,
    },
    /// `Authorization` is repeated, has another scheme than `Bearer`, or holds a malformed token.
    #[error(
        "unexpected `Authorization`, expected none or one `Bearer` token: the proof cannot cover it"
    )]
    Authorization,
    /// The tool requires the approval of a call, and the request names none.
    #[error(
        "{tool} requires the approval of this call, or other authorization details than those of \
         the token, and the request names no call that a person could be asked for: expected a \
         `ToolCall` in the extensions of the request"
    )]
    Call {
        /// The tool.
        tool: Resource,
    },
    /// The HTTP client that carries the calls failed. The source is its error.
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
        /// The limit, in bytes.
        limit: usize,
    },
    /// The proof covers the content of the request, and the agent does not know the content.
    #[error(
        "the proof covers the content, which is unread; give `prepare` the bytes or their digest, \
         use `Agent::send` or `Agent::layer`, which read it, or choose a proof that covers no \
         content, such as `.proof(RequestAuth::Wpt)`"
    )]
    ContentUnread,
    /// The WIT of the identity has a character that is not allowed in a header field.
    #[error("the identity's WIT has a character that a header field cannot have")]
    Header,
    /// The agent has no identity at present.
    #[error(transparent)]
    Identity(#[from] aims_wimse_cred::Error),
    /// A URL, an issuer or a list of scopes cannot be parsed.
    #[error(transparent)]
    Name(#[from] aims_oauth_wire::Error),
    /// A request within a transaction was for a URL or a domain that is not the agent's.
    #[error(
        "a request within a transaction was not sent: {reason}; name the domain and its services \
         by `AgentBuilder::trust_domain`, and leave the domain only by an exchange at its border"
    )]
    OutsideDomain {
        /// The finding.
        reason: &'static str,
    },
    /// The proof could not be made.
    #[error(transparent)]
    Proof(#[from] aims_wimse_wpt::Error),
    /// The request was not sent, or no answer arrived.
    #[error(transparent)]
    Send(#[from] aims_fetch::Error),
    /// The key could not sign.
    #[error("the key of the identity could not sign the proof")]
    Sign(#[source] aims_jose::Error),
    /// The request could not be signed, or the signature of the response was refused.
    #[error(transparent)]
    Signature(#[from] aims_http_sig::Error),
    /// The URI is not in normal form, so the agent cannot tell which tokens it may send there.
    #[error(
        "the URI is not in normal form, so it cannot be told whether a token belongs to it; \
         write it with a host in lower case and without `..`, a default port or user information"
    )]
    Target(#[source] aims_oauth_wire::Error),
    /// No access token was received.
    #[error(transparent)]
    Token(#[from] aims_oauth_client::Error),
    /// The agent would have to send an access token and a WPT of draft-ietf-wimse-wpt-02, and both
    /// use `Authorization`.
    #[error(
        "an access token and a WPT of draft-ietf-wimse-wpt-02 both stand in `Authorization`; \
         prove the request by `.proof(RequestAuth::HttpSignature)`, which covers the token, or \
         name the older draft on both sides, here by `.wpt_revision(Revision::Draft01)`"
    )]
    TokenWithWpt,
    /// The response is signed by a workload that is not one of the expected tools.
    #[error(
        "the response is signed by a workload that `SignedResponses` does not name; add it by \
         `or_of` if it is the tool"
    )]
    Tool,
    /// The request or its answer has trailers. A signature covers the content but not the trailers.
    #[error("the message has trailers, which its signature would not cover")]
    Trailers,
}

impl Error {
    /// Returns whether a user must act before another attempt can succeed: grant access, or log in
    /// again.
    #[must_use]
    pub fn needs_user(&self) -> bool {
        matches!(self, Self::Token(error) if error.needs_user())
    }

    /// Returns whether the same call may succeed later: a server did not answer, or is busy.
    ///
    /// The tool may have received a call that failed so. Repeat it only if it is idempotent (RFC
    /// 9110 §9.2.2), or if no token was received.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Token(error) => error.is_retryable(),
            _ => self.kind() == aims_error::ErrorKind::Unavailable,
        }
    }

    aims_error::codes! {
        Self::Answer(_) => Unavailable "agent.answer",
        Self::AnswerTooLong { .. } => TooLarge "agent.answer_too_long",
        Self::Approval { .. } => Configuration "agent.approval",
        Self::Authorization => Configuration "agent.authorization",
        Self::Call { .. } => Configuration "agent.call",
        Self::Client(_) => Unavailable "agent.client",
        Self::Content(_) => Unavailable "agent.content",
        Self::ContentTooLong { .. } => TooLarge "agent.content_too_long",
        Self::ContentUnread => Configuration "agent.content_unread",
        Self::Header => Configuration "agent.header",
        Self::OutsideDomain { .. } => Configuration "agent.outside_domain",
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
