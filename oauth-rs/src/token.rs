//! JWT access tokens (RFC 9068).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aims_jose::alg::AlgorithmSet;
use aims_jose::jwk::Thumbprint;
use aims_jose::jws::{Unverified, Verified};
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times, present, required};
use aims_jose::time::{Skew, UnixTime};
use aims_oauth_wire::names::ScopeSet;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{BindingFailure, Confirmation, Error, Issuers, ProfileName, ProvenKey};

/// What a resource asks of access tokens.
#[derive(Clone, Debug)]
pub struct AccessTokenRules {
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) times: TimeRules,
    pub(crate) max_len: usize,
}

impl AccessTokenRules {
    /// For a resource with this identifier (RFC 8707): tokens of at most 8 KiB, any algorithm of
    /// the issuer's keys, 30 s of skew.
    #[must_use]
    pub fn new(audience: impl Into<String>) -> Self {
        Self {
            audiences: vec![audience.into()],
            algorithms: AlgorithmSet::ALL,
            times: TimeRules::new(),
            max_len: 8 * 1024,
        }
    }

    /// Another identifier of the same resource.
    #[must_use]
    pub fn or_for(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Only these algorithms, of those that the issuer's keys are for.
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Another skew.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Another limit to the length of the text, in bytes.
    #[must_use]
    pub const fn with_max_len(mut self, most: usize) -> Self {
        self.max_len = most;
        self
    }
}

/// A verified access token (RFC 9068 §4). Clones share what was read.
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    hash: [u8; 32],
    signed_hash: [u8; 32],
    verified: Verified,
    issuer: String,
    subject: String,
    client_id: String,
    jwt_id: String,
    scopes: ScopeSet,
    roles: BTreeSet<String>,
    confirmations: Vec<Confirmation>,
    actors: Vec<Actor>,
    issued_at: Option<UnixTime>,
    expires: UnixTime,
    profile: ProfileName,
    signed_by: Thumbprint,
}

/// How the resource server learned what a token says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a token is signed or asked about")]
pub enum TokenSource {
    /// The token is a JWS, and its signature was verified here (RFC 7515).
    Jws,
    /// The issuer answered an introspection request (RFC 7662).
    Introspected,
}

/// One who acts for the subject (RFC 8693 §4.1).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Actor {
    /// `sub` of the actor.
    pub subject: String,
    /// `iss` of the actor, where it has one.
    pub issuer: Option<String>,
}

/// The claims, read once. Nothing of them is believed before the signature was verified; `iss`
/// chooses the key until then.
#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "audiences")]
    aud: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    act: Option<Box<RawValue>>,
}

fn audiences<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let audience = Audience::deserialize(deserializer)?;
    Ok(Some(audience.iter().map(str::to_owned).collect()))
}

/// A claim that must be there.
fn needed<T>(value: Option<T>, claim: &'static str) -> Result<T, Error> {
    required(value, claim).map_err(Error::Token)
}

/// A text that must be there and say something.
fn required_non_empty(text: Option<String>, claim: &'static str) -> Result<String, Error> {
    needed(text.filter(|text| !text.is_empty()), claim)
}

#[derive(Deserialize)]
struct Act<'a> {
    sub: String,
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    act: Option<&'a RawValue>,
}

/// The deepest chain of actors that is read.
const MAX_ACTORS: usize = 8;

impl AccessToken {
    /// Verifies an access token: `typ` `at+jwt`; the signature by the one key of its issuer that
    /// fits `kid` and `alg`, where `iss` only chooses among the configured issuers; `aud`; `exp`,
    /// `nbf`, `iat`; all claims that RFC 9068 §2.2 requires; `cnf`, `act`, `scope`.
    ///
    /// # Errors
    ///
    /// The codes `token.…`; for a malformed token those of `jose`. After
    /// [`UnknownKey`](Error::UnknownKey) and [`KeysStale`](Error::KeysStale), a refresh of the
    /// issuer's keys may help.
    pub fn verify(
        text: &str,
        issuers: &Issuers,
        rules: &AccessTokenRules,
        now: UnixTime,
    ) -> Result<Self, Error> {
        if text.len() > rules.max_len {
            let limit = rules.max_len;
            return Err(Error::TooLong { limit });
        }
        let token = Unverified::parse_within(text, rules.max_len).map_err(Error::Token)?;
        let header = token.header();
        header.expect_typ("at+jwt").map_err(Error::Token)?;
        let algorithm = header.alg();
        if !rules.algorithms.contains(algorithm) {
            return Err(Error::Token(aims_jose::Error::AlgorithmMismatch {
                algorithm,
            }));
        }
        let payload = token.unverified_payload().map_err(Error::Token)?;
        let claims: Claims = aims_jose::json::from_object(payload).map_err(Error::Token)?;
        let issuer = needed(claims.iss, "iss")?;
        let key = issuers.select(&issuer, header.kid(), algorithm, now)?;
        let hashes = token.hashes();
        let verified = token.verify(key).map_err(Error::Token)?;
        let subject = required_non_empty(claims.sub, "sub")?;
        let client_id = required_non_empty(claims.client_id, "client_id")?;
        let jwt_id = required_non_empty(claims.jti, "jti")?;
        let exp = needed(claims.exp, "exp")?;
        let iat = needed(claims.iat, "iat")?;
        let audiences = needed(claims.aud, "aud")?;
        if !rules.audiences.iter().any(|own| audiences.contains(own)) {
            return Err(Error::Audience);
        }
        let times = Times::new(Some(exp), claims.nbf, Some(iat));
        rules.times.check(&times, now).map_err(Error::Token)?;
        let scopes = match &claims.scope {
            Some(text) => text.parse().or(Err(Error::Token(aims_jose::Error::Claim {
                claim: "scope",
            })))?,
            None => ScopeSet::new(),
        };
        let confirmations = match claims.cnf.as_deref() {
            Some(raw) => Confirmation::read_all(raw.get().as_bytes())?,
            None => Vec::new(),
        };
        let actors = actors(claims.act.as_deref())?;
        Ok(Self(Arc::new(Inner {
            hash: hashes.text,
            signed_hash: hashes.signed,
            issuer,
            subject,
            client_id,
            jwt_id,
            scopes,
            roles: BTreeSet::new(),
            confirmations,
            actors,
            issued_at: Some(iat.into()),
            expires: exp.into(),
            profile: ProfileName::Rfc9068,
            signed_by: *key.thumbprint(),
            verified,
        })))
    }

