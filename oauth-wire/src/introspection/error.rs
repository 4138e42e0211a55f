//! The errors of introspection.

use crate::Received;

/// Error returned when the authorization server did not answer, or when its answer cannot be
/// trusted.
///
/// The token is then neither valid nor invalid: a resource server answers 503, never 401. No
/// message contains a token. No message repeats its source; [`aims_jose::Chain`] prints both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refuses this resource server: its credentials are wrong or lack a permission.
    #[error(
        "the authorization server refuses this resource server, found {answer}: check the \
         credentials for the introspection endpoint"
    )]
    Caller {
        /// The answer: status, content type and length.
        answer: Box<Received>,
    },
    /// The answer cannot be parsed.
    #[error("no introspection answer: {reason}, found {answer}")]
    Response {
        /// The problem.
        reason: &'static str,
        /// The answer: status, content type and length.
        answer: Box<Received>,
    },
    /// A member of the answer is missing or malformed.
    #[error("the introspection answer is not usable: `{member}` has to be {expected}")]
    Member {
        /// The name of the member.
        member: &'static str,
        /// The expected value.
        expected: &'static str,
    },
    /// A signed answer is not an accepted JWT, or its signature is not valid.
    #[error("the signed introspection answer was refused")]
    Jws(#[source] aims_jose::Error),
    /// A signed answer is from another issuer.
    #[error("the signed introspection answer is of another issuer: expected `{expected}`")]
    Issuer {
        /// The expected issuer.
        expected: Box<str>,
    },
    /// A signed answer is for another resource server.
    #[error("the signed introspection answer is for another audience: expected `{expected}`")]
    Audience {
        /// The name of this resource server at the issuer.
        expected: Box<str>,
    },
    /// A signed answer was made too long ago, or in the future.
    #[error(
        "the signed introspection answer was made at {found}: expected within {max_age} s before \
         {now}, with {skew} s of skew"
    )]
    Time {
        /// `iat` in Unix seconds.
        found: u64,
        /// The current time, in Unix seconds.
        now: u64,
        /// The maximum age of an answer, in seconds.
        max_age: u64,
        /// The clock skew, in seconds.
        skew: u64,
    },
}

impl Error {
    aims_error::codes! {
        Self::Caller { .. } => Configuration "introspection.caller",
        Self::Response { .. } => Unavailable "introspection.response",
        Self::Member { .. } => Malformed "introspection.member",
        Self::Issuer { .. } => Mismatch "introspection.issuer",
        Self::Audience { .. } => Mismatch "introspection.audience",
        Self::Time { .. } => Expired "introspection.time",
        ;
        Self::Jws(source) => aims_jose::token_code!("introspection", source), source.kind();
        ; [
            "introspection.algorithm",
            "introspection.claim",
            "introspection.signature",
            "introspection.typ",
        ]
    }
}
