//! Why an answer is refused.

use crate::Received;

/// The authorization server did not answer what a token is worth, or not in a way that can be
/// believed.
///
/// The token is neither good nor bad then: a resource server answers 503, never 401. No message
/// holds a token. None repeats its source: [`aims_jose::Chain`] shows both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refuses the one who asks: its credentials are wrong or lack a permission.
    #[error(
        "the authorization server refuses this resource server, found {answer}: check the \
         credentials for the introspection endpoint"
    )]
    Caller {
        /// What came.
        answer: Box<Received>,
    },
    /// The answer cannot be read.
    #[error("no introspection answer: {reason}, found {answer}")]
    Response {
        /// What is wrong with it.
        reason: &'static str,
        /// What came.
        answer: Box<Received>,
    },
    /// A member of the answer is missing or malformed.
    #[error("the introspection answer is not usable: `{member}` has to be {expected}")]
    Member {
        /// The member.
        member: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// A signed answer is no JWT that is accepted, or its signature does not hold.
    #[error("the signed introspection answer was refused")]
    Jws(#[source] aims_jose::Error),
    /// A signed answer is another issuer's.
    #[error("the signed introspection answer is of another issuer: expected `{expected}`")]
    Issuer {
        /// The issuer that was asked.
        expected: Box<str>,
    },
    /// A signed answer is for another resource server.
    #[error("the signed introspection answer is for another audience: expected `{expected}`")]
    Audience {
        /// What this resource server is called at the issuer.
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
        /// The present time in Unix seconds.
        now: u64,
        /// How old an answer may be, in seconds.
        max_age: u64,
        /// The skew in seconds.
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
