//! Access tokens that are bound to the client's certificate (RFC 8705 §3).

use aims_jose::json;
use aims_jose::jws::Unverified;
use aims_jose::secret::SecretText;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_oauth_wire::metadata::{ServerMetadata, Switch};
use serde::Deserialize;

use super::TokenRules;
use super::pending::Received;
use crate::Error;

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    cnf: Option<Members>,
}

#[derive(Deserialize)]
struct Members {
    #[serde(rename = "x5t#S256", default)]
    certificate: Option<String>,
}

/// Checks that the server announces such tokens, if the client requires them (§3.3).
pub(super) fn expect_supported(
    client: &dyn Authenticate,
    server: &ServerMetadata,
    rules: &TokenRules,
) -> Result<(), Error> {
    let binds = server.is_on(Switch::CertificateBoundTokens);
    if client.certificate().is_some() && !binds && !rules.unbound_tokens {
        return Err(Error::CertificateUnsupported);
    }
    Ok(())
}

/// Returns the certificate that the token is bound to, if the client requires one.
///
/// Nothing in the answer names the binding. A JWT has it in `cnf`; nothing of the JWT is verified,
/// because the client asked the server itself. An opaque token is bound as the server announces.
pub(super) fn bound(
    token: &SecretText,
    received: &Received<'_>,
) -> Result<Option<CertificateThumbprint>, Error> {
    let Some(own) = received.certificate else {
        return Ok(None);
    };
    let Ok(jwt) = Unverified::parse_ignoring_key_references(token.expose(), usize::MAX) else {
        return Ok(Some(own));
    };
    let claims = jwt.unverified_payload().and_then(json::from_object);
    let claims: Claims = claims.map_err(|_malformed| Error::CertificateUnbound)?;
    match claims.cnf.and_then(|cnf| cnf.certificate) {
        Some(found) if found == own.to_string() => Ok(Some(own)),
        Some(_) => Err(Error::CertificateDiffers),
        None if received.rules.unbound_tokens => Ok(None),
        None => Err(Error::CertificateUnbound),
    }
}
