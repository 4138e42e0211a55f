//! The subject tokens of an identity assertion beside access tokens
//! (draft-ietf-oauth-identity-assertion-authz-grant §4.3): an ID token of this server or of
//! another issuer, and a refresh token of this server.

use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times, not_before, present};
use aims_jose::time::UnixTime;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Error, Kind, LONGEST, Names, Parts, Subject, TokenRequest, issuer_of};
use crate::identity::add;
use crate::oauth::domain::OutgoingGrants;
use crate::oauth::grant::code;
use crate::oauth::revoked::LASTING;
use crate::oauth::{AuthorizationServer, Login, details};

/// The claims of an ID token (OpenID Connect Core 1.0 §2).
#[derive(Deserialize)]
struct IdToken<'a> {
    iss: String,
    sub: String,
    #[serde(borrow)]
    aud: Audience<'a>,
    exp: NumericDate,
    iat: NumericDate,
    #[serde(default, deserialize_with = "not_before")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    azp: Option<String>,
    #[serde(flatten)]
    login: Login,
    #[serde(flatten)]
    further: Map<String, Value>,
}

/// The claims that an ID token does not have. Tokens of other kinds have the same `aud` sometimes,
/// and what limits a token must not be dropped: an ID token with `authorization_details` is of an
/// approval of those alone.
const FOREIGN: [&str; 12] = [
    "act",
    "appid",
    "authorization_details",
    "cid",
    "client_id",
    "cnf",
    "events",
    "may_act",
    "scope",
    "scp",
    "tctx",
    "txn",
];

/// Returns a claim that the ID token must not have: one of another kind of token, or one that says
/// that it is of another kind.
fn foreign(claims: &Map<String, Value>) -> Option<&'static str> {
    let mut all = FOREIGN.into_iter();
    let found = all.find(|name| claims.contains_key(*name));
    found.or_else(|| {
        let is_other = claims.get("token_use").is_some_and(|it| it != "id");
        is_other.then_some("token_use")
    })
}

const fn bad(reason: &'static str) -> Error {
    Error::SubjectToken { reason }
}

impl Subject {
    /// Verifies an ID token: `aud` is the client, by its identifier at the issuer.
    pub(super) fn of_id_token(
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
        text: &str,
        rules: &OutgoingGrants,
    ) -> Result<Self, Error> {
        let TokenRequest { client, now, .. } = *request;
        let own = server.base.as_str();
        let issuer = issuer_of(text).ok_or_else(|| bad("it is no ID token"))?;
        let scopes = rules.id_tokens.get(&issuer).ok_or(Error::Target)?;
        let (payload, due) = match issuer == own {
            true => (server.own_id_token(text, now)?, client.client_id.as_str()),
            false => {
                let named = client.client.flow.id_tokens_of.get(&issuer);
                let named = named.ok_or(Error::ClientGrant {
                    reason: "this client may not present ID tokens of that issuer",
                })?;
                (verified(server, text, &issuer, now)?, named.as_str())
            }
        };
        let malformed = |_unexplained| bad("a claim of the ID token is missing or malformed");
        let claims: IdToken<'_> = aims_jose::json::from_object(&payload).map_err(malformed)?;
        if claims.iss != issuer || claims.sub.is_empty() {
            return Err(bad("its iss or its sub is none"));
        }
        if claims.aud.sole() != Some(due) || claims.azp.is_some_and(|azp| azp != due) {
            return Err(bad("its aud is not this client alone"));
        }
        if let Some(claim) = foreign(&claims.further) {
            tracing::info!(claim, ?issuer, "refused a token of another kind");
            return Err(bad("it has a claim of another kind of token"));
        }
        let times = Times::new(Some(claims.exp), claims.nbf, Some(claims.iat));
        let checked = TimeRules::new().check(&times, now);
        checked.map_err(|_unexplained| bad("it has expired or is not valid yet"))?;
        let (issued, end): (UnixTime, UnixTime) = (claims.iat.into(), claims.exp.into());
        // A grant ends with it, so no skew is allowed.
        if now >= end {
            return Err(bad("it has expired"));
        }
        if now > add(issued, LASTING) {
            return Err(bad("it is older than revocations are kept"));
        }
        let subject = match &server.subject_issuers {
            Some(issuers) if issuer != own => {
                let mapped = issuers.subjects.subject(&issuer, &claims.sub);
                let mapped = mapped.ok_or_else(|| bad("its subject is none of this server"))?;
                server.check_subject(&mapped, now)?;
                mapped
            }
            _ => claims.sub,
        };
        let scope: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let jti = claims.further.get("jti").and_then(Value::as_str);
        let parts = Parts {
            names: Names {
                iss: Some(claims.iss),
                jti: jti.map(str::to_owned),
                txn: None,
            },
            subject,
            caller: client.client_id.clone(),
            from: issuer,
            issued: issued.as_secs(),
            not_before: claims.nbf,
            exp: end.as_secs(),
        };
        let named = Self {
            is_id_token: true,
            login: Some(claims.login),
            ..Self::new(Kind::AccessToken, parts)
        };
        named.with_access_claims(own, &scope.join(" "))
    }

