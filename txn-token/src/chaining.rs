//! Grants that carry a transaction into another trust domain
//! (draft-fletcher-oauth-txn-token-chaining-profile).

use std::time::Duration;

use aims_error::shown;
use aims_jose::jwk::JwkSet;
use aims_jose::jws::{SigningInput, Unverified, Verified};
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times, not_before, present, required};
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::{self, Skew, UnixTime};
use aims_jose::{Algorithm, json};
use aims_oauth_wire::confirmation::{Confirmation, ProvenKey};
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::names::{Issuer, Resource, ScopeSet};
use aims_replay::{ReplayKey, ReplayStore, Validity};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::revision::SIGNING;
use crate::token::{check_confirmed, confirmations, malformed, non_empty, signer};
use crate::{Error, TxnToken};

/// The revision of the chaining profile that this module implements. The profile was renamed from
/// draft-fletcher-transaction-token-chaining-profile, whose revision -01 is the newest text read.
pub const CHAINING_REVISION: &str = "draft-fletcher-oauth-txn-token-chaining-profile-00";

/// The header `typ` of a grant.
const TYP: &str = "txn-chain+jwt";

/// Maximum lifetime of a grant in seconds.
const MAX_LIFETIME: u64 = 300;

/// The longest grant in bytes.
const MAX_LEN: usize = 8 * 1024;

/// The longest `jti` in bytes.
const MAX_JTI: usize = 256;

/// Claims of a transaction token that tell of the services within the domain. They do not leave it.
const INTERNAL: [&str; 4] = ["req_wl", "act", "agentic_ctx", "tctx"];

/// The content of a new grant for the authorization server of another domain.
///
/// The authorization server of the own domain makes it in a token exchange whose subject token is
/// the transaction token. It must trust the other server, and map the subject to a name that means
/// something there.
#[derive(Clone, Debug)]
#[must_use = "a grant comes into being with `prepare` and a signature"]
pub struct ChainGrantRequest {
    issuer: Issuer,
    audience: Issuer,
    subject: String,
    scope: ScopeSet,
    txn: String,
    begins: Option<UnixTime>,
    ends: UnixTime,
    resources: Vec<Resource>,
    carried: Map<String, Value>,
    cnf: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct NewClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    jti: &'a str,
    scope: String,
    txn: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource: Vec<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    txn_claims: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<&'a RawValue>,
}

