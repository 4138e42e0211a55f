//! The error type of this crate.

use std::fmt;

use aims_jose::jwk::SkippedKeys;

/// Error returned when an access token is refused, or when a request does not carry one correctly.
///
/// No message contains a token. No message repeats its source; [`aims_jose::Chain`] prints both.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token is not a well-formed JWS, or its `typ`, `alg`, signature, times or another claim
    /// is wrong.
    #[error("access token")]
    Token(#[source] aims_jose::Error),
    /// The header `typ` is not one of the issuer's profile (RFC 9068 §2.1, RFC 8725 §3.11).
    #[error("unexpected `typ` {}, expected {expected}", Typ(found.as_deref()))]
    HeaderType {
        /// The `typ` of the token, at most 128 bytes.
        found: Option<String>,
        /// The types that the profile accepts, and what to do.
        expected: String,
    },
    /// The token is another kind of token, or has no marker of an access token.
    #[error("not an access token: {0}")]
    NotAccessToken(NotAccessToken),
    /// A claim is missing, or does not have the value that the issuer's profile expects.
    #[error(
        "access token: the claim `{claim}` is missing or malformed, expected {expected}{}",
        Found(found.as_deref())
    )]
    Claim {
        /// The name of the claim.
        claim: String,
        /// The value that the profile expects, and the remedy.
        expected: String,
        /// The value that was found, as the message shows it, if one value is expected.
        found: Option<Box<str>>,
    },
    /// The store already has other rules for the issuer.
    #[error(
        "the store of issuers has other rules for `{issuer}` already, and they apply to all users of the store: expected the same rules; give each resource its own store"
    )]
    OtherRules {
        /// The issuer.
        issuer: String,
    },
    /// `aud` contains none of this resource's identifiers.
    #[error(
        "the access token is for another resource: found {}, expected {}",
        List(found),
        List(expected)
    )]
    Audience {
        /// The `aud` of the token.
        found: Vec<String>,
        /// The identifiers of the resource.
        expected: Vec<String>,
    },
    /// `iss` is not one of the configured issuers.
    #[error(
        "the access token is not of a configured issuer: found {}, expected {}{}; if it is your server, configure the issuer byte for byte as its tokens have it",
        List(std::slice::from_ref(found)),
        List(expected),
        if *more == 0 { String::new() } else { format!(" or one of {more} more") }
    )]
    UnknownIssuer {
        /// The `iss` of the token. It is not verified.
        found: String,
        /// The first of the configured issuers, in alphabetical order.
        expected: Vec<String>,
        /// The number of configured issuers that are not listed.
        more: usize,
    },
    /// The issuer was removed from the store, or the store has it in another spelling. Its keys are
    /// not set.
    #[error(
        "the keys of `{issuer}` are not set: the issuer was removed from the store; call `IssuerStore::name` or `IssuerStore::set_rules` to trust it again"
    )]
    NotConfigured {
        /// The issuer.
        issuer: String,
    },
    /// A token profile, or the rules of an issuer, are not valid.
    #[error("invalid token profile: {reason}")]
    Profile {
        /// The problem, and the expected value.
        reason: &'static str,
    },
    /// The issuer has no such key. Fetching its keys again may help.
    #[error(
        "the issuer `{issuer}` has no key for {}: its keys have the `kid` {known}{skipped}",
        KeyId(key_id.as_deref())
    )]
    UnknownKey {
        /// The configured issuer.
        issuer: String,
        /// The `kid` of the token.
        key_id: Option<String>,
        /// The `kid` of some of the known keys, as the message shows them.
        known: Box<str>,
        /// The unused entries of the issuer's key set, and the reasons.
        skipped: SkippedKeys,
    },
    /// The issuer's keys were not confirmed for too long, and are no longer trusted
    /// ([`IssuerStore::set_until`](crate::IssuerStore::set_until)). Fetching them again may help.
    #[error("the keys of the issuer `{issuer}` are stale")]
    KeysStale {
        /// The configured issuer.
        issuer: String,
    },
    /// Several keys of the issuer match.
    #[error("several keys of the issuer `{issuer}` fit")]
    AmbiguousKey {
        /// The configured issuer.
        issuer: String,
    },
    /// `cnf` is malformed, contradicts itself, or has a member that cannot be checked.
    #[error("`cnf` cannot be checked")]
    Confirmation,
    /// The request does not prove what the token is bound to, or the token is bound to nothing.
    #[error("{0}")]
    NotBound(BindingFailure),
    /// The access token was revoked.
    #[error("the access token was revoked")]
    Revoked,
    /// The issuer reports that the token is not active: unknown, expired, revoked, or not for this
    /// resource server (RFC 7662 §2.2).
    #[error("the issuer `{issuer}` says that the access token is not active")]
    Inactive {
        /// The issuer that was asked.
        issuer: String,
    },
    /// The token is opaque, and its issuer was not asked about it recently. An introspection
    /// request (RFC 7662) may help.
    #[error("the access token is opaque, and `{issuer}` has not been asked about it")]
    NotIntrospected {
        /// The issuer to ask.
        issuer: String,
    },
    /// The introspection answer describes a token that is presented in another way (RFC 7662 §2.2).
    #[error("the access token is of the type {found:?}, expected {expected}")]
    PresentedType {
        /// The `token_type` of the answer, at most 100 characters.
        found: String,
        /// The expected presentation of tokens with such a `cnf`.
        expected: &'static str,
    },
    /// The request has no access token (RFC 6750 §3.1).
    #[error("no access token")]
    Missing,
    /// `Authorization` is repeated or malformed (RFC 6750 §2.1).
    #[error("the `Authorization` field is repeated or malformed")]
    Authorization,
    /// `Authorization` has another scheme than those that the resource accepts.
    #[error(
        "the scheme of `Authorization` is not accepted: expected `Bearer`, or `DPoP` where the \
         resource is configured to accept DPoP"
    )]
    Scheme,
    /// The access token is longer than the limit.
    #[error(
        "the access token is longer than {limit} bytes; where an issuer's tokens are, raise the limit (`AccessTokenRules::with_max_len`, `GuardBuilder::max_token_len`)"
    )]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The key set has no usable key. It does not replace one that has.
    #[error("the key set of the issuer has no usable key{skipped}")]
    NoKeys {
        /// The entries of the key set, and why they are not used.
        skipped: SkippedKeys,
    },
    /// The key set is malformed.
    #[error("the key set of the issuer is malformed")]
    KeySet(#[source] aims_jose::Error),
    /// A document or challenge cannot have these values.
    #[error(transparent)]
    Wire(#[from] aims_oauth_wire::Error),
}

impl Error {
    aims_error::codes! {
        Self::HeaderType { .. } => Mismatch "token.typ",
        Self::NotAccessToken(_) => Mismatch "token.not_access_token",
        Self::Claim { .. } => Malformed "token.claim",
        Self::Profile { .. } => Configuration "token.profile",
        Self::NotConfigured { .. } => Configuration "token.not_configured",
        Self::OtherRules { .. } => Configuration "token.issuer_rules",
        Self::Audience { .. } => Mismatch "token.audience",
        Self::UnknownIssuer { .. } => Untrusted "token.unknown_issuer",
        Self::UnknownKey { .. } => Untrusted "token.unknown_key",
        Self::KeysStale { .. } => Unavailable "token.keys_stale",
        Self::AmbiguousKey { .. } => Untrusted "token.ambiguous_key",
        Self::Confirmation => Malformed "token.confirmation",
        Self::NotBound(_) => Mismatch "token.not_bound",
        Self::Revoked => Revoked "token.revoked",
        Self::Inactive { .. } => Revoked "token.inactive",
        Self::NotIntrospected { .. } => Unavailable "token.not_introspected",
        Self::PresentedType { .. } => Mismatch "token.type",
        Self::Missing => Forbidden "token.missing",
        Self::Authorization => Malformed "token.authorization",
        Self::Scheme => Forbidden "token.scheme",
        Self::TooLong { .. } => TooLarge "token.too_long",
        Self::NoKeys { .. } => Untrusted "token.no_keys",
        Self::KeySet(_) => Malformed "token.key_set",
        ;
        Self::Token(source) => aims_jose::token_code!("token", source), source.kind();
        Self::Wire(source) => source.code(), source.kind();
        ; [
            "token.algorithm",
            "token.expired",
            "token.lifetime",
            "token.not_yet_valid",
            "token.signature",
        ]
    }
}

/// The reason why a token does not match the proofs of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingFailure {
    /// The token has no `cnf`, and the route or the caller requires one.
    #[error(
        "the access token carries no `cnf`: expected a token that is bound to the sender's key, or one of the sender's own client; get bound tokens, or name the workload of the client by `IssuerRules::client_is`"
    )]
    NoConfirmation,
    /// The request has no proof of the kind that this member of `cnf` requires.
    #[error(
        "the access token is bound by `cnf.{method}`, and no proof of this kind was presented: expected {}",
        proof_for(method)
    )]
    NoProof {
        /// The member of `cnf`.
        method: &'static str,
    },
    /// The request has a proof of the right kind, but by another key or certificate.
    #[error(
        "the access token is bound to another key than the one that was proven (`cnf.{method}`): expected the token that was issued for the key of this request's proof"
    )]
    OtherKey {
        /// The member of `cnf`.
        method: &'static str,
    },
    /// The token is bound to the key of a DPoP proof, and is not sent with the scheme `DPoP` (RFC
    /// 9449 §7.2).
    #[error(
        "the access token is bound by `cnf.jkt`, and was not sent with the scheme `DPoP`: expected `Authorization: DPoP` with a DPoP proof (RFC 9449 §7.1)"
    )]
    NotSentAsDpop,
    /// The token is sent with the scheme `DPoP`, and is not bound to the key of a DPoP proof (RFC
    /// 9449 §7.1).
    #[error(
        "the access token was sent with the scheme `DPoP`, and has no `cnf.jkt`: expected a token that is bound to the key of the DPoP proof, or `Authorization: Bearer`"
    )]
    SentAsDpop,
    /// The token names another workload than the proven one.
    #[error(
        "the access token was issued to another workload than the proven one: expected a token of the proven workload; if the token's client is this workload, name it by `IssuerRules::client_is`"
    )]
    OtherWorkload,
}

