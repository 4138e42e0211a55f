//! An authorization server with one key, a resource that trusts it, and tokens that differ in one
//! thing from a valid one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::{self, AWS_LC, Provider, RUSTCRYPTO};
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, AccessTokenRules, Error, IssuerStore};
use serde_json::{Value, json};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://as.example";
pub(crate) const RESOURCE: &str = "https://tools.example/mcp";

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn provider() -> &'static dyn Provider {
    provider::default()
}

pub(crate) fn providers() -> [&'static dyn Provider; 2] {
    [AWS_LC, RUSTCRYPTO]
}

pub(crate) fn key(algorithm: Algorithm, key_id: &str) -> SigningKey {
    let key = SigningKey::generate(algorithm, provider()).unwrap();
    key.with_key_id(key_id)
}

/// Returns a `jwks_uri` document of these keys.
pub(crate) fn document(keys: &[&SigningKey]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| key.public_jwk().to_json()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// Returns a store that trusts one issuer with these keys.
pub(crate) fn store(issuer: &str, keys: &[&SigningKey]) -> IssuerStore {
    let store = IssuerStore::new();
    set(&store, issuer, keys);
    store
}

pub(crate) fn set(store: &IssuerStore, issuer: &str, keys: &[&SigningKey]) {
    let document = document(keys);
    let issuer = issuer.parse().unwrap();
    store.set(&issuer, document.as_bytes(), provider()).unwrap();
}

/// An authorization server and a resource that trusts it.
pub(crate) struct World {
    pub(crate) key: SigningKey,
    pub(crate) issuers: IssuerStore,
    pub(crate) rules: AccessTokenRules,
}

impl World {
    pub(crate) fn new() -> Self {
        let key = key(Algorithm::Es256, "as");
        Self {
            issuers: store(ISSUER, &[&key]),
            rules: AccessTokenRules::new(RESOURCE),
            key,
        }
    }

    /// Returns a valid token.
    pub(crate) fn token(&self) -> String {
        self.token_with(&json!({}))
    }

    /// Returns a valid token with these claims changed.
    pub(crate) fn token_with(&self, changes: &Value) -> String {
        sign("at+jwt", &self.key, &laid_over(claims(), changes))
    }

    pub(crate) fn verify(&self, text: &str, now: u64) -> Result<AccessToken, Error> {
        AccessToken::verify(text, &self.issuers.snapshot(), &self.rules, at(now))
    }

    /// Returns `ok`, or the code of the refusal.
    pub(crate) fn code(&self, text: &str) -> &'static str {
        code(self.verify(text, NOW))
    }

    /// Returns `ok`, or the code, for a valid token with these claims changed.
    pub(crate) fn code_of(&self, changes: &Value) -> &'static str {
        self.code(&self.token_with(changes))
    }
}

/// Returns the claims of a valid token, bound to no key.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "s6BhdRkqt3",
        "exp": NOW + 300, "iat": NOW, "jti": "t1", "scope": "tools:call tools:list",
    })
}

/// Applies `changes` to `claims`; `"-"` removes a claim.
pub(crate) fn laid_over(mut claims: Value, changes: &Value) -> Value {
    let all = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            all.remove(name).unwrap();
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    claims
}

pub(crate) fn sign(typ: &str, key: &SigningKey, claims: &Value) -> String {
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

/// Signs header and payload as they are.
pub(crate) fn sign_raw(header: &str, payload: &str, key: &SigningKey) -> String {
    let header = base64url::encode(header.as_bytes());
    let text = format!("{header}.{}", base64url::encode(payload.as_bytes()));
    let signature = key.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", base64url::encode(signature.as_ref()))
}

pub(crate) fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}
