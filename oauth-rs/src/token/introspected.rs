//! Opaque access tokens, as their issuer describes them (RFC 7662).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aims_error::shown;
use aims_jose::digest::Hashed;
use aims_jose::jws::Unverified;
use aims_jose::jwt::Times;
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::introspection::Introspection;
use aims_oauth_wire::names::Issuer;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::login::{self, Login};
use super::parties::current_actor;
use super::{AccessToken, Inner, MayAct, Origin, actors, check_audience, needed};
use crate::error::NotAccessToken;
use crate::profile::Members;
use crate::{AccessTokenRules, Confirmation, Error, Issuers};

/// The members that are read here in addition to those of RFC 7662. `null` counts as absent; a
/// signed answer with `null` was refused before.
#[derive(Deserialize)]
struct Further {
    cnf: Option<Box<RawValue>>,
    act: Option<Box<RawValue>>,
    may_act: Option<Box<RawValue>>,
    acr: Option<Box<RawValue>>,
    amr: Option<Box<RawValue>>,
    auth_time: Option<Box<RawValue>>,
    txn: Option<Box<RawValue>>,
    typ: Option<String>,
    token_use: Option<String>,
    sid: Option<String>,
}

impl AccessToken {
    /// Creates the access token that an issuer's introspection answer describes.
    ///
    /// The issuer must be a configured one, and must have been asked about exactly this text. The
    /// answer is checked like a JWT: `iss` if it is there, `aud`, `exp`, `nbf`, `iat`, the client,
    /// `cnf`, `act`, `token_type` and scopes. The issuer's [profile](crate::TokenProfile) applies
    /// without its markers and header types. Members that are `null` count as absent; in a signed
    /// answer (RFC 9701) they are an error.
    ///
    /// Without `sub`, the subject is the client, as for client credentials (RFC 9068 §2.2). The
    /// token expires at its `exp`. The answer is trusted for the time `ceiling`; without `exp` the
    /// token expires then.
    ///
    /// # Errors
    ///
    /// `token.inactive`, `token.unknown_issuer`, `token.claim`, `token.audience`, `token.expired`,
    /// `token.not_yet_valid`, `token.lifetime`, `token.confirmation`, `token.type`,
    /// `token.not_access_token`.
    pub fn introspected(
        token: &Hashed<'_>,
        answer: &Introspection,
        issuer: &Issuer,
        issuers: &Issuers,
        rules: &AccessTokenRules,
        ceiling: Duration,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let issuer = issuer.as_str();
        let own = issuers.rules(issuer, rules).cloned();
        // Only an exact match counts here, because no `iss` of a token can still decide the
        // spelling.
        let own = own.filter(|_| issuers.has(issuer));
        let own = own.ok_or_else(|| issuers.unknown(issuer))?;
        let Introspection::Active(answer) = answer else {
            return Err(Error::Inactive {
                issuer: issuer.to_owned(),
            });
        };
        if let Some(found) = answer.issuer()
            && found != issuer
        {
            return Err(Error::UnknownIssuer {
                found: found.to_owned(),
                expected: vec![issuer.to_owned()],
                more: 0,
            });
        }
        let json = answer.as_json();
        let mut members = Members::read(json.as_bytes())?;
        if !answer.is_signed() {
            members = members.without_empty();
        } else if let Some(claim) = members.first_null(&NEVER_NULL) {
            return Err(Error::claim(claim, "a value other than `null`"));
        }
        let further: Further = aims_jose::jwt::claims(json.as_bytes()).map_err(Error::Token)?;
        check_kind(&further, &members)?;
        let client_id = needed(answer.client_id(), "client_id")?.to_owned();
        own.profile.check_introspected(&members, &client_id)?;
        let subject = answer.subject().unwrap_or(&client_id).to_owned();
        let audiences = answer.audiences().to_vec();
        let found = (!audiences.is_empty()).then_some(audiences.as_slice());
        check_audience(found, &client_id, &own, rules)?;
        own.profile.check_sole_audience(&client_id, &audiences)?;
        let until = time::after(now, ceiling);
        let time_rules = match own.max_lifetime {
            Some(most) => rules.times.with_max_lifetime(most),
            None => rules.times,
        };
        // Without `exp` the token expires with the answer.
        let ends = answer.expires().unwrap_or(until);
        let exp = aims_jose::jwt::NumericDate::from_secs(ends.as_secs());
        let times = Times::new(exp, answer.nbf(), answer.iat());
        time_rules.check(&times, now).map_err(Error::Token)?;
        let bound_to = match further.cnf.as_deref() {
            Some(raw) => own.profile.confirmations(raw)?,
            None => Vec::new(),
        };
        check_presented_type(answer.token_type(), &bound_to)?;
        let actors = actors(further.act.as_deref(), issuer)?;
        let login = Login::read(
            further.acr.as_deref(),
            further.amr.as_deref(),
            further.auth_time.as_deref(),
        );
        Ok(Self(Arc::new(Inner {
            hash: *token.sha256(),
            signed_hash: signed_hash(token, rules),
            issuer: issuer.to_owned(),
            subject,
            jwt_id: answer.jwt_id().map(str::to_owned),
            scopes: answer.scopes().cloned().unwrap_or_default(),
            roles: own.profile.introspected_roles(&members)?,
            details: OnceLock::new(),
            confirmations: bound_to,
            current_actor: current_actor(&actors, &client_id),
            actors,
            may_act: further.may_act.as_deref().map(MayAct::read),
            login,
            transaction_id: login::read(further.txn.as_deref()),
            client_id,
            session_id: further.sid,
            issued_at: answer.iat().map(Into::into),
            expires: ends,
            exp: answer.expires(),
            audiences,
            rules: own,
            origin: Origin::Introspected {
                answer: json.into(),
                until,
            },
        })))
    }
}

