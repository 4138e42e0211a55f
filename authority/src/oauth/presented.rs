//! Tokens of this server that come back to it, for an exchange.

use aims_jose::jws::{Header, Unverified};
use aims_jose::jwt::{NumericDate, not_before};
use aims_jose::time::{Skew, UnixTime};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::family::GrantEntry;
use super::store::{self, key_of};
use super::{AuthorizationServer, Login, opaque};
use crate::keys::KeyRing;
use crate::{Error, Kind};

/// A valid access token of this server.
#[derive(Debug)]
pub(crate) struct OwnToken {
    pub(crate) claims: OwnClaims,
    /// The claims as they were signed or stored.
    pub(crate) payload: Vec<u8>,
}

/// The claims that an exchange reads.
#[derive(Debug, Deserialize)]
pub(crate) struct OwnClaims {
    iss: String,
    pub(crate) sub: String,
    pub(crate) aud: String,
    pub(crate) client_id: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    #[serde(default, deserialize_with = "not_before")]
    pub(crate) nbf: Option<NumericDate>,
    jti: String,
    #[serde(flatten)]
    pub(crate) login: Login,
    #[serde(default)]
    pub(crate) authorization_details: Vec<Value>,
    #[serde(default)]
    pub(crate) act: Option<Value>,
}

impl OwnClaims {
    /// Returns the id of the grant that the token belongs to. A token of a client for itself has
    /// none.
    pub(crate) fn grant(&self) -> Option<&str> {
        self.jti.split_once('.').map(|(grant, _)| grant)
    }
}

/// The claims of a valid transaction token of this server.
#[derive(Debug, Deserialize)]
pub(crate) struct OwnTransaction {
    iss: String,
    pub(crate) sub: String,
    pub(crate) aud: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    #[serde(default, deserialize_with = "not_before")]
    pub(crate) nbf: Option<NumericDate>,
    pub(crate) txn: String,
    /// The client that asked for the token.
    pub(crate) req_wl: String,
    #[serde(default)]
    pub(crate) tctx: Map<String, Value>,
    #[serde(default)]
    pub(crate) rctx: Map<String, Value>,
    #[serde(default)]
    pub(crate) act: Option<Value>,
}

impl OwnTransaction {
    /// Returns the id of the grant that the transaction belongs to, if it belongs to one.
    pub(crate) fn grant(&self) -> Option<&str> {
        self.txn.split_once('.').map(|(grant, _)| grant)
    }
}

impl AuthorizationServer {
    /// Verifies an access token of this server (RFC 9068 §4): signature, issuer, expiry and
    /// revocation. The caller judges `aud`.
    ///
    /// # Errors
    ///
    /// `as.subject_token`; `authority.unavailable` if the state cannot tell.
    pub(crate) fn own_token(&self, text: &str, now: UnixTime) -> Result<OwnToken, Error> {
        let bad = |reason| Error::SubjectToken { reason };
        let state = self.state.as_ref();
        let payload = if opaque::is_opaque(text) {
            let claims = opaque::claims(state, text, now)?;
            claims.ok_or_else(|| bad("it is unknown, has expired or was revoked"))?
        } else {
            let is_type = |header: &Header| header.is_typ("at+jwt");
            self.verified_payload(text, &self.ring, is_type, now)?
        };
        let claims: OwnClaims = aims_jose::json::from_object(&payload)
            .map_err(|_unexplained| bad("its claims are not those of this server"))?;
        if claims.iss != self.base.as_str() {
            return Err(bad("its issuer is not this server"));
        }
        // The clock is the one that issued it, so there is no skew.
        if now.as_secs() >= claims.exp {
            return Err(bad("it has expired"));
        }
        check_begun(claims.nbf, now)?;
        if state
            .load(Kind::RevokedToken, &revoked_key(text), now)?
            .is_some()
        {
            return Err(bad("it was revoked"));
        }
        self.check_grant(claims.grant(), now)?;
        Ok(OwnToken { claims, payload })
    }

