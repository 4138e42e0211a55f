//! Verifies transaction tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_error::shown;
use aims_jose::json::{self, Text};
use aims_jose::jwk::{JwkSet, Thumbprint};
use aims_jose::jws::{TokenHashes, Unverified, Verified};
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times, not_before, present, required};
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_oauth_wire::call::CallDigest;
use aims_oauth_wire::confirmation::{Confirmation, ProvenKey, Satisfied};
use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::transaction::CarriedTransaction;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::Error;
#[cfg(feature = "agents")]
use crate::agents::{self, AgentRules, Agents};
use crate::revision::{ALGORITHMS, MAX_LIFETIME, TYP};

/// Rules for verifying transaction tokens.
///
/// ```
/// use aims_txn_token::TxnTokenRules;
///
/// let rules = TxnTokenRules::new("example.org").with_issuer("https://tts.example.org");
/// # let _ = rules;
/// ```
#[derive(Clone, Debug)]
pub struct TxnTokenRules {
    domain: String,
    issuer: Option<String>,
    times: TimeRules,
    max_len: usize,
    #[cfg(feature = "agents")]
    agents: Option<AgentRules>,
}

impl TxnTokenRules {
    /// Accepts tokens for this trust domain, from every signer whose keys the caller passes. The
    /// skew is 30 s and the maximum length 8 KiB.
    #[must_use]
    pub fn new(domain: impl Into<String>) -> Self {
        Self {
            domain: domain.into(),
            issuer: None,
            times: TimeRules::new().with_max_lifetime(Duration::from_secs(MAX_LIFETIME)),
            max_len: 8 * 1024,
            #[cfg(feature = "agents")]
            agents: None,
        }
    }

    /// Requires this `iss`. By default any `iss` or none is accepted, because the keys identify the
    /// signer.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets the clock skew. Defaults to 30 s. It does not extend the maximum lifetime.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Sets the maximum length of the text in bytes. Defaults to 8 KiB.
    #[must_use]
    pub const fn with_max_len(mut self, most: usize) -> Self {
        self.max_len = most;
        self
    }

    /// Judges `act` and `agentic_ctx` by these rules. By default both are ignored.
    #[cfg(feature = "agents")]
    #[must_use]
    pub fn with_agents(mut self, rules: AgentRules) -> Self {
        self.agents = Some(rules);
        self
    }

    pub(crate) const fn is_too_long(&self, text: &str) -> bool {
        text.len() > self.max_len
    }
}

/// A verified transaction token: it was issued in this trust domain and has not expired.
///
/// Clones share their data.
#[derive(Clone)]
pub struct TxnToken(Arc<Inner>);

struct Inner {
    carried: CarriedTransaction,
    hashes: TokenHashes,
    signed_by: Thumbprint,
    verified: Verified,
    txn: String,
    subject: String,
    domain: String,
    scopes: ScopeSet,
    requester: String,
    issuer: Option<String>,
    confirmations: Vec<Confirmation>,
    call: Option<CallDigest>,
    issued: UnixTime,
    not_before: Option<UnixTime>,
    expires: UnixTime,
    #[cfg(feature = "agents")]
    agents: Option<Agents>,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    aud: Option<Audience<'a>>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "not_before")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    txn: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    scope: Option<Text<'a>>,
    #[serde(default, deserialize_with = "present")]
    req_wl: Option<String>,
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    tctx: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    rctx: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    cnf: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "present")]
    events: Option<IgnoredAny>,
}

#[cfg(feature = "agents")]
#[derive(Deserialize)]
struct AgentClaims<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    act: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    agentic_ctx: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    call_digest: Option<Text<'a>>,
}

