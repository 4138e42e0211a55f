//! The assertion of a JWT grant (RFC 7523 §3): verified by the rules for its issuer, and the
//! client's to present.

mod public;

use aims_error::shown;
use aims_jose::jws::{Header, Unverified};
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times, not_before, present};
use aims_jose::time::UnixTime;
use aims_oauth_wire::confirmation::{Confirmation, ProvenKey, Satisfied};
use aims_oauth_wire::names::ScopeSet;
use aims_replay::{ReplayKey, ReplayStore, Validity};
use aims_txn_token::{ChainGrant, ChainGrantRules, UnspentChainGrant};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{AuthorizationServer, Error, TokenRequest};
use crate::oauth::Authenticated;
use crate::oauth::domain::{IncomingGrants, Profile};
use crate::oauth::issuer_keys::{LONGEST, unverified_issuer};

/// Maximum length of `jti` in bytes.
const LONGEST_ID: usize = 256;

/// A verified assertion that was not spent.
#[derive(Debug)]
pub(super) struct Assertion<'a> {
    pub(super) rules: &'a IncomingGrants,
    pub(super) profile: Profile,
    pub(super) claims: Claims,
    /// The claims as they were signed.
    pub(super) payload: Vec<u8>,
    unspent: Unspent,
}

/// The claims that the grant reads. The profiles differ in those that must be there.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) exp: NumericDate,
    pub(super) iat: NumericDate,
    #[serde(default, deserialize_with = "not_before")]
    pub(super) nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "present")]
    resource: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) act: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    may_act: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) authorization_details: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) txn: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) txn_claims: Option<Map<String, Value>>,
}

/// `aud`, borrowed from the payload.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    aud: Audience<'a>,
}

#[derive(Debug)]
enum Unspent {
    Grant { name: ReplayKey, valid: Validity },
    Transaction(Box<UnspentChainGrant>),
}

const fn bad(reason: &'static str) -> Error {
    Error::Assertion { reason }
}

impl<'a> Assertion<'a> {
    /// Verifies the assertion of a request, in everything that does not depend on the resource.
    ///
    /// # Errors
    ///
    /// `as.request`, `as.assertion`, `as.client_grant`.
    pub(super) fn of(
        server: &'a AuthorizationServer,
        request: &TokenRequest<'_>,
    ) -> Result<Self, Error> {
        let TokenRequest { client, form, now } = *request;
        let text = form.get("assertion").ok_or(Error::TokenRequest {
            reason: "no assertion",
        })?;
        let malformed = |_unexplained| bad("it is no signed JWT, or is too long");
        let token = Unverified::parse_within(text, LONGEST).map_err(malformed)?;
        let issuer = unverified_issuer(&token).ok_or_else(|| bad("it names no issuer"))?;
        let rules = server.domains.incoming(&issuer);
        let rules = rules.ok_or_else(|| bad("its issuer is none whose grants are accepted"))?;
        if !client.client.flow.grants_of.contains(&issuer) {
            return Err(Error::ClientGrant {
                reason: "this client may not present grants of that issuer",
            });
        }
        let profile = accepted(rules, token.header())?;
        public::check_client(rules, profile, client)?;
        let unnamed = client.client.is_public().then(|| public::digest(text));
        let assertion = match profile {
            Profile::Transaction => Self::transaction(server, rules, text, &token, now)?,
            Profile::Jwt | Profile::IdJag => {
                Self::verify(server, rules, profile, (token, unnamed), now)?
            }
        };
        assertion.check_presenter(client, server.base.as_str())?;
        Ok(assertion)
    }