    /// `iss`: the configured issuer that vouches for it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// `sub`: on whose behalf it was issued.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// `client_id`: to whom it was issued.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// `jti`.
    #[must_use]
    pub fn jwt_id(&self) -> &str {
        &self.0.jwt_id
    }

    /// `scope`; empty where the token has none.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.scopes
    }

    /// The rights that the issuer gives the subject outside of scopes, such as roles or groups (RFC
    /// 9068 §2.2.3.1). They are no scopes: a role with the name of a scope does not grant it.
    #[must_use]
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.0.roles
    }

    /// `cnf`: what the token is bound to. Empty where it is bound to nothing.
    #[must_use]
    pub fn confirmations(&self) -> &[Confirmation] {
        &self.0.confirmations
    }

    /// Whether the token is bound: not usable by whoever holds its text alone.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        !self.0.confirmations.is_empty()
    }

    /// `act`: who acts for the subject, the current actor first. Only the first decides anything;
    /// the others tell how it came about (RFC 8693 §4.1).
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.0.actors
    }

    /// `iat`, where the token has one.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.0.issued_at
    }

    /// How the resource server learned what the token says.
    #[must_use]
    pub fn source(&self) -> TokenSource {
        TokenSource::Jws
    }

    /// The profile by which the token was accepted.
    #[must_use]
    pub fn profile(&self) -> ProfileName {
        self.0.profile
    }

    /// `exp`.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.0.expires
    }

    /// SHA-256 of the token's text: `ath` of a proof is its base64url.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.0.hash
    }

    /// SHA-256 of header and payload: the same for every signature over them.
    #[must_use]
    pub fn signed_hash(&self) -> &[u8; 32] {
        &self.0.signed_hash
    }

    /// Reads further claims, such as `authorization_details` or `groups`.
    ///
    /// # Errors
    ///
    /// Those of [`aims_jose::json::from_object`].
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, aims_jose::Error> {
        self.0.verified.claims()
    }

    /// Checks that the proofs of a request satisfy every member of `cnf`, each by its own kind of
    /// proof.
    ///
    /// # Errors
    ///
    /// `token.not_bound` where one member is not satisfied, or the token is bound to nothing.
    pub fn confirmed_by(&self, proven: &[ProvenKey]) -> Result<(), Error> {
        if !self.is_bound() {
            return Err(Error::NotBound(BindingFailure::NoConfirmation));
        }
        for member in self.confirmations() {
            member.check(proven).map_err(Error::NotBound)?;
        }
        Ok(())
    }

    /// Whether it can still be used: not ended, and its key still the issuer's, and still believed.
    pub(crate) fn check_still(
        &self,
        issuers: &Issuers,
        rules: &AccessTokenRules,
        now: UnixTime,
    ) -> Result<(), Error> {
        let ends = self.0.expires.as_secs();
        if rules.times.skew().has_ended(ends, now.as_secs()) {
            return Err(Error::Token(aims_jose::Error::Expired));
        }
        let header = self.0.verified.header();
        let key = issuers.select(&self.0.issuer, header.kid(), header.alg(), now)?;
        if *key.thumbprint() == self.0.signed_by {
            Ok(())
        } else {
            Err(Error::Token(aims_jose::Error::Signature))
        }
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("issuer", &self.0.issuer)
            .field("subject", &self.0.subject)
            .field("client_id", &self.0.client_id)
            .finish_non_exhaustive()
    }
}

/// The chain, outermost first, bounded (T-117).
fn actors(mut next: Option<&RawValue>) -> Result<Vec<Actor>, Error> {
    let mut actors = Vec::new();
    while let Some(raw) = next {
        let malformed = Error::Token(aims_jose::Error::Claim { claim: "act" });
        if actors.len() >= MAX_ACTORS {
            return Err(malformed);
        }
        // Serde alone would take an array for it.
        let act: Act<'_> = aims_jose::json::from_object(raw.get().as_bytes()).or(Err(malformed))?;
        actors.push(Actor {
            subject: act.sub,
            issuer: act.iss,
        });
        next = act.act;
    }
    Ok(actors)
}