/// Returns the only key that can have signed the token. `typ` must be exactly the expected one, and
/// the algorithm one of those that verify.
pub(crate) fn signer<'a>(
    token: &Unverified<'_>,
    typ: &'static str,
    keys: &'a JwkSet,
) -> Result<&'a VerifyingKey, Error> {
    let header = token.header();
    if header.typ() != Some(typ) {
        return Err(Error::Type {
            expected: typ,
            found: header.typ().map(Into::into),
        });
    }
    let algorithm = header.alg();
    if !ALGORITHMS.contains(algorithm) {
        return Err(Error::algorithm(algorithm));
    }
    keys.select(header.kid(), algorithm).map_err(Error::Token)
}

/// Reads the members of `cnf`. A token without `cnf` has none.
pub(crate) fn confirmations(cnf: Option<&RawValue>) -> Result<Vec<Confirmation>, Error> {
    match cnf {
        Some(raw) => Confirmation::read_all(raw.get().as_bytes()).or(Err(Error::Confirmation)),
        None => Ok(Vec::new()),
    }
}

/// Checks that the proofs of a request satisfy every member of `cnf`.
pub(crate) fn check_confirmed(
    confirmations: &[Confirmation],
    proven: &[ProvenKey],
) -> Result<(), Error> {
    let is_unproven = |it: &&Confirmation| it.compare(proven) != Satisfied::Yes;
    match confirmations.iter().find(is_unproven) {
        None => Ok(()),
        Some(member) => Err(Error::NotBound {
            method: member.method(),
        }),
    }
}

/// Returns the claim, or an error if it is missing or empty.
pub(crate) fn non_empty(text: Option<String>, claim: &'static str) -> Result<String, Error> {
    required(text.filter(|text| !text.is_empty()), claim).map_err(Error::Token)
}

pub(crate) const fn malformed(claim: &'static str) -> Error {
    Error::Token(aims_jose::Error::Claim { claim })
}

impl TxnToken {
    /// Verifies a transaction token with the keys of the domain's transaction token service
    /// (draft-ietf-oauth-transaction-tokens §12.2).
    ///
    /// The header `typ` must be exactly `txntoken+jwt`. The signature must be by the one key that
    /// fits `kid` and `alg`; without `kid`, exactly one key may fit. `aud` must be exactly the
    /// domain. `txn`, `sub`, `scope` and `req_wl` must not be empty, and `req_wl` is one workload,
    /// without blanks. `exp` must be after `iat`, by at most an hour. Unknown claims are ignored.
    /// `act` and `agentic_ctx` are ignored, too, unless the rules have `with_agents` (feature
    /// `agents`).
    ///
    /// # Errors
    ///
    /// `txn.typ`, `txn.algorithm`, `txn.signature`, `txn.claim`, `txn.domain`, `txn.issuer`,
    /// `txn.events`, `txn.expired`, `txn.not_yet_valid`, `txn.lifetime`, `txn.confirmation`; with
    /// rules for agents `txn.agent_loop`, `txn.agent_hops`, `txn.agent_assurance`. For a malformed
    /// token or a missing key, the codes of `jose`.
    pub fn verify(
        text: &str,
        keys: &JwkSet,
        rules: &TxnTokenRules,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let token = Unverified::parse_within(text, rules.max_len).map_err(Error::Token)?;
        let key = signer(&token, TYP, keys)?;
        let signed_by = *key.thumbprint();
        let hashes = token.hashes();
        // `typ` is right, so only a character that no base64url has is refused here.
        let carried =
            CarriedTransaction::of(&token).or(Err(Error::Token(aims_jose::Error::Base64)))?;
        let verified = token.verify(key).map_err(Error::Token)?;
        let inner = read(carried, hashes, signed_by, verified, rules, now)?;
        Ok(Self(Arc::new(inner)))
    }

    /// Returns `txn`, the name of the transaction within the domain. Several tokens may share it.
    #[must_use]
    pub fn txn(&self) -> &str {
        &self.0.txn
    }

