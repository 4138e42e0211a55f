//! Access tokens that their issuer signed: JWTs.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use aims_jose::alg::AlgorithmSet;
use aims_jose::jws::Unverified;
use aims_jose::jwt::{self, Times};
use aims_jose::time::UnixTime;
use serde_json::value::RawValue;

use super::claims::Claims;
use super::login::{self, Login};
use super::parties::current_actor;
use super::{AccessToken, Inner, MayAct, Origin, actors, check_audience, needed};
use crate::profile::Roles;
use crate::{AccessTokenRules, Error, Issuers};

impl AccessToken {
    /// Verifies an access token.
    ///
    /// `iss` selects one of the configured issuers and its rules, by default those of RFC 9068 §4.
    /// The method checks the header `typ`, the signature with the one key of the issuer that
    /// matches `kid` and `alg`, and the rules of the [profile](crate::TokenProfile). It also checks
    /// `aud`, `exp`, `nbf`, `iat`, `sub`, the client, `jti`, `cnf`, `act` and scopes.
    ///
    /// The header members `jku`, `x5u`, `x5c`, `x5t` and `x5t#S256` are ignored, and nothing is
    /// fetched from them.
    ///
    /// # Errors
    ///
    /// The codes `token.…`; for a malformed token those of `aims-jose`. After
    /// [`UnknownKey`](Error::UnknownKey) and [`KeysStale`](Error::KeysStale), fetching the issuer's
    /// keys again may help.
    pub fn verify(
        text: &str,
        issuers: &Issuers,
        rules: &AccessTokenRules,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let limit = rules.max_len;
        if text.len() > limit {
            return Err(Error::TooLong { limit });
        }
        let token = Unverified::parse_ignoring_key_references(text, limit);
        let token = token.map_err(Error::Token)?;
        let header = token.header();
        let claims = token
            .unverified_payload()
            .and_then(jwt::claims::<Claims>)
            .map_err(Error::Token);
        let own = match &claims {
            Ok(claims) => claims
                .iss
                .as_deref()
                .and_then(|iss| issuers.rules(iss, rules)),
            Err(_) => None,
        };
        let own = own.cloned();
        // Detect another kind of token first, so that the error names it.
        match &own {
            Some(own) => own.profile.check_type(header)?,
            None => issuers.check_type(header, rules)?,
        }
        let algorithm = header.alg();
        let allowed = own.as_ref().map_or(AlgorithmSet::ALL, |own| own.algorithms);
        if !rules.algorithms.contains(algorithm) || !allowed.contains(algorithm) {
            return Err(Error::Token(aims_jose::Error::AlgorithmMismatch {
                algorithm,
            }));
        }
        let claims = claims?;
        let issuer = needed(claims.iss, "iss")?;
        let Some(own) = own else {
            return Err(issuers.unknown(&issuer));
        };
        if own.introspects_jwts() {
            return Err(Error::NotIntrospected { issuer });
        }
        let key = issuers.select(&issuer, header.kid(), algorithm, now)?;
        let hashes = token.hashes();
        let verified = token.verify(key).map_err(Error::Token)?;
        let subject = required_non_empty(claims.sub, "sub")?;
        let read = own.profile.read(verified.header(), verified.payload())?;
        let (client_id, jwt_id, issued_at, scopes, roles) = match read {
            None => (
                required_non_empty(claims.client_id, "client_id")?,
                Some(required_non_empty(claims.jti, "jti")?),
                Some(needed(claims.iat, "iat")?),
                claims.scope.map(|scopes| scopes.0).unwrap_or_default(),
                roles(claims.roles.as_deref())?,
            ),
            Some(read) => {
                let jwt_id = claims.jti.map(|it| required_non_empty(Some(it), "jti"));
                let jwt_id = jwt_id.transpose()?;
                (read.client_id, jwt_id, claims.iat, read.scopes, read.roles)
            }
        };
        let audiences = claims.aud;
        check_audience(audiences.as_deref(), &client_id, &own, rules)?;
        let audiences = audiences.unwrap_or_default();
        own.profile.check_sole_audience(&client_id, &audiences)?;
        let exp = needed(claims.exp, "exp")?;
        let times = Times::new(Some(exp), claims.nbf, issued_at);
        let time_rules = match own.max_lifetime {
            Some(most) => rules.times.with_max_lifetime(most),
            None => rules.times,
        };
        time_rules.check(&times, now).map_err(Error::Token)?;
        let bound_to = match claims.cnf.as_deref() {
            Some(raw) => own.profile.confirmations(raw)?,
            None => Vec::new(),
        };
        let actors = actors(claims.act.as_deref(), &issuer)?;
        let login = Login::read(
            claims.acr.as_deref(),
            claims.amr.as_deref(),
            claims.auth_time.as_deref(),
        );
        Ok(Self(Arc::new(Inner {
            hash: hashes.text,
            signed_hash: hashes.signed,
            issuer,
            subject,
            jwt_id,
            audiences,
            scopes,
            roles,
            details: OnceLock::new(),
            confirmations: bound_to,
            current_actor: current_actor(&actors, &client_id),
            actors,
            may_act: claims.may_act.as_deref().map(MayAct::read),
            login,
            transaction_id: login::read(claims.txn.as_deref()),
            client_id,
            session_id: claims.sid,
            issued_at: issued_at.map(Into::into),
            expires: exp.into(),
            exp: Some(exp.into()),
            rules: own,
            origin: Origin::Jws {
                signed_by: *key.thumbprint(),
                verified,
            },
        })))
    }

    /// Returns the configured issuer that this JWT names, if the issuer's rules let it be [asked
    /// about JWTs](crate::IssuerRules::introspect_jwts). Nothing is verified.
    ///
    /// Returns `None` for any other text.
    #[must_use]
    pub fn asks_about(text: &str, issuers: &Issuers, rules: &AccessTokenRules) -> Option<String> {
        let token = Unverified::parse_ignoring_key_references(text, rules.max_len).ok()?;
        let payload = token.unverified_payload().ok()?;
        let issuer = jwt::claims::<Claims>(payload).ok()?.iss?;
        let own = issuers.rules(&issuer, rules)?;
        own.introspects_jwts().then_some(issuer)
    }
}

/// Returns a required string, or an error if it is missing or empty.
fn required_non_empty(text: Option<String>, claim: &'static str) -> Result<String, Error> {
    needed(text.filter(|text| !text.is_empty()), claim)
}

/// Reads `roles` of a token that follows RFC 9068 (§2.2.3.1).
fn roles(raw: Option<&RawValue>) -> Result<BTreeSet<String>, Error> {
    let roles = raw.map(|raw| serde_json::from_str::<Roles>(raw.get()));
    let roles = roles
        .transpose()
        .or(Err(Error::Token(aims_jose::Error::Claim {
            claim: "roles",
        })))?;
    Ok(roles.map(|roles| roles.0).unwrap_or_default())
}