    /// Verifies type and signature of an ID token of this server, and returns its payload.
    ///
    /// # Errors
    ///
    /// `as.subject_token`.
    pub(crate) fn own_id_token(&self, text: &str, now: UnixTime) -> Result<Vec<u8>, Error> {
        self.verified_payload(text, &self.ring, |header| header.is_typ("JWT"), now)
    }

    /// Verifies a transaction token of this server (draft-ietf-oauth-transaction-tokens §12.2):
    /// type, signature, issuer, trust domain, expiry, and revocation of the grant that it comes
    /// from. Also returns the claims as they were signed.
    ///
    /// # Errors
    ///
    /// `as.subject_token`; `authority.unavailable` if the state cannot tell.
    pub(crate) fn own_transaction(
        &self,
        text: &str,
        now: UnixTime,
    ) -> Result<(OwnTransaction, Vec<u8>), Error> {
        let bad = |reason| Error::SubjectToken { reason };
        let service = self.transactions.as_ref();
        let service = service.ok_or_else(|| bad("this server has no transaction tokens"))?;
        let is_type = |header: &Header| header.typ() == Some("txntoken+jwt");
        let payload = self.verified_payload(text, &service.ring, is_type, now)?;
        let claims: OwnTransaction = aims_jose::json::from_object(&payload)
            .map_err(|_unexplained| bad("its claims are not those of this server"))?;
        if claims.iss != self.base.as_str() || claims.aud != service.domain {
            return Err(bad(
                "its issuer or its trust domain is not that of this server",
            ));
        }
        // The clock is the one that issued it, so there is no skew.
        if now.as_secs() >= claims.exp {
            return Err(bad("it has expired"));
        }
        check_begun(claims.nbf, now)?;
        self.check_grant(claims.grant(), now)?;
        Ok((claims, payload))
    }

    /// Checks that the grant of a token, if it has one, was not revoked.
    fn check_grant(&self, grant: Option<&str>, now: UnixTime) -> Result<(), Error> {
        let Some(grant) = grant else {
            return Ok(());
        };
        let found = store::read::<GrantEntry>(self.state.as_ref(), Kind::Grant, grant, now)?;
        match found.map(|it| it.value) {
            Some(GrantEntry::Live(_)) => Ok(()),
            Some(GrantEntry::Revoked) | None => Err(Error::SubjectToken {
                reason: "its grant was revoked or has ended",
            }),
        }
    }

    /// Verifies type and signature of a JWT, and returns its payload.
    fn verified_payload(
        &self,
        text: &str,
        ring: &KeyRing,
        is_type: impl Fn(&Header) -> bool,
        now: UnixTime,
    ) -> Result<Vec<u8>, Error> {
        let bad = |reason| Error::SubjectToken { reason };
        let unverified =
            Unverified::parse(text).map_err(|_unexplained| bad("it is no token of this server"))?;
        if !is_type(unverified.header()) {
            return Err(bad("its typ is not that of its kind"));
        }
        let kid = unverified.header().kid().unwrap_or_default();
        let key = ring.verifying_key(kid, now);
        let key = key.ok_or_else(|| bad("its key is not of this server"))?;
        let verified = unverified.verify(&key);
        let verified = verified.map_err(|_unexplained| bad("its signature is not valid"))?;
        Ok(verified.payload().to_vec())
    }
}

/// Checks `nbf`, which another domain's clock has given.
fn check_begun(nbf: Option<NumericDate>, now: UnixTime) -> Result<(), Error> {
    if nbf.is_some_and(|it| Skew::default().is_future(it.as_secs(), now.as_secs())) {
        return Err(Error::SubjectToken {
            reason: "it is not valid yet",
        });
    }
    Ok(())
}

/// Returns the key of a revoked access token. It is over the signed text alone, because ECDSA has a
/// second signature that verifies too.
pub(super) fn revoked_key(text: &str) -> String {
    key_of(text.rsplit_once('.').map_or(text, |(signed, _)| signed))
}
