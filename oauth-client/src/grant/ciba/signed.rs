//! Signed authentication requests (CIBA Core §7.1.1).

use std::time::Duration;

use aims_jose::jws::SigningInput;
use aims_jose::key::AnySigner;
use aims_jose::random::{SecureRandom, id128};
use aims_jose::secret::SecretText;
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{ClientId, Resource};
use serde_json::{Map, Value};

use crate::{Error, Target};

/// The lifetime of a request.
const LIFETIME: Duration = Duration::from_secs(60);

/// Returns the request as a JWT: every parameter as a claim, for this server alone. It has no
/// `sub`, so it cannot count as a client assertion.
pub(super) fn request(
    (target, resource, further): (&Target, Option<&Resource>, &[(&'static str, SecretText)]),
    client: &ClientId,
    server: &ServerMetadata,
    signer: &AnySigner,
    random: &dyn SecureRandom,
    now: UnixTime,
) -> Result<SecretText, Error> {
    let mut claims = Map::new();
    let mut add = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    let text = |text: &str| Value::from(text);
    add("iss", text(client.as_str()));
    add("aud", text(server.issuer().as_str()));
    add("jti", id128(random).map_err(Error::Random)?.into());
    add("iat", now.as_secs().into());
    add("nbf", now.as_secs().into());
    add("exp", time::after(now, LIFETIME).as_secs().into());
    if let Some(resource) = resource {
        add("resource", text(resource.as_str()));
    }
    let scopes: Vec<&str> = target.scopes().iter().map(|it| it.as_str()).collect();
    add("scope", scopes.join(" ").into());
    if let Some(details) = target.details() {
        let details = serde_json::from_str(details).or(Err(Error::Details))?;
        add("authorization_details", details);
    }
    for (name, value) in further {
        add(name, text(value.expose()));
    }
    let (algorithm, key_id) = (signer.algorithm(), signer.key_id());
    let input = SigningInput::new("oauth-authz-req+jwt", algorithm, key_id, &claims);
    let input = input.map_err(Error::Sign)?;
    let Some(signer) = signer.local() else {
        return Err(Error::from(aims_oauth_wire::Error::Request {
            reason: "a signed request needs a key that signs synchronously",
        }));
    };
    let signed = input.sign(&**signer).map_err(Error::Sign)?;
    Ok(signed.into_secret())
}
