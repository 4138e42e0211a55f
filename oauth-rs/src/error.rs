//! Why an access token is refused.

/// An access token was refused, or a request does not carry one as it should.
///
/// No message holds a token. None repeats its source: [`aims_jose::Chain`] shows both.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token is no well-formed JWS, or its `typ`, `alg`, signature, one of its claims or its
    /// times is wrong.
    #[error("access token")]
    Token(#[source] aims_jose::Error),
    /// `aud` holds none of this resource's identifiers (ATJ-04).
    #[error("the access token is for another resource")]
    Audience,
    /// `iss` is not one of the configured issuers (ATJ-03).
    #[error("the access token is not of a configured issuer")]
    UnknownIssuer,
    /// The issuer has no such key. A refresh of its keys may help.
    #[error("the issuer `{issuer}` has no such key")]
    UnknownKey {
        /// The configured issuer.
        issuer: String,
        /// The token's `kid`.
        key_id: Option<String>,
    },
    /// The issuer's keys could not be confirmed for too long, and are believed no longer
    /// ([`IssuerStore::set_until`](crate::IssuerStore::set_until)). A refresh of them may help.
    #[error("the keys of the issuer `{issuer}` are stale")]
    KeysStale {
        /// The configured issuer.
        issuer: String,
    },
    /// Several keys of the issuer fit.
    #[error("several keys of the issuer `{issuer}` fit")]
    AmbiguousKey {
        /// The configured issuer.
        issuer: String,
    },
    /// `cnf` is malformed, contradicts itself, or confirms in a way that cannot be checked.
    #[error("`cnf` cannot be checked")]
    Confirmation,
    /// The request does not prove what the token is bound to, or the token is bound to nothing.
    #[error("{0}")]
    NotBound(BindingFailure),
    /// The access token was revoked.
    #[error("the access token was revoked")]
    Revoked,
    /// The request carries no access token (BEAR-02).
    #[error("no access token")]
    Missing,
    /// More than one `Authorization` field, or one that is malformed (BEAR-01).
    #[error("the `Authorization` field is repeated or malformed")]
    Authorization,
    /// `Authorization` has another scheme than `Bearer`.
    #[error("the scheme of `Authorization` is not `Bearer`")]
    Scheme,
    /// The access token is longer than this.
    #[error("the access token is longer than {limit} bytes")]
    TooLong {
        /// In bytes.
        limit: usize,
    },
    /// The key set has no usable key, and does not replace one that has (T-085).
    #[error("the key set of the issuer has no usable key")]
    NoKeys,
    /// The key set is malformed.
    #[error("the key set of the issuer is malformed")]
    KeySet(#[source] aims_jose::Error),
    /// A document or challenge cannot be written with these values.
    #[error(transparent)]
    Wire(#[from] aims_oauth_wire::Error),
}

impl Error {
    aims_error::codes! {
        Self::Audience => Mismatch "token.audience",
        Self::UnknownIssuer => Untrusted "token.unknown_issuer",
        Self::UnknownKey { .. } => Untrusted "token.unknown_key",
        Self::KeysStale { .. } => Unavailable "token.keys_stale",
        Self::AmbiguousKey { .. } => Untrusted "token.ambiguous_key",
        Self::Confirmation => Malformed "token.confirmation",
        Self::NotBound(_) => Mismatch "token.not_bound",
        Self::Revoked => Revoked "token.revoked",
        Self::Missing => Forbidden "token.missing",
        Self::Authorization => Malformed "token.authorization",
        Self::Scheme => Forbidden "token.scheme",
        Self::TooLong { .. } => TooLarge "token.too_long",
        Self::NoKeys => Untrusted "token.no_keys",
        Self::KeySet(_) => Malformed "token.key_set",
        ;
        Self::Token(source) => aims_jose::token_code!("token", source), source.kind();
        Self::Wire(source) => source.code(), source.kind();
        ; [
            "token.algorithm",
            "token.claim",
            "token.expired",
            "token.lifetime",
            "token.not_yet_valid",
            "token.signature",
            "token.typ",
        ]
    }
}

/// Why a token does not fit the proofs of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingFailure {
    /// The token has no `cnf`, and the route or the caller asks for one.
    #[error(
        "the access token carries no `cnf`: expected a token that is bound to the sender's key"
    )]
    NoConfirmation,
    /// The request has no proof of the kind that this member of `cnf` asks for.
    #[error("the access token is bound by `cnf.{method}`, and no proof of this kind was presented")]
    NoProof {
        /// The member of `cnf`.
        method: &'static str,
    },
    /// A proof of the right kind was presented, by another key or certificate.
    #[error(
        "the access token is bound to another key than the one that was proven (`cnf.{method}`)"
    )]
    OtherKey {
        /// The member of `cnf`.
        method: &'static str,
    },
    /// The token names another workload than the proven one.
    #[error("the access token was issued to another workload than the proven one")]
    OtherWorkload,
}