/// Returns the name of the proof that a member of `cnf` requires.
fn proof_for(method: &str) -> &'static str {
    match method {
        "jkt" => "a DPoP proof by the bound key (RFC 9449 §6.1)",
        "x5t#S256" => "mutual TLS with the bound certificate (RFC 8705 §3.1)",
        _ => "an HTTP signature or a workload proof token by the bound key",
    }
}

/// The reason why a token does not count as an access token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAccessToken {
    /// The token has a claim of ID tokens, logout tokens or security event tokens.
    #[error("it has `{claim}`, which access tokens do not have")]
    ForeignClaim {
        /// The name of the claim.
        claim: &'static str,
    },
    /// A claim says that the token is for something else.
    #[error(
        "its claim `{claim}` says that it is another kind of token: expected {expected}, found {found}"
    )]
    OtherUse {
        /// The name of the claim.
        claim: &'static str,
        /// The value in access tokens.
        expected: &'static str,
        /// The value that was found, as the message shows it.
        found: Box<str>,
    },
    /// The token has none of the markers of the profile.
    #[error("it has no marker of one, expected {expected}, or header `typ` \"at+jwt\"{advice}")]
    NoMarker {
        /// The markers of the profile.
        expected: String,
        /// The remedy, if another profile is known to fit.
        advice: &'static str,
    },
    /// `aud` names only the token's own client, as in an ID token.
    #[error(
        "its `aud` names its own client alone, as that of an ID token does; `JwtProfile::accept_own_client_as_audience` accepts it"
    )]
    ForItsClient,
}

