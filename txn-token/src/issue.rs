//! Makes new transaction tokens.

use std::time::Duration;

use aims_jose::Algorithm;
use aims_jose::jws::SigningInput;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::call::CallDigest;
use aims_oauth_wire::names::ScopeSet;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Error;
use crate::revision::{MAX_LIFETIME, SIGNING, TYP};

/// The content of a new transaction token (draft-ietf-oauth-transaction-tokens §9.2).
///
/// A transaction token service fills it with its own decisions, not with what a client asked for.
#[derive(Clone, Debug)]
#[must_use = "a token comes into being with `prepare` and a signature"]
pub struct TxnTokenRequest {
    domain: String,
    subject: String,
    scope: String,
    requester: String,
    txn: Option<String>,
    issuer: Option<String>,
    not_before: Option<UnixTime>,
    tctx: Map<String, Value>,
    rctx: Map<String, Value>,
    cnf: Option<Box<RawValue>>,
    #[cfg(feature = "agents")]
    act: Option<Map<String, Value>>,
    #[cfg(feature = "agents")]
    agentic_ctx: Map<String, Value>,
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    aud: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    txn: &'a str,
    sub: &'a str,
    scope: &'a str,
    req_wl: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    tctx: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    rctx: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<&'a RawValue>,
    #[cfg(feature = "agents")]
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a Map<String, Value>>,
    #[cfg(feature = "agents")]
    #[serde(skip_serializing_if = "Map::is_empty")]
    agentic_ctx: &'a Map<String, Value>,
}

impl Claims<'_> {
    /// Whether there are only texts and numbers, which have no depth, and each name once.
    fn is_flat(&self) -> bool {
        #[cfg(feature = "agents")]
        if self.act.is_some() || !self.agentic_ctx.is_empty() {
            return false;
        }
        self.tctx.is_empty() && self.rctx.is_empty() && self.cnf.is_none()
    }
}

impl TxnTokenRequest {
    /// Creates a token for this trust domain (`aud`), on behalf of `subject`, for this scope.
    /// `requester` is the workload that asked for it (`req_wl`).
    pub fn new(
        domain: impl Into<String>,
        subject: impl Into<String>,
        scope: impl Into<String>,
        requester: impl Into<String>,
    ) -> Self {
        Self {
            domain: domain.into(),
            subject: subject.into(),
            scope: scope.into(),
            requester: requester.into(),
            txn: None,
            issuer: None,
            not_before: None,
            tctx: Map::new(),
            rctx: Map::new(),
            cnf: None,
            #[cfg(feature = "agents")]
            act: None,
            #[cfg(feature = "agents")]
            agentic_ctx: Map::new(),
        }
    }

    /// Sets `txn`, the id of the transaction. Defaults to a random value of 128 bits.
    pub fn txn(mut self, txn: impl Into<String>) -> Self {
        self.txn = Some(txn.into());
        self
    }

    /// Sets `iss`.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets `nbf`, such as that of the token that the transaction is made from.
    pub fn not_before(mut self, begins: UnixTime) -> Self {
        self.not_before = Some(begins);
        self
    }

    /// Adds a member of `tctx`: details of the transaction that stay the same along the call chain.
    pub fn transaction(mut self, member: impl Into<String>, value: Value) -> Self {
        self.tctx.insert(member.into(), value);
        self
    }

    /// Adds a member of `rctx`: the environment in which the transaction was requested.
    pub fn request(mut self, member: impl Into<String>, value: Value) -> Self {
        self.rctx.insert(member.into(), value);
        self
    }

    /// Binds the token to one call of a tool, as `tctx.call_digest`.
    pub fn call(self, call: &CallDigest) -> Self {
        self.transaction("call_digest", Value::String(call.to_string()))
    }

