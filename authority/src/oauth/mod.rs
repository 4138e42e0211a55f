//! The authorization server. See [`AuthorizationServer`].

mod authenticate;
pub(crate) mod dpop;
pub(crate) mod endpoint;
pub(crate) mod grant;
mod metadata;
mod resource;

use core::time::Duration;
use std::sync::Arc;

use aims_jose::jwk::{Jwk, PublicJwkSet, Thumbprint};
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

use self::dpop::DpopPolicy;
pub(crate) use self::endpoint::refusal;
use self::grant::{GrantTypes, Granted, TokenRequest};
pub(crate) use self::resource::Registry;
pub use self::resource::{Client, Resource};
use crate::Error;
use crate::State;
use crate::base::Base;
use crate::identity::{IdentityServer, add};
use crate::keys::KeyRing;

/// Issues access tokens by client credentials (RFC 6749 §4.4) as JWTs (RFC 9068).
///
/// Each token is for one resource. It is bound to the client's key if the client has proven one.
/// Clients authenticate by `private_key_jwt` (RFC 7523), by a WIT-SVID with its proof, or, if the
/// operator allows it, by a JWT-SVID (draft-ietf-oauth-spiffe-client-auth).
#[derive(Debug)]
pub struct AuthorizationServer {
    pub(crate) base: Base,
    pub(crate) registry: Registry,
    pub(crate) grants: GrantTypes,
    pub(crate) ring: KeyRing,
    pub(crate) lifetime: Duration,
    pub(crate) refresh_hint: Duration,
    pub(crate) identity: Arc<IdentityServer>,
    pub(crate) provider: &'static dyn Provider,
    pub(crate) random: &'static dyn SecureRandom,
    pub(crate) replay: Arc<dyn ReplayStore>,
    pub(crate) state: Arc<dyn State>,
    /// The rules of `private_key_jwt` for this server.
    pub(crate) assertions: AssertionRules,
    /// The rules of the proof with a WIT-SVID for this server.
    pub(crate) pops: PopRules,
    pub(crate) dpop: DpopPolicy,
}

/// An authenticated client.
#[derive(Debug)]
pub(crate) struct Authenticated<'a> {
    pub(crate) client: &'a Client,
    /// For a workload its own identifier, not the pattern that it matches.
    pub(crate) client_id: String,
    /// The key that it has proven.
    pub(crate) key: Option<Jwk>,
    /// The key of the request's DPoP proof. If present, a token is bound to it, because the client
    /// chose it.
    pub(crate) dpop: Option<Thumbprint>,
}

impl Authenticated<'_> {
    /// Returns `token_type` of the client's tokens (RFC 9449 §5, RFC 6750).
    const fn token_type(&self) -> &'static str {
        match self.dpop {
            Some(_) => "DPoP",
            None => "Bearer",
        }
    }
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

/// `cnf` of an access token (RFC 9449 §6.1, RFC 7800 §3.2).
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Confirmation<'a> {
    Jkt(Thumbprint),
    Jwk(&'a Jwk),
}

impl AuthorizationServer {
    /// Returns the public keys that verify access tokens (RFC 7517 §5).
    #[must_use]
    pub fn jwks(&self, now: UnixTime) -> String {
        let (keys, _) = self.ring.published(now);
        keys.into_iter().collect::<PublicJwkSet>().to_json()
    }

    /// Returns the store of codes, grants, tokens and registered clients.
    #[must_use]
    pub fn state(&self) -> &dyn State {
        self.state.as_ref()
    }

    pub(crate) const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Answers a token request by the grant that it names.
    pub(crate) fn token(
        &self,
        headers: &http::HeaderMap,
        form: &Form,
        now: UnixTime,
    ) -> Result<Granted, Error> {
        let grant_type = form.get("grant_type").ok_or(Error::TokenRequest {
            reason: "no grant_type",
        })?;
        let grant = self.grants.find(grant_type)?;
        let mut client = self.authenticate(headers, form, now)?;
        let store = self.replay.as_ref();
        let proven = self.dpop.verify(headers, &client.client_id, store, now)?;
        client.dpop = proven.as_ref().map(|it| it.thumbprint);
        if client.client.requires_dpop && client.dpop.is_none() {
            return Err(Error::TokenRequest {
                reason: "this client's requests need a DPoP proof",
            });
        }
        let request = TokenRequest {
            client: &client,
            form,
            now,
        };
        let mut granted = grant.grant(self, &request)?;
        granted.next_nonce = proven.and_then(|it| it.next_nonce);
        Ok(granted)
    }

    /// Signs an access token for a client, bound to the key that it has proven.
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
            cnf: match (who.dpop, &who.key) {
                (Some(thumbprint), _) => Some(Confirmation::Jkt(thumbprint)),
                (None, Some(jwk)) => Some(Confirmation::Jwk(jwk)),
                (None, None) => None,
            },
        };
        let signer = self
            .ring
            .signer(expires, now)
            .ok_or_else(|| Error::unavailable("no key"))?;
        let token = SigningInput::new("at+jwt", signer.algorithm(), signer.key_id(), &claims)
            .and_then(|input| input.sign(&*signer))
            .map_err(Error::unavailable)?;
        tracing::info!(
            client_id = ?who.client_id,
            ?resource,
            ?scope,
            token = %aims_jose::digest::Fingerprint::of(token.expose().as_bytes()),
            "issued an access token"
        );
        Ok(token)
    }
}