impl Error {
    pub(crate) fn claim(claim: &str, expected: impl Into<String>) -> Self {
        Self::Claim {
            claim: claim.to_owned(),
            expected: expected.into(),
            found: None,
        }
    }
}

/// Displays a value that was found, if there is one.
struct Found<'a>(Option<&'a str>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(found) => write!(f, ", found {found}"),
            None => Ok(()),
        }
    }
}

/// Displays what a token says about its key.
struct KeyId<'a>(Option<&'a str>);

impl fmt::Display for KeyId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, "the `kid` {}", List(&[id.to_owned()])),
            None => f.write_str("a token without `kid`"),
        }
    }
}

/// Displays a header `typ`, or its absence.
struct Typ<'a>(Option<&'a str>);

impl fmt::Display for Typ<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(typ) => write!(f, "{typ:?}"),
            None => f.write_str("(none)"),
        }
    }
}

/// Displays untrusted texts, escaped, with at most [`MAX_SHOWN`] characters in total.
struct List<'a>(&'a [String]);

const MAX_SHOWN: usize = 200;

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self
            .0
            .iter()
            .map(|text| format!("{text:?}"))
            .collect::<Vec<_>>()
            .join(" or ");
        if all.is_empty() {
            return f.write_str("nothing");
        }
        match all.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => write!(f, "{}…", all.get(..end).unwrap_or_default()),
            None => f.write_str(&all),
        }
    }
}
