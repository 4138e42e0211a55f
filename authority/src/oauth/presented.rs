//! Access tokens of this server that come back to it, for an exchange.

use aims_jose::jws::Unverified;
use aims_jose::time::UnixTime;
use serde::Deserialize;
use serde_json::Value;

use super::family::GrantEntry;
use super::store::{self, key_of};
use super::{AuthorizationServer, Login, opaque};
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
    pub(crate) exp: u64,
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
            self.verified_payload(text, now)?
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
        if state
            .load(Kind::RevokedToken, &revoked_key(text), now)?
            .is_some()
        {
            return Err(bad("it was revoked"));
        }
        if let Some(grant) = claims.grant() {
            let found = store::read::<GrantEntry>(state, Kind::Grant, grant, now)?;
            if !matches!(found.map(|it| it.value), Some(GrantEntry::Live(_))) {
                return Err(bad("its grant was revoked or has ended"));
            }
        }
        Ok(OwnToken { claims, payload })
    }

    /// Verifies the signature of a JWT, and returns its payload.
    fn verified_payload(&self, text: &str, now: UnixTime) -> Result<Vec<u8>, Error> {
        let bad = |reason| Error::SubjectToken { reason };
        let unverified = Unverified::parse(text)
            .map_err(|_unexplained| bad("it is no access token of this server"))?;
        if !unverified.header().is_typ("at+jwt") {
            return Err(bad("its typ is not at+jwt"));
        }
        let kid = unverified.header().kid().unwrap_or_default();
        let key = self.ring.verifying_key(kid, now);
        let key = key.ok_or_else(|| bad("its key is not of this server"))?;
        let verified = unverified.verify(&key);
        let verified = verified.map_err(|_unexplained| bad("its signature is not valid"))?;
        Ok(verified.payload().to_vec())
    }
}

/// Returns the key of a revoked access token. It is over the signed text alone, because ECDSA has a
/// second signature that verifies too.
pub(super) fn revoked_key(text: &str) -> String {
    key_of(text.rsplit_once('.').map_or(text, |(signed, _)| signed))
}
