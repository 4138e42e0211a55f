//! Errors of verifying and making transaction tokens.

use aims_jose::Algorithm;

use crate::revision::ALGORITHMS;

/// A transaction token was refused, or could not be made.
///
/// No message contains a token. No message repeats its source; [`aims_jose::Chain`] prints both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token is not a well-formed JWS, or its signature, a claim or a time is wrong.
    #[error("transaction token")]
    Token(#[source] aims_jose::Error),
    /// The header `typ` is not exactly the expected one.
    #[error(
        "expected a token whose header `typ` is {expected:?}, found {}",
        found.as_deref().map_or_else(|| "none".to_owned(), |it| format!("{it:?}"))
    )]
    Type {
        /// `txntoken+jwt`, or `txn-chain+jwt` for a grant.
        expected: &'static str,
        /// `typ` of the token, at most 128 bytes.
        found: Option<Box<str>>,
    },
    /// `alg` is not an algorithm that transaction tokens are verified with.
    #[error("the transaction token is signed by {found}: expected one of {expected}")]
    Algorithm {
        /// `alg` of the token.
        found: &'static str,
        /// The accepted algorithms, separated by spaces.
        expected: Box<str>,
    },
    /// `aud` is not exactly this trust domain.
    #[error("the transaction token is for {found}: expected the trust domain {expected:?} alone")]
    Domain {
        /// `aud` of the token: in quotation marks, escaped, at most 200 characters.
        found: Box<str>,
        /// The trust domain.
        expected: Box<str>,
    },
    /// `iss` is missing or different, and the rules require an issuer.
    #[error("the transaction token is of another issuer: found {found}, expected {expected:?}")]
    Issuer {
        /// `iss` of the token: escaped, at most 200 characters.
        found: Box<str>,
        /// The required issuer.
        expected: Box<str>,
    },
    /// The token has `events`, so it is a security event token (RFC 8417 §2.2).
    #[error("not a transaction token: it has `events`, which security event tokens have")]
    Events,
    /// `cnf` is malformed, or uses a confirmation method that cannot be checked.
    #[error("`cnf` of the transaction token cannot be checked")]
    Confirmation,
    /// The request does not prove what the token is bound to.
    #[error("the transaction token is bound by `cnf.{method}`, which the request does not prove")]
    NotBound {
        /// The member of `cnf` that is not proven.
        method: &'static str,
    },
    /// The token was revoked.
    #[error("the transaction token was revoked")]
    Revoked,
    /// The token is not bound to a call of a tool.
    #[error("the transaction token is bound to no call: expected `tctx.call_digest`")]
    NoCall,
    /// The token is bound to another call of a tool.
    #[error(
        "the transaction token is for another call: the tool or its arguments are not those that \
         were asked for"
    )]
    OtherCall,
    /// The chain of agents is a loop: an agent occurs twice in `txn_path`, or the verifier has
    /// acted already.
    #[error(
        "the agents of the transaction token form a loop: expected each of \
         `agentic_ctx.chain_metadata.txn_path` once, and not this workload"
    )]
    AgentLoop,
    /// The chain of agents is longer than the rules allow.
    #[error("the transaction token went through {found} agents: at most {most} are accepted")]
    AgentHops {
        /// `hop_count`, or the length of `txn_path`.
        found: usize,
        /// The maximum.
        most: usize,
    },
    /// The assurance of an agent is lower than the rules require.
    #[error("the assurance of the agents is {found:?}: expected at least {least:?}")]
    AgentAssurance {
        /// The lowest assurance that the token tells of.
        found: &'static str,
        /// The required assurance.
        least: &'static str,
    },
    /// A grant was used before, or the replay store cannot remember it.
    #[cfg(feature = "chaining")]
    #[error("the grant of a transaction cannot be spent")]
    Replay(#[source] aims_replay::Error),
    /// The field occurs more than once.
    #[error("the field `Txn-Token` stands more than once")]
    FieldRepeated,
    /// The field does not hold exactly one compact JWT.
    #[error("the field `Txn-Token` does not hold one compact JWT")]
    FieldSyntax,
    /// The request does not allow a token.
    #[error("the transaction token cannot be made: {reason}")]
    Prepare {
        /// The defect.
        reason: &'static str,
    },
}

impl Error {
    pub(crate) fn algorithm(found: Algorithm) -> Self {
        let names: Vec<&str> = ALGORITHMS.iter().map(|it| it.name()).collect();
        Self::Algorithm {
            found: found.name(),
            expected: names.join(" ").into(),
        }
    }

    aims_error::codes! {
        Self::Type { .. } => Mismatch "txn.typ",
        Self::Algorithm { .. } => Untrusted "txn.algorithm",
        Self::Domain { .. } => Mismatch "txn.domain",
        Self::Issuer { .. } => Untrusted "txn.issuer",
        Self::Events => Mismatch "txn.events",
        Self::Confirmation => Malformed "txn.confirmation",
        Self::NotBound { .. } => Mismatch "txn.not_bound",
        Self::Revoked => Revoked "txn.revoked",
        Self::NoCall => Mismatch "txn.no_call",
        Self::OtherCall => Mismatch "txn.call",
        Self::AgentLoop => Forbidden "txn.agent_loop",
        Self::AgentHops { .. } => Forbidden "txn.agent_hops",
        Self::AgentAssurance { .. } => Forbidden "txn.agent_assurance",
        Self::FieldRepeated => Malformed "txn.field_repeated",
        Self::FieldSyntax => Malformed "txn.field_syntax",
        Self::Prepare { .. } => Configuration "txn.prepare",
        ;
        Self::Token(source) => aims_jose::token_code!("txn", source), source.kind();
        #[cfg(feature = "chaining")]
        Self::Replay(source) => source.code(), source.kind();
        ; [
            "txn.claim",
            "txn.expired",
            "txn.lifetime",
            "txn.not_yet_valid",
            "txn.signature",
        ]
    }
}