impl ChainGrantRequest {
    /// Creates a grant from a verified transaction token. `issuer` is the authorization server that
    /// issues it, `audience` the one of the other domain, and `subject` the name of the token's
    /// subject there.
    pub fn new(
        token: &TxnToken,
        issuer: Issuer,
        audience: Issuer,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            issuer,
            audience,
            subject: subject.into(),
            scope: token.scopes().clone(),
            txn: token.txn().to_owned(),
            begins: token.not_before(),
            ends: token.expires(),
            resources: Vec::new(),
            carried: Map::new(),
            cnf: None,
        }
    }

    /// Narrows the scope to what is in the token and in `requested`.
    pub fn scope(mut self, requested: &ScopeSet) -> Self {
        self.scope = self.scope.intersection(requested);
        self
    }

    /// Translates the scope of the token into the vocabulary of the other domain. A scope without a
    /// row stays behind.
    ///
    /// # Errors
    ///
    /// `txn.prepare` for more scopes than a set has.
    pub fn translated(mut self, table: &ScopeTable) -> Result<Self, Error> {
        self.scope = table.inward(&self.scope).or(Err(Error::Prepare {
            reason: "the table makes too many scopes of those of the token",
        }))?;
        Ok(self)
    }

    /// Adds a resource of the other domain that the access token is for (RFC 8707). It is never the
    /// other authorization server.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Adds a member of `txn_claims`. Both domains agreed on it; it tells nothing of the services
    /// within this one.
    ///
    /// # Errors
    ///
    /// `txn.prepare` for `req_wl`, `act`, `agentic_ctx` and `tctx`, which stay within the domain.
    pub fn carry(mut self, member: impl Into<String>, value: Value) -> Result<Self, Error> {
        let member = member.into();
        if INTERNAL.contains(&member.as_str()) {
            return Err(Error::Prepare {
                reason: "`req_wl`, `act`, `agentic_ctx` and `tctx` do not leave the trust domain",
            });
        }
        self.carried.insert(member, value);
        Ok(self)
    }

    /// Sets `cnf`, the key that the access token is to be bound to, given as the text of a JSON
    /// object.
    ///
    /// # Errors
    ///
    /// `txn.confirmation` if the text is not an object with a confirmation method that can be
    /// checked.
    pub fn confirmation(mut self, cnf: &str) -> Result<Self, Error> {
        Confirmation::read_all(cnf.as_bytes()).or(Err(Error::Confirmation))?;
        let raw = RawValue::from_string(cnf.to_owned());
        self.cnf = Some(raw.or(Err(Error::Confirmation))?);
        Ok(self)
    }

    /// Prepares the grant. The caller then signs it.
    ///
    /// The lifetime is in whole seconds, from 1 s to 300 s; one minute suits most uses. The grant
    /// does not outlive the transaction token.
    ///
    /// # Errors
    ///
    /// `txn.prepare` for an empty subject or scope, a resource that is the other authorization
    /// server, a lifetime outside the limits, a transaction token that has ended, or an algorithm
    /// that new tokens may not use; the errors of the random source.
    pub fn prepare(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
        lifetime: Duration,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        let refused = |reason| Err(Error::Prepare { reason });
        if !SIGNING.contains(algorithm) {
            return refused("the algorithm is not one of ES256, ES384, EdDSA, Ed25519 and PS256");
        }
        if !(1..=MAX_LIFETIME).contains(&lifetime.as_secs()) {
            return refused("the lifetime must be from 1 second to 300 seconds");
        }
        if self.ends.as_secs() <= now.as_secs() {
            return refused("the transaction token has ended");
        }
        if self.subject.is_empty() {
            return refused("the subject is empty");
        }
        if self.scope.is_empty() {
            return refused("no scope is left: the token and the request have none in common");
        }
        let is_server = |it: &Resource| it.as_str() == self.audience.as_str();
        if self.resources.iter().any(is_server) {
            return refused("a resource is the other authorization server, which is the audience");
        }
        let ends = time::after(now, lifetime).as_secs();
        let jti = random::id128(random).map_err(Error::Token)?;
        let claims = NewClaims {
            iss: self.issuer.as_str(),
            sub: &self.subject,
            aud: self.audience.as_str(),
            iat: now.as_secs(),
            exp: ends.min(self.ends.as_secs()),
            nbf: self.begins.map(|it| it.as_secs()),
            jti: &jti,
            scope: self.scope.to_string(),
            txn: &self.txn,
            resource: self.resources.iter().map(Resource::as_str).collect(),
            txn_claims: &self.carried,
            cnf: self.cnf.as_deref(),
        };
        let written = serde_json::to_vec(&claims).or(Err(Error::Prepare {
            reason: "the claims cannot be written",
        }))?;
        if json::check_object(&written).is_err() {
            return refused("`txn_claims` is too deep or has too many members");
        }
        SigningInput::new(TYP, algorithm, key_id, &claims).map_err(Error::Token)
    }
}

/// Rules for grants, at the authorization server that they are for.
#[derive(Clone, Debug)]
pub struct ChainGrantRules {
    own: Issuer,
    issuer: Issuer,
    times: TimeRules,
}

impl ChainGrantRules {
    /// Accepts grants of `issuer` for the authorization server `own`. The skew is 30 s.
    #[must_use]
    pub fn new(own: Issuer, issuer: Issuer) -> Self {
        Self {
            own,
            issuer,
            times: TimeRules::new().with_max_lifetime(Duration::from_secs(MAX_LIFETIME)),
        }
    }

    /// Sets the clock skew. Defaults to 30 s. It does not extend the maximum lifetime.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }
}

/// A verified grant that must still be spent: it is good for one access token.
#[derive(Debug)]
#[must_use = "a grant that is not spent can be used again"]
pub struct UnspentChainGrant {
    grant: ChainGrant,
    name: ReplayKey,
    valid: Validity,
}

/// A grant of another domain that was verified and spent.
///
/// The access token that it gives is for the subject, within the scope and for the resources of the
/// grant, and has no refresh token.
#[derive(Debug)]
pub struct ChainGrant {
    verified: Verified,
    subject: String,
    scopes: ScopeSet,
    txn: Option<String>,
    resources: Vec<String>,
    confirmations: Vec<Confirmation>,
    expires: UnixTime,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    aud: Option<Audience<'a>>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "not_before")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "present")]
    txn: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    resource: Option<Audience<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    txn_claims: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    cnf: Option<&'a RawValue>,
}