    /// Sets `cnf` (RFC 7800 §3.1), given as the text of a JSON object.
    ///
    /// # Errors
    ///
    /// `txn.confirmation` if the text is not an object with a confirmation method that can be
    /// checked.
    pub fn confirmation(mut self, cnf: &str) -> Result<Self, Error> {
        aims_oauth_wire::confirmation::Confirmation::read_all(cnf.as_bytes())
            .or(Err(Error::Confirmation))?;
        let raw = RawValue::from_string(cnf.to_owned());
        self.cnf = Some(raw.or(Err(Error::Confirmation))?);
        Ok(self)
    }

    /// Sets `act` to the agent that began the transaction (`sub`). A replacement keeps it.
    #[cfg(feature = "agents")]
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        let act = [("sub".to_owned(), Value::String(agent.into()))];
        self.act = Some(act.into_iter().collect());
        self
    }

    /// Sets `act` to a whole chain of actors, the current one outermost (RFC 8693 §4.1), as a token
    /// service does that goes on with the chain of an access token.
    #[cfg(feature = "agents")]
    pub fn actors(mut self, act: Map<String, Value>) -> Self {
        self.act = Some(act);
        self
    }

    /// Sets `agentic_ctx`. For a replacement, [`Agents::handed_to`](crate::Agents::handed_to) makes
    /// it. The service must have verified what it tells.
    #[cfg(feature = "agents")]
    pub fn agentic_context(mut self, members: Map<String, Value>) -> Self {
        self.agentic_ctx = members;
        self
    }

    /// Prepares the token. The caller then signs it.
    ///
    /// The lifetime is in whole seconds, from 1 s to an hour; one minute suits most uses.
    ///
    /// # Errors
    ///
    /// `txn.prepare` for an empty text, a malformed scope, a lifetime outside the limits, or an
    /// algorithm that new tokens may not use, such as RS256; the errors of the random source.
    pub fn prepare(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
        lifetime: Duration,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        let refused = |reason| Err(Error::Prepare { reason });
        let unwritten = Error::Prepare {
            reason: "the context cannot be written",
        };
        if !SIGNING.contains(algorithm) {
            return refused("the algorithm is not one of ES256, ES384, EdDSA, Ed25519 and PS256");
        }
        if !(1..=MAX_LIFETIME).contains(&lifetime.as_secs()) {
            return refused("the lifetime must be from 1 second to an hour");
        }
        let drawn;
        let txn = match &self.txn {
            Some(txn) => txn.as_str(),
            None => {
                drawn = random::id128(random).map_err(Error::Token)?;
                &drawn
            }
        };
        let texts = [txn, &self.domain, &self.subject, &self.requester];
        if texts.iter().any(|text| text.is_empty()) {
            return refused("`txn`, `aud`, `sub` or `req_wl` is empty");
        }
        if self.requester.contains(char::is_whitespace) {
            return refused("`req_wl` has a blank, expected one workload");
        }
        if self.scope.parse::<ScopeSet>().is_err() {
            return refused("the scope is empty or malformed");
        }
        let claims = Claims {
            iss: self.issuer.as_deref(),
            aud: &self.domain,
            iat: now.as_secs(),
            exp: time::after(now, lifetime).as_secs(),
            nbf: self.not_before.map(|it| it.as_secs()),
            txn,
            sub: &self.subject,
            scope: &self.scope,
            req_wl: &self.requester,
            tctx: &self.tctx,
            rctx: &self.rctx,
            cnf: self.cnf.as_deref(),
            #[cfg(feature = "agents")]
            act: self.act.as_ref(),
            #[cfg(feature = "agents")]
            agentic_ctx: &self.agentic_ctx,
        };
        if claims.is_flat() {
            return SigningInput::new(TYP, algorithm, key_id, &claims).or(Err(unwritten));
        }
        let written = serde_json::to_vec(&claims).or(Err(unwritten))?;
        SigningInput::from_json(TYP, algorithm, key_id, &written).or(Err(Error::Prepare {
            reason: "the context is too deep or has too many members",
        }))
    }
}