    /// Returns `sub`, the party on whose behalf the transaction runs.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Returns `aud`, the trust domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.0.domain
    }

    /// Returns `scope`, the purpose of the transaction. It is never empty.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.scopes
    }

    /// Returns `req_wl`, the workload that asked for the token.
    #[must_use]
    pub fn requester(&self) -> &str {
        &self.0.requester
    }

    /// Returns `iss`, if the token has one.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// Returns `iat`.
    #[must_use]
    pub fn issued_at(&self) -> UnixTime {
        self.0.issued
    }

    /// Returns `nbf`, with its fraction rounded up, if the token has one.
    #[must_use]
    pub fn not_before(&self) -> Option<UnixTime> {
        self.0.not_before
    }

    /// Returns `exp`.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.0.expires
    }

    /// Returns `cnf`, the keys or certificates that the token is bound to. Empty if it is not
    /// bound.
    #[must_use]
    pub fn confirmations(&self) -> &[Confirmation] {
        &self.0.confirmations
    }

    /// Returns `tctx.call_digest`, the only call of a tool that the token is valid for.
    #[must_use]
    pub fn call_digest(&self) -> Option<&CallDigest> {
        self.0.call.as_ref()
    }

    /// Checks that the token is for exactly this call of a tool.
    ///
    /// # Errors
    ///
    /// `txn.no_call` if the token is not bound to a call; `txn.call` if it is bound to another one.
    pub fn check_call(&self, call: &CallDigest) -> Result<(), Error> {
        match &self.0.call {
            Some(bound) if bound == call => Ok(()),
            Some(_) => Err(Error::OtherCall),
            None => Err(Error::NoCall),
        }
    }

    /// Returns the token as it travels on, unchanged, to another service of this domain (§12.2).
    ///
    /// It gets into the field `Txn-Token`, into gRPC metadata and into a message of a queue, and
    /// never into `Authorization`.
    #[must_use]
    pub fn carried(&self) -> &CarriedTransaction {
        &self.0.carried
    }

    /// Returns the agents of the transaction, or `None` if the token has no `act` or the rules do
    /// not have [`with_agents`](TxnTokenRules::with_agents).
    #[cfg(feature = "agents")]
    #[must_use]
    pub fn agents(&self) -> Option<&Agents> {
        self.0.agents.as_ref()
    }

    /// Returns the SHA-256 of the token's text. The `tth` claim of a proof is its base64url.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.0.hashes.text
    }

    /// Returns the SHA-256 of header and payload: the same for every signature over them.
    #[must_use]
    pub fn signed_hash(&self) -> &[u8; 32] {
        &self.0.hashes.signed
    }

    /// Returns a member of `tctx` that is a text.
    ///
    /// ```
    /// # fn example(token: &aims_txn_token::TxnToken) {
    /// if token.context("action").as_deref() == Some("BUY") { /* … */ }
    /// # }
    /// ```
    #[must_use]
    pub fn context(&self, member: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct Claims<'a> {
            #[serde(borrow, default)]
            tctx: BTreeMap<Text<'a>, &'a RawValue>,
        }
        let claims: Claims<'_> = self.claims().ok()?;
        serde_json::from_str(claims.tctx.get(member)?.get()).ok()
    }

    /// Checks that the proofs of a request satisfy every member of `cnf`, each by its own kind of
    /// proof. A token without `cnf` is bound to no key, and needs no proof.
    ///
    /// # Errors
    ///
    /// `txn.not_bound`.
    pub fn confirmed_by(&self, proven: &[ProvenKey]) -> Result<(), Error> {
        check_confirmed(&self.0.confirmations, proven)
    }

    /// Whether a token that was verified before would be verified again.
    pub(crate) fn is_still_good(
        &self,
        keys: &JwkSet,
        rules: &TxnTokenRules,
        now: UnixTime,
    ) -> bool {
        let header = self.0.verified.header();
        let key = keys.select(header.kid(), header.alg());
        let skew = rules.times.skew();
        key.is_ok_and(|key| *key.thumbprint() == self.0.signed_by)
            && !skew.has_ended(self.0.expires.as_secs(), now.as_secs())
    }

    /// Deserializes further claims, such as `tctx`, `rctx`, and those that the domain defines.
    ///
    /// # Errors
    ///
    /// Those of [`aims_jose::jwt::claims`].
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, aims_jose::Error> {
        self.0.verified.claims()
    }
}