    /// Reads a refresh token, which stays good. The rules have a table for one of its resources.
    pub(super) fn of_refresh_token(
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
        text: &str,
        rules: &OutgoingGrants,
    ) -> Result<Self, Error> {
        let TokenRequest { client, now, .. } = *request;
        let check = |grant: &_| code::check_refresh(server, grant, client, now);
        let read = server.read_refresh_token(text, client.proves_itself(), check, now);
        let (id, grant) = read.map_err(|error| match error {
            Error::Grant { reason } => bad(reason),
            other => other,
        })?;
        let has_table = |from: &&String| rules.scopes.contains_key(&(None, (*from).clone()));
        let mut all = grant.rights.keys().filter(has_table);
        let (Some(from), None) = (all.next(), all.next()) else {
            return Err(Error::Target);
        };
        let scopes = grant.rights.get(from).into_iter().flatten();
        let scopes: Vec<&str> = scopes.map(String::as_str).collect();
        let own = server.base.as_str();
        let parts = Parts {
            names: Names {
                iss: Some(own.to_owned()),
                // The tokens of the grant begin with it.
                jti: Some(id.clone()),
                txn: None,
            },
            subject: grant.subject.clone(),
            caller: grant.client_id.clone(),
            from: from.clone(),
            issued: grant.began,
            not_before: None,
            exp: grant.end,
        };
        let named = Self {
            grant: Some(id),
            details: details::at(&grant.details, from),
            login: Some(grant.login.clone()),
            ..Self::new(Kind::AccessToken, parts)
        };
        named.with_access_claims(own, &scopes.join(" "))
    }

    /// Adds the claims of the access token that stands for it: what the user allowed the client, or
    /// the operator for the client and its users.
    pub(super) fn with_access_claims(mut self, own: &str, scope: &str) -> Result<Self, Error> {
        let mut claims = Map::new();
        for (name, value) in [
            ("iss", json!(own)),
            ("sub", json!(self.subject)),
            ("aud", json!(self.from)),
            ("client_id", json!(self.caller)),
            ("iat", json!(self.issued)),
            ("exp", json!(self.exp)),
            ("jti", json!("none")),
            ("scope", json!(scope)),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(begins) = self.not_before {
            claims.insert("nbf".to_owned(), begins.as_secs().into());
        }
        let login = serde_json::to_value(&self.login).map_err(Error::unavailable)?;
        if let Value::Object(login) = login {
            claims.extend(login);
        }
        if !self.details.is_empty() {
            let details = Value::Array(self.details.clone());
            claims.insert("authorization_details".to_owned(), details);
        }
        self.payload = serde_json::to_vec(&claims).map_err(Error::unavailable)?;
        Ok(self)
    }
}

/// Verifies type and signature of an ID token of another issuer, and returns its payload.
fn verified(
    server: &AuthorizationServer,
    text: &str,
    issuer: &str,
    now: UnixTime,
) -> Result<Vec<u8>, Error> {
    let issuers = server.subject_issuers.as_ref();
    let issuers = issuers.ok_or_else(|| bad("its issuer is none whose tokens are accepted"))?;
    let token = Unverified::parse_ignoring_key_references(text, LONGEST);
    let token = token.map_err(|_unexplained| bad("it is no ID token"))?;
    let header = token.header();
    if !header.typ().is_none_or(|_| header.is_typ("JWT")) {
        return Err(bad("its typ is not that of an ID token"));
    }
    let refused = |code: &'static str, reason| {
        tracing::info!(code, "refused an ID token of another issuer");
        bad(reason)
    };
    let store = issuers.store.snapshot();
    let key = store.select(issuer, header.kid(), header.alg(), now);
    let key = key.map_err(|error| refused(error.code(), "its key is none of its issuer"))?;
    let verified = token.verify(key);
    let verified = verified.map_err(|error| refused(error.code(), "its signature is not valid"))?;
    Ok(verified.payload().to_vec())
}
