//! The authorization server: who may do what. See [`AuthorizationServer`].

mod authenticate;
pub(crate) mod endpoint;
mod metadata;
mod resource;

use core::time::Duration;
use std::sync::Arc;

use aims_jose::jwk::{Jwk, PublicJwkSet};
use aims_jose::jws::{CompactJws, SigningInput};
use aims_jose::jwt::NumericDate;
use aims_jose::key::Signer;
use aims_jose::provider::Provider;
use aims_jose::random::{SecureRandom, id128};
use aims_jose::time::UnixTime;
use aims_oauth_wire::assertion::AssertionRules;
use aims_oauth_wire::attestation::PopRules;
use aims_oauth_wire::token::Form;
use aims_replay::ReplayStore;
use serde::Serialize;

pub(crate) use self::resource::Registry;
pub use self::resource::{Client, Resource};
use crate::Error;
use crate::base::Base;
use crate::identity::{IdentityServer, add};
use crate::keys::KeyRing;

/// Issues access tokens by client credentials (RFC 6749 §4.4) as JWTs (RFC 9068), each for one
/// resource and bound to the client's key where the client has proven one.
///
/// Clients authenticate by `private_key_jwt` (RFC 7523), by a WIT-SVID with its proof, or, where
/// the operator allows it, by a JWT-SVID (draft-ietf-oauth-spiffe-client-auth).
#[derive(Debug)]
pub struct AuthorizationServer {
    pub(crate) base: Base,
    pub(crate) registry: Registry,
    pub(crate) ring: KeyRing,
    pub(crate) lifetime: Duration,
    pub(crate) refresh_hint: Duration,
    pub(crate) identity: Arc<IdentityServer>,
    pub(crate) provider: &'static dyn Provider,
    pub(crate) random: &'static dyn SecureRandom,
    pub(crate) replay: Arc<dyn ReplayStore>,
    /// What a `private_key_jwt` has to be: for this server alone.
    pub(crate) assertions: AssertionRules,
    /// What the proof beside a WIT-SVID has to be: for this server alone.
    pub(crate) pops: PopRules,
}

/// A client that has been authenticated.
#[derive(Debug)]
pub(crate) struct Authenticated<'a> {
    pub(crate) client: &'a Client,
    /// For a workload its own identifier, not the pattern (SPF-07).
    pub(crate) client_id: String,
    /// The key that it has proven.
    pub(crate) key: Option<Jwk>,
}

/// The claims of an access token (RFC 9068 §2.2, RFC 7800 §3.2).
#[derive(Debug, Serialize)]
struct AccessTokenClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: NumericDate,
    exp: NumericDate,
    jti: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
}

#[derive(Debug, Serialize)]
struct Confirmation<'a> {
    jwk: &'a Jwk,
}

/// An access token and what it is good for.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) token: CompactJws,
    pub(crate) scope: String,
    pub(crate) expires_in: Duration,
}

impl AuthorizationServer {
    /// The public keys that access tokens are verified with (RFC 7517 §5).
    #[must_use]
    pub fn jwks(&self, now: UnixTime) -> String {
        let (keys, _) = self.ring.published(now);
        keys.into_iter().collect::<PublicJwkSet>().to_json()
    }

    pub(crate) const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Answers the parameters of a token request.
    pub(crate) fn token(
        &self,
        headers: &http::HeaderMap,
        form: &Form,
        now: UnixTime,
    ) -> Result<Issued, Error> {
        let grant_type = form.get("grant_type").ok_or(Error::TokenRequest {
            reason: "no grant_type",
        })?;
        if grant_type != "client_credentials" {
            return Err(Error::GrantType);
        }
        let who = self.authenticate(headers, form, now)?;
        let asked: Vec<&str> = form.all("resource").collect();
        let permission = self
            .registry
            .permit(who.client, &asked, form.get("scope"))?;
        let scope = permission.scopes.join(" ");
        let token = self.sign(&who, permission.resource, &scope, now)?;
        tracing::info!(
            client_id = ?who.client_id,
            resource = ?permission.resource,
            ?scope,
            token = %aims_jose::digest::Fingerprint::of(token.expose().as_bytes()),
            "issued an access token"
        );
        Ok(Issued {
            token,
            scope,
            expires_in: self.lifetime,
        })
    }

    fn sign(
        &self,
        who: &Authenticated<'_>,
        resource: &str,
        scope: &str,
        now: UnixTime,
    ) -> Result<CompactJws, Error> {
        let expires = add(now, self.lifetime);
        let date = |at: UnixTime| {
            let date = NumericDate::from_secs(at.as_secs());
            date.ok_or_else(|| Error::unavailable("the clock is beyond all dates"))
        };
        let claims = AccessTokenClaims {
            iss: self.base.as_str(),
            sub: &who.client_id,
            aud: resource,
            client_id: &who.client_id,
            iat: date(now)?,
            exp: date(expires)?,
            jti: id128(self.random).map_err(Error::unavailable)?,
            scope,
            cnf: who.key.as_ref().map(|jwk| Confirmation { jwk }),
        };
        let signer = self
            .ring
            .signer(expires, now)
            .ok_or_else(|| Error::unavailable("no key"))?;
        SigningInput::new("at+jwt", signer.algorithm(), signer.key_id(), &claims)
            .and_then(|input| input.sign(&*signer))
            .map_err(Error::unavailable)
    }
}