    /// Verifies a grant. `unnamed` is its identifier if it has no `jti`, where that is allowed.
    fn verify(
        server: &AuthorizationServer,
        rules: &'a IncomingGrants,
        profile: Profile,
        (token, unnamed): (Unverified<'_>, Option<String>),
        now: UnixTime,
    ) -> Result<Self, Error> {
        let issuers = rules.keys.snapshot();
        let header = token.header();
        let key = issuers.select(rules.issuer.as_str(), header.kid(), header.alg(), now);
        let key = key.map_err(|error| refused(error.code(), "its key is none of its issuer"))?;
        let verified = token.verify(key);
        let verified =
            verified.map_err(|error| refused(error.code(), "its signature is not valid"))?;
        let claims: Claims = verified
            .claims()
            .map_err(|error| refused(error.code(), "a claim is missing or malformed"))?;
        let audience: Named<'_> = verified
            .claims()
            .map_err(|error| refused(error.code(), "its aud is missing or malformed"))?;
        if audience.aud.sole() != Some(server.base.as_str()) {
            let found = shown(audience.aud.iter());
            tracing::info!(%found, expected = ?server.base.as_str(), "wrong aud of an assertion");
            return Err(bad("its aud is not this server alone"));
        }
        let times = Times::new(Some(claims.exp), claims.nbf, Some(claims.iat));
        let times_rules = TimeRules::new().with_max_lifetime(rules.longest);
        let checked = times_rules.check(&times, now);
        checked.map_err(|error| untimely(&error, &claims, rules))?;
        // The access token ends with it, so no skew is allowed.
        if now >= claims.exp.into() {
            return Err(bad("it has expired"));
        }
        let id = claims.jti.clone().or(unnamed);
        let id = id.ok_or_else(|| bad("a claim is missing or malformed"))?;
        if claims.sub.is_empty() || id.is_empty() || id.len() > LONGEST_ID {
            return Err(bad("its sub or its jti is empty, or its jti is too long"));
        }
        if claims.sub == claims.iss {
            return Err(bad(
                "it is about its issuer, as the assertion of a client is",
            ));
        }
        let unspent = Unspent::Grant {
            name: ReplayKey::new(
                "authorization-grant",
                &claims.iss,
                &[server.base.as_str(), &id],
            ),
            valid: Validity::new(
                times_rules.accepted_from(&times),
                times_rules.skew().remember_until(claims.exp.as_secs()),
            ),
        };
        Ok(Self {
            rules,
            profile,
            payload: verified.payload().to_vec(),
            claims,
            unspent,
        })
    }

    /// Verifies a grant that carries a transaction
    /// (draft-fletcher-oauth-txn-token-chaining-profile).
    fn transaction(
        server: &AuthorizationServer,
        rules: &'a IncomingGrants,
        text: &str,
        token: &Unverified<'_>,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let issuers = rules.keys.snapshot();
        let (issuer, header) = (&rules.issuer, token.header());
        let key = issuers.select(issuer.as_str(), header.kid(), header.alg(), now);
        // Stale keys are refused here.
        let _known = key.map_err(|error| refused(error.code(), "its key is none of its issuer"))?;
        let keys = issuers.keys(issuer.as_str());
        let keys = keys.ok_or_else(|| bad("its key is none of its issuer"))?;
        let own = ChainGrantRules::new(server.base.issuer().clone(), issuer.clone());
        let grant = ChainGrant::verify(text, keys, &own, now).map_err(|error| {
            let reason = "it is no valid grant of a transaction for this server";
            refused(error.code(), reason)
        })?;
        if now >= grant.unspent().expires() {
            return Err(bad("it has expired"));
        }
        let malformed = |_unexplained| bad("a claim is missing or malformed");
        let payload: &RawValue = grant.unspent().claims().map_err(malformed)?;
        let claims: Claims = grant.unspent().claims().map_err(malformed)?;
        // The profile permits five minutes, and the rules perhaps less.
        let times = Times::new(Some(claims.exp), claims.nbf, Some(claims.iat));
        let longest = TimeRules::new().with_max_lifetime(rules.longest);
        longest
            .check(&times, now)
            .map_err(|error| untimely(&error, &claims, rules))?;
        Ok(Self {
            rules,
            profile: Profile::Transaction,
            claims,
            payload: payload.get().as_bytes().to_vec(),
            unspent: Unspent::Transaction(Box::new(grant)),
        })
    }

    /// Checks that this client may present it: `client_id`, `may_act`, `cnf`, and `sub` for a
    /// public client.
    fn check_presenter(&self, client: &Authenticated, own: &str) -> Result<(), Error> {
        public::check_subject(self, client)?;
        match &self.claims.client_id {
            Some(named) if *named != client.client_id => {
                return Err(bad("it was issued for another client"));
            }
            None if self.profile == Profile::IdJag => {
                return Err(bad("it names no client_id"));
            }
            _ => {}
        }
        let may_act = self.claims.may_act.as_ref();
        let issuer = self.claims.iss.as_str();
        if may_act.is_some_and(|it| !permits(it, issuer, own, &client.client_id)) {
            return Err(bad("its may_act does not permit this client to act"));
        }
        let Some(cnf) = &self.claims.cnf else {
            return Ok(());
        };
        let bound = Confirmation::read_all(cnf.get().as_bytes())
            .map_err(|_unexplained| bad("its cnf has a member that is not known here"))?;
        let proven = proven(client);
        if bound.iter().any(|it| it.compare(&proven) != Satisfied::Yes) {
            return Err(bad("it is bound to a key that the client has not proven"));
        }
        Ok(())
    }

    /// Returns `resource`, the resources that the grant is for (RFC 8707).
    pub(super) fn resources(&self) -> Result<Vec<String>, Error> {
        let malformed = |_unexplained| bad("its resource is malformed");
        match &self.claims.resource {
            None => Ok(Vec::new()),
            Some(Value::String(only)) => Ok(vec![only.clone()]),
            Some(several) => serde_json::from_value(several.clone()).map_err(malformed),
        }
    }

    /// Returns whether it says what it is for.
    pub(super) const fn has_scope(&self) -> bool {
        self.claims.scope.is_some()
    }

    /// Returns `scope`.
    pub(super) fn scopes(&self) -> Result<ScopeSet, Error> {
        let scope = self.claims.scope.as_deref();
        let scope = scope.ok_or_else(|| bad("it has no scope, so it limits nothing"))?;
        scope
            .parse()
            .map_err(|_unexplained| bad("its scope is malformed"))
    }

    /// Returns its end. The access token ends no later.
    pub(super) fn expires(&self) -> UnixTime {
        self.claims.exp.into()
    }

    /// Spends it, so that it is good for no second token.
    ///
    /// # Errors
    ///
    /// `as.assertion_used`; `authority.unavailable` if the store cannot tell.
    pub(super) fn spend(
        self,
        client: &Authenticated,
        store: &dyn ReplayStore,
        now: UnixTime,
    ) -> Result<(), Error> {
        let spent = match self.unspent {
            Unspent::Grant { name, valid } => aims_replay::spend_proof(store, &name, valid, now),
            Unspent::Transaction(grant) => match grant.spend(&proven(client), store, now) {
                Ok(_) => Ok(()),
                Err(aims_txn_token::Error::Replay(error)) => Err(error),
                Err(other) => return Err(Error::unavailable(other)),
            },
        };
        match spent {
            Ok(()) => Ok(()),
            Err(aims_replay::Error::Replayed | aims_replay::Error::Expired) => {
                Err(Error::AssertionUsed)
            }
            Err(other) => Err(Error::unavailable(other)),
        }
    }
}

/// Returns whether every member of `may_act` is one of this client of this server (RFC 8693 §4.4).
/// One without `iss` names a party of the issuer of the token.
pub(super) fn permits(may_act: &Value, issuer: &str, own: &str, client_id: &str) -> bool {
    let Some(members) = may_act.as_object() else {
        return false;
    };
    let has_name = members.contains_key("sub") || members.contains_key("client_id");
    let is_of = members.get("iss").map_or(issuer == own, |it| it == own);
    has_name
        && is_of
        && members.iter().all(|(name, value)| match name.as_str() {
            "iss" => true,
            "sub" | "client_id" => value == client_id,
            _ => false,
        })
}

/// Returns the keys that the client has proven.
fn proven(client: &Authenticated) -> Vec<ProvenKey> {
    let key = client.key.as_ref().map(|it| it.thumbprint());
    let all = [
        client.dpop.map(ProvenKey::Dpop),
        key.map(ProvenKey::Signature),
        client.certificate.map(ProvenKey::Certificate),
    ];
    all.into_iter().flatten().collect()
}

/// Returns the profile that `typ` selects, if the rules accept it and the algorithm.
fn accepted(rules: &IncomingGrants, header: &Header) -> Result<Profile, Error> {
    let profile = Profile::of(header).filter(|it| rules.profiles.contains(it));
    let profile = profile
        .ok_or_else(|| bad("its typ is that of no grant which is accepted of its issuer"))?;
    if !rules.algorithms.contains(header.alg()) {
        return Err(bad("its algorithm is not accepted of its issuer"));
    }
    Ok(profile)
}

/// Logs the precise code, which the answer does not have.
fn refused(code: &'static str, reason: &'static str) -> Error {
    tracing::info!(code, "refused an assertion");
    bad(reason)
}

/// Says which of its dates is wrong, and logs the bound.
fn untimely(error: &aims_jose::Error, claims: &Claims, rules: &IncomingGrants) -> Error {
    let (begins, ends) = (claims.iat.as_secs(), claims.exp.as_secs());
    tracing::info!(
        code = error.code(),
        lifetime = ends.saturating_sub(begins),
        max_lifetime = rules.longest.as_secs(),
        reason = %error,
        "refused an assertion"
    );
    bad(match error {
        aims_jose::Error::Expired { .. } => "it has expired",
        aims_jose::Error::NotYetValid { .. } => "it is not valid yet",
        aims_jose::Error::Lifetime => "it lives longer than the rules of its issuer accept",
        aims_jose::Error::EndsFirst { .. } => "it ends before it begins",
        _ => "its dates are not accepted",
    })
}