fn read(
    carried: CarriedTransaction,
    hashes: TokenHashes,
    signed_by: Thumbprint,
    verified: Verified,
    rules: &TxnTokenRules,
    now: UnixTime,
) -> Result<Inner, Error> {
    let claims: Claims<'_> = verified.claims().map_err(Error::Token)?;
    if claims.events.is_some() {
        return Err(Error::Events);
    }
    let aud = required(claims.aud, "aud").map_err(Error::Token)?;
    if aud.sole() != Some(rules.domain.as_str()) {
        return Err(Error::Domain {
            found: shown(aud.iter()),
            expected: rules.domain.as_str().into(),
        });
    }
    if let Some(expected) = &rules.issuer
        && claims.iss.as_ref() != Some(expected)
    {
        return Err(Error::Issuer {
            found: shown(claims.iss.as_deref()),
            expected: expected.as_str().into(),
        });
    }
    let issued = required(claims.iat, "iat").map_err(Error::Token)?;
    let expires = required(claims.exp, "exp").map_err(Error::Token)?;
    if expires.as_secs() <= issued.as_secs() {
        return Err(malformed("exp"));
    }
    let times = Times::new(Some(expires), claims.nbf, Some(issued));
    rules.times.check(&times, now).map_err(Error::Token)?;
    let scopes: ScopeSet = match claims.scope.as_deref() {
        Some(text) => text.parse().or(Err(malformed("scope")))?,
        None => return Err(malformed("scope")),
    };
    for (context, claim) in [(claims.tctx, "tctx"), (claims.rctx, "rctx")] {
        if context.is_some_and(|it| !it.get().starts_with('{')) {
            return Err(malformed(claim));
        }
    }
    let call = claims.tctx.map(call_digest).transpose()?.flatten();
    let requester = non_empty(claims.req_wl, "req_wl")?;
    // An older revision joined several workloads here.
    if requester.contains(char::is_whitespace) {
        return Err(malformed("req_wl"));
    }
    let txn = non_empty(claims.txn, "txn")?;
    let subject = non_empty(claims.sub, "sub")?;
    let confirmations = confirmations(claims.cnf)?;
    // Last: rules for agents only add refusals.
    #[cfg(feature = "agents")]
    let agents = read_agents(&verified, (&requester, claims.iss.as_deref()), rules)?;
    Ok(Inner {
        carried,
        hashes,
        signed_by,
        txn,
        subject,
        domain: rules.domain.clone(),
        scopes,
        requester,
        issuer: claims.iss,
        confirmations,
        call,
        issued: issued.into(),
        not_before: claims.nbf.map(Into::into),
        expires: expires.into(),
        #[cfg(feature = "agents")]
        agents,
        verified,
    })
}

#[cfg(feature = "agents")]
fn read_agents(
    verified: &Verified,
    names: (&str, Option<&str>),
    rules: &TxnTokenRules,
) -> Result<Option<Agents>, Error> {
    let Some(rules) = &rules.agents else {
        return Ok(None);
    };
    let claims: AgentClaims<'_> = verified.claims().map_err(Error::Token)?;
    agents::read(claims.act, claims.agentic_ctx, names, rules)
}

fn call_digest(tctx: &RawValue) -> Result<Option<CallDigest>, Error> {
    let context: Context<'_> =
        json::from_object(tctx.get().as_bytes()).or(Err(malformed("tctx")))?;
    let digest = context.call_digest.map(|text| text.parse());
    digest.transpose().or(Err(malformed("tctx")))
}

impl fmt::Debug for TxnToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxnToken")
            .field("txn", &self.0.txn)
            .field("domain", &self.0.domain)
            .field("requester", &self.0.requester)
            .finish_non_exhaustive()
    }
}
