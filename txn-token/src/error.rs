//! Why a transaction token is refused.

/// A transaction token was refused, or could not be made.
///
/// No message holds a token. None repeats its source: [`aims_jose::Chain`] shows both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token is no well-formed JWS, or its signature, one of its claims or its times is wrong.
    #[error("transaction token")]
    Token(#[source] aims_jose::Error),
    /// The header `typ` is not exactly `txntoken+jwt`.
    #[error(
        "not a transaction token: expected the header `typ` \"txntoken+jwt\", found {}",
        found.as_deref().map_or_else(|| "none".to_owned(), |it| format!("{it:?}"))
    )]
    Type {
        /// The token's `typ`, of 128 bytes at most.
        found: Option<Box<str>>,
    },
    /// `alg` is none of those that transaction tokens are verified with.
    #[error("the transaction token is signed by {found}: expected one of {expected}")]
    Algorithm {
        /// `alg` of the token.
        found: &'static str,
        /// What is accepted, with blanks between.
        expected: Box<str>,
    },
    /// `aud` is not this trust domain alone.
    #[error("the transaction token is for {found}: expected the trust domain {expected:?} alone")]
    Domain {
        /// `aud` of the token: in quotation marks, escaped, at most 200 characters.
        found: Box<str>,
        /// The trust domain.
        expected: Box<str>,
    },
    /// `iss` is missing or another one, where an issuer is asked for.
    #[error("the transaction token is of another issuer: found {found}, expected {expected:?}")]
    Issuer {
        /// `iss` of the token: escaped, at most 200 characters.
        found: Box<str>,
        /// The issuer that is asked for.
        expected: Box<str>,
    },
    /// The token has `events`, so it is a security event token (RFC 8417 §2.2).
    #[error("not a transaction token: it has `events`, which security event tokens have")]
    Events,
    /// `cnf` is malformed, or confirms in a way that cannot be checked.
    #[error("`cnf` of the transaction token cannot be checked")]
    Confirmation,
    /// The token is bound to no call of a tool.
    #[error("the transaction token is bound to no call: expected `tctx.call_digest`")]
    NoCall,
    /// The token is bound to another call of a tool.
    #[error(
        "the transaction token is for another call: the tool or its arguments are not those that \
         were asked for"
    )]
    OtherCall,
    /// The field stands more than once.
    #[error("the field `Txn-Token` stands more than once")]
    FieldRepeated,
    /// The field holds something else than one compact JWT.
    #[error("the field `Txn-Token` does not hold one compact JWT")]
    FieldSyntax,
    /// A token cannot be made so.
    #[error("the transaction token cannot be made: {reason}")]
    Prepare {
        /// What is wrong.
        reason: &'static str,
    },
}

impl Error {
    aims_error::codes! {
        Self::Type { .. } => Mismatch "txn.typ",
        Self::Algorithm { .. } => Untrusted "txn.algorithm",
        Self::Domain { .. } => Mismatch "txn.domain",
        Self::Issuer { .. } => Untrusted "txn.issuer",
        Self::Events => Mismatch "txn.events",
        Self::Confirmation => Malformed "txn.confirmation",
        Self::NoCall => Mismatch "txn.no_call",
        Self::OtherCall => Mismatch "txn.call",
        Self::FieldRepeated => Malformed "txn.field_repeated",
        Self::FieldSyntax => Malformed "txn.field_syntax",
        Self::Prepare { .. } => Configuration "txn.prepare",
        ;
        Self::Token(source) => aims_jose::token_code!("txn", source), source.kind();
        ; [
            "txn.claim",
            "txn.expired",
            "txn.lifetime",
            "txn.not_yet_valid",
            "txn.signature",
        ]
    }
}
