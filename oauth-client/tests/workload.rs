//! Client authentication by the identity of a workload.

#![cfg(feature = "workload")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_client::{ClientCredentials, OfIdentity as _};
use aims_oauth_wire::client_auth::{Authenticate as _, SpiffeWit};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_wimse_cred::{Error, Identity, IdentitySource};
use serde_json::json;

const AGENT: &str = "spiffe://example.org/agent";

fn identity(jti: &str) -> Arc<Identity> {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let part = |it: serde_json::Value| aims_jose::base64url::encode(it.to_string().as_bytes());
    let header = part(json!({"alg": "ES256", "typ": "wit+jwt", "kid": "k"}));
    let claims = part(json!({
        "sub": AGENT, "exp": 4_000_000_000_u64, "jti": jti, "cnf": {"jwk": key.public_jwk()},
    }));
    let wit = SecretText::new(format!("{header}.{claims}.AAAA"));
    let jwk = key.public_jwk().clone();
    Arc::new(Identity::new(wit, Arc::new(key), &jwk).unwrap())
}

/// Returns its current identity.
#[derive(Clone, Debug)]
struct Current(Arc<Mutex<Option<Arc<Identity>>>>);

impl IdentitySource for Current {
    fn identity(&self, _: UnixTime) -> Result<Arc<Identity>, Error> {
        self.0.lock().unwrap().clone().ok_or(Error::SourceExpired)
    }
}

/// The client is the workload, and each request uses the current identity.
#[test]
fn the_client_is_the_workload_as_it_is_now() {
    let (first, second) = (identity("1"), identity("2"));
    let current = Current(Arc::new(Mutex::new(Some(first.clone()))));
    let client = SpiffeWit::of(current.clone()).unwrap();
    assert_eq!(client.client_id().as_str(), AGENT);
    let document =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    let issuer = "https://as.example".parse().unwrap();
    let server = ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap();
    let grant = ClientCredentials::new("https://tools.example/mcp".parse().unwrap());
    let shown = || {
        let (request, _pending) = grant.prepare(&client, &server, UnixTime::now())?;
        let shown = &request.headers()["oauth-client-attestation"];
        Ok::<_, aims_oauth_client::Error>(shown.to_str().unwrap().to_owned())
    };
    assert_eq!(shown().unwrap(), first.wit().expose());
    *current.0.lock().unwrap() = Some(second.clone());
    assert_eq!(shown().unwrap(), second.wit().expose());
    *current.0.lock().unwrap() = None;
    assert_eq!(shown().unwrap_err().code(), "oauth.authenticate");
}

/// Without an identity there is no client, and the error is that of the source.
#[test]
fn without_an_identity_there_is_no_client() {
    let error = SpiffeWit::of(Current(Arc::default())).unwrap_err();
    assert_eq!(error.code(), "source.expired");
}