/// Returns the hash that all spellings of a token share. A JWT that its issuer is asked about has
/// several texts, because its signature has several encodings. Any other text has one.
fn signed_hash(token: &Hashed<'_>, rules: &AccessTokenRules) -> [u8; 32] {
    let jwt = Unverified::parse_ignoring_key_references(token.text(), rules.max_len);
    jwt.map_or_else(|_opaque| *token.sha256(), |jwt| jwt.signed_hash())
}

/// Refuses other kinds of tokens: a server may also report a refresh token or an ID token as
/// active.
fn check_kind(further: &Further, members: &Members<'_>) -> Result<(), Error> {
    let is_one_of = |value: &Option<String>, names: &[&str]| {
        let is_named = |it: &String| names.iter().any(|name| it.eq_ignore_ascii_case(name));
        value.as_ref().is_none_or(is_named)
    };
    let other_use = |claim, expected, found: &Option<String>| {
        Err(Error::NotAccessToken(NotAccessToken::OtherUse {
            claim,
            expected,
            found: shown(found.as_deref()),
        }))
    };
    if !is_one_of(&further.typ, &["Bearer", "DPoP", "at+jwt"]) {
        let expected = "\"Bearer\", \"DPoP\" or \"at+jwt\"";
        return other_use("typ", expected, &further.typ);
    }
    if !is_one_of(&further.token_use, &["access", "access_token"]) {
        let expected = "\"access\" or \"access_token\"";
        return other_use("token_use", expected, &further.token_use);
    }
    let foreign = ["at_hash", "c_hash", "s_hash", "events"];
    match foreign.into_iter().find(|claim| members.stands(claim)) {
        Some(claim) => Err(Error::NotAccessToken(NotAccessToken::ForeignClaim {
            claim,
        })),
        None => Ok(()),
    }
}

/// The members of a signed answer that must not be `null`: those that bind or limit the token, or
/// that an application may read later. Those of RFC 7662 are checked when the answer is parsed.
const NEVER_NULL: [&str; 15] = [
    "cnf",
    "act",
    "typ",
    "token_use",
    "acr",
    "amr",
    "auth_time",
    "authorization_details",
    "azp",
    "entitlements",
    "groups",
    "may_act",
    "roles",
    "sid",
    "txn",
];

/// Checks that `token_type` and `cnf` agree: a token with `jkt` is presented as `DPoP` (RFC 9449
/// §6.2), every other one as `Bearer`.
fn check_presented_type(found: Option<&str>, cnf: &[Confirmation]) -> Result<(), Error> {
    let is_dpop = cnf.iter().any(|it| matches!(it, Confirmation::DpopJkt(_)));
    let expected = if is_dpop { "DPoP" } else { "Bearer" };
    match found {
        Some(found) if !found.eq_ignore_ascii_case(expected) => Err(Error::PresentedType {
            found: found.chars().take(100).collect(),
            expected,
        }),
        _ => Ok(()),
    }
}
