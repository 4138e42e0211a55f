//! Authorization codes as a grant (RFC 6749 §4.1.3).

use std::fmt;

use aims_jose::json;
use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate};
use aims_jose::secret::SecretText;
use aims_jose::time::{Skew, UnixTime};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{ClientId, Issuer};
use aims_oauth_wire::token::{TokenRequest, TokenResponse};
use serde::Deserialize;

use super::RedirectUri;
use crate::grant::USER;
use crate::{Error, Grant, Target};

/// The code of an authorization server, with the verifier of its request. Redeem it once, by
/// `TokenSource::redeem` or a [`TokenFlow`](crate::TokenFlow).
///
/// `Debug` shows the fingerprint of the code.
pub struct AuthorizationCode {
    pub(super) code: SecretText,
    pub(super) verifier: SecretText,
    pub(super) nonce: Option<String>,
    pub(super) redirect: RedirectUri,
    pub(super) target: Target,
    pub(super) issuer: Issuer,
    pub(super) client: ClientId,
}

#[derive(Deserialize)]
struct IdToken<'a> {
    iss: String,
    #[serde(borrow)]
    aud: Audience<'a>,
    exp: NumericDate,
    nonce: Option<String>,
}

impl Grant for AuthorizationCode {
    fn grant_type(&self) -> &str {
        "authorization_code"
    }

    fn target(&self) -> &Target {
        &self.target
    }

    /// Adds the code and its verifier, for the server that gave it.
    fn write(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        if server.issuer() != &self.issuer {
            return Err(aims_oauth_wire::Error::Request {
                reason: "the code is of another server",
            });
        }
        request.parameter("code", self.code.clone())?;
        request.parameter("redirect_uri", self.redirect.as_str())?;
        request.parameter("code_verifier", self.verifier.clone())?;
        request.resource(self.target.resource())?;
        Ok(())
    }

    /// Judges the ID token, if there is one: its issuer (RFC 9207 §2.4), its audience, its end and
    /// its nonce. The server itself gave it, so its signature is not needed (OpenID Connect Core
    /// §3.1.3.7).
    fn judge(&self, response: &TokenResponse, now: UnixTime) -> Result<(), Error> {
        let Some(token) = response.id_token() else {
            return Ok(());
        };
        let token = Unverified::parse_ignoring_key_references(token.expose(), usize::MAX);
        let claims = token.as_ref().map_err(Clone::clone);
        let claims = claims.and_then(Unverified::unverified_payload);
        let claims = claims.and_then(json::from_object::<IdToken<'_>>);
        let reason = match claims {
            Err(_malformed) => "it is malformed",
            Ok(it) if it.iss != self.issuer.as_str() => "it is of another issuer",
            Ok(it) if !it.aud.contains(self.client.as_str()) => "it is for another client",
            Ok(it) if Skew::MAX.has_ended(it.exp.as_secs(), now.as_secs()) => "it has expired",
            Ok(it) if self.nonce.is_some() && it.nonce != self.nonce => "it is of another request",
            Ok(_) => return Ok(()),
        };
        Err(Error::IdToken { reason })
    }

    fn refresh_token(&self, response: &TokenResponse) -> Option<SecretText> {
        response.refresh_token().cloned()
    }

    fn cached_as(&self) -> &str {
        USER
    }
}

impl fmt::Debug for AuthorizationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationCode")
            .field("code", &self.code)
            .field("issuer", &self.issuer)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
