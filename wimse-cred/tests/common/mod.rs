//! Issuers, agents and forged tokens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_wimse_cred::{Bundle, Error, TrustStore, Wit, WitRules};
use aims_wimse_id::Origin;
use serde_json::{Value, json};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const AGENT: &str = "spiffe://example.org/agent";

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn key(algorithm: Algorithm, id: &str) -> SigningKey {
    SigningKey::generate(algorithm, AWS_LC)
        .unwrap()
        .with_key_id(id)
}

pub(crate) fn origin(text: &str) -> Origin {
    text.parse().unwrap()
}

/// A SPIFFE bundle with these keys for this use.
pub(crate) fn document(keys: &[&SigningKey], key_use: &str, sequence: u64) -> String {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| key.public_jwk().clone().with_use(key_use).to_json())
        .collect();
    format!(
        r#"{{"keys":[{}],"spiffe_sequence":{sequence}}}"#,
        keys.join(",")
    )
}

/// A store that trusts these keys for WITs of `spiffe://example.org`.
pub(crate) fn trust(keys: &[&SigningKey]) -> TrustStore {
    let document = document(keys, "wit-svid", 1);
    TrustStore::of([
        Bundle::parse(&origin("spiffe://example.org"), document.as_bytes(), AWS_LC).unwrap(),
    ])
}

/// Returns the claims of a valid WIT that confirms this key.
pub(crate) fn claims(agent: &SigningKey) -> Value {
    let jwk: Value = serde_json::from_str(&bare(agent)).unwrap();
    json!({"sub": AGENT, "exp": NOW + 300, "iat": NOW, "jti": "1", "cnf": {"jwk": jwk}})
}

/// Returns the public key with `alg`, without `kid`.
pub(crate) fn bare(key: &SigningKey) -> String {
    let jwk = aims_jose::jwk::Jwk::from_public_key(key.public_jwk().public_key().clone()).unwrap();
    jwk.with_algorithm(key.algorithm()).unwrap().to_json()
}

pub(crate) fn sign(typ: &str, key: &SigningKey, claims: &Value) -> String {
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

/// Signs header and payload as given.
pub(crate) fn sign_raw(header: &str, payload: &str, key: &SigningKey) -> String {
    let text = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(payload.as_bytes())
    );
    let signature = key.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", base64url::encode(signature.as_ref()))
}

pub(crate) fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

pub(crate) fn verify(text: &str, trust: &TrustStore) -> &'static str {
    code(Wit::verify(
        text,
        &trust.snapshot(),
        &WitRules::wit(),
        at(NOW),
    ))
}