impl ChainGrant {
    /// Verifies a grant with the keys of the issuer in the rules.
    ///
    /// The header `typ` must be exactly `txn-chain+jwt`. `aud` must be the own issuer alone. A
    /// grant without `scope` is refused, because it limits nothing.
    ///
    /// # Errors
    ///
    /// `txn.typ`, `txn.algorithm`, `txn.signature`, `txn.claim`, `txn.domain`, `txn.issuer`,
    /// `txn.expired`, `txn.not_yet_valid`, `txn.lifetime`, `txn.confirmation`. For a malformed
    /// grant or a missing key, the codes of `jose`.
    pub fn verify(
        text: &str,
        keys: &JwkSet,
        rules: &ChainGrantRules,
        now: UnixTime,
    ) -> Result<UnspentChainGrant, Error> {
        let token = Unverified::parse_within(text, MAX_LEN).map_err(Error::Token)?;
        let key = signer(&token, TYP, keys)?;
        let verified = token.verify(key).map_err(Error::Token)?;
        read(verified, rules, now)
    }

    /// Returns `sub`, the subject by the name that both domains agreed on.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns `scope`, the most that the access token may permit.
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// Returns `txn`, for the records of both domains.
    #[must_use]
    pub fn txn(&self) -> Option<&str> {
        self.txn.as_deref()
    }

    /// Returns `resource`, the resources that the access token is for. Empty if the grant names
    /// none.
    #[must_use]
    pub fn resources(&self) -> &[String] {
        &self.resources
    }

    /// Returns `exp`.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// Deserializes further claims, such as `txn_claims`.
    ///
    /// # Errors
    ///
    /// Those of [`aims_jose::jwt::claims`].
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, aims_jose::Error> {
        self.verified.claims()
    }
}

impl UnspentChainGrant {
    /// Returns the grant, to judge it before it is spent. It gives no access token before
    /// [`spend`](Self::spend).
    #[must_use]
    pub const fn unspent(&self) -> &ChainGrant {
        &self.grant
    }

    /// Spends the grant of a client that proves these keys, so that it is good for no second access
    /// token. A bound grant whose keys are not all among them is not spent: so a thief without the
    /// key gets no token, and cannot use the grant up.
    ///
    /// # Errors
    ///
    /// `txn.not_bound`; `replay.replayed` if the grant was used before; other `replay.…` if the
    /// store cannot remember it.
    pub fn spend(
        self,
        proven: &[ProvenKey],
        store: &dyn ReplayStore,
        now: UnixTime,
    ) -> Result<ChainGrant, Error> {
        check_confirmed(&self.grant.confirmations, proven)?;
        aims_replay::spend_proof(store, &self.name, self.valid, now).map_err(Error::Replay)?;
        Ok(self.grant)
    }
}

fn read(
    verified: Verified,
    rules: &ChainGrantRules,
    now: UnixTime,
) -> Result<UnspentChainGrant, Error> {
    let claims: Claims<'_> = verified.claims().map_err(Error::Token)?;
    if claims.iss.as_deref() != Some(rules.issuer.as_str()) {
        return Err(Error::Issuer {
            found: shown(claims.iss.as_deref()),
            expected: rules.issuer.as_str().into(),
        });
    }
    let aud = required(claims.aud, "aud").map_err(Error::Token)?;
    if aud.sole() != Some(rules.own.as_str()) {
        return Err(Error::Domain {
            found: shown(aud.iter()),
            expected: rules.own.as_str().into(),
        });
    }
    let issued = required(claims.iat, "iat").map_err(Error::Token)?;
    let expires = required(claims.exp, "exp").map_err(Error::Token)?;
    let times = Times::new(Some(expires), claims.nbf, Some(issued));
    rules.times.check(&times, now).map_err(Error::Token)?;
    let scope = required(claims.scope, "scope").map_err(Error::Token)?;
    let scopes: ScopeSet = scope.parse().or(Err(malformed("scope")))?;
    let resources: Vec<String> = match &claims.resource {
        Some(resources) => resources.iter().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    // A grant that names this server as its resource confuses `aud` with `resource`.
    if resources.iter().any(|it| it == rules.own.as_str()) {
        return Err(malformed("resource"));
    }
    if claims
        .txn_claims
        .is_some_and(|it| !it.get().starts_with('{'))
    {
        return Err(malformed("txn_claims"));
    }
    let jti = non_empty(claims.jti, "jti")?;
    if jti.len() > MAX_JTI {
        return Err(malformed("jti"));
    }
    let expires: UnixTime = expires.into();
    Ok(UnspentChainGrant {
        name: ReplayKey::new("txn-chain", rules.issuer.as_str(), &[jti.as_str()]),
        valid: Validity::new(
            rules.times.accepted_from(&times),
            rules.times.skew().remember_until(expires.as_secs()),
        ),
        grant: ChainGrant {
            subject: non_empty(claims.sub, "sub")?,
            scopes,
            txn: claims.txn,
            resources,
            confirmations: confirmations(claims.cnf)?,
            expires,
            verified,
        },
    })
}
