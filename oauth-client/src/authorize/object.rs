//! Signed authorization requests (RFC 9101).

use aims_jose::jws::SigningInput;
use aims_jose::key::AnySigner;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::UnixTime;
use aims_oauth_wire::metadata::ServerMetadata;
use serde_json::{Map, Value};

use super::Parameters;
use crate::Error;

/// The `typ` of a request object (RFC 9101 §10.8).
const TYPE: &str = "oauth-authz-req+jwt";
/// The lifetime of a request object, in seconds: a browser may be slow.
const LIFETIME: u64 = 300;

/// Returns the parameters that stay outside: `client_id` and the signed `request` (RFC 9101 §5).
pub(super) fn sign(
    parameters: &Parameters,
    signer: &AnySigner,
    server: &ServerMetadata,
    random: &dyn SecureRandom,
    now: UnixTime,
) -> Result<Parameters, Error> {
    let Some(local) = signer.local() else {
        return Err(Error::UnsupportedServer {
            reason: "the key of signed requests must be in this process",
        });
    };
    let algorithms = server.request_object_algorithms();
    if algorithms.is_some_and(|all| !all.contains(signer.algorithm())) {
        return Err(Error::UnsupportedServer {
            reason: "`request_object_signing_alg_values_supported` of its metadata does not list \
                     the algorithm of the key",
        });
    }
    let mut claims = Map::new();
    for (name, value) in parameters {
        claims.insert((*name).to_owned(), claim(name, value));
    }
    let client = claims.get("client_id").cloned().unwrap_or_default();
    let iat = now.as_secs();
    // No `sub`, so that the object is never a client assertion (RFC 9101 §10.8).
    for (name, value) in [
        ("iss", client.clone()),
        ("aud", server.issuer().as_str().into()),
        ("jti", random::id128(random).map_err(Error::Random)?.into()),
        ("iat", iat.into()),
        ("nbf", iat.into()),
        ("exp", iat.saturating_add(LIFETIME).into()),
    ] {
        claims.insert(name.to_owned(), value);
    }
    let (algorithm, key_id) = (signer.algorithm(), signer.key_id());
    let input = SigningInput::new(TYPE, algorithm, key_id, &claims).map_err(Error::Sign)?;
    let object = input.sign(&**local).map_err(Error::Sign)?;
    let client = client.as_str().unwrap_or_default();
    Ok(vec![
        ("client_id", client.into()),
        ("request", object.expose().into()),
    ])
}

/// Returns a parameter as a claim: JSON where the parameter is JSON or a number (RFC 9101 §4, RFC
/// 9396 §3, OpenID Connect Core §6.1).
fn claim(name: &str, value: &str) -> Value {
    let is_json = matches!(name, "authorization_details" | "claims" | "max_age");
    let parsed = is_json.then(|| serde_json::from_str(value).ok()).flatten();
    parsed.unwrap_or_else(|| value.into())
}
