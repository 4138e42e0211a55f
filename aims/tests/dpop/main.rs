//! DPoP-bound access tokens (RFC 9449): each refusal by a request that differs in one thing from
//! one that is accepted.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod challenges;
mod layers;
mod nonces;
mod proofs;
mod schemes;
mod with_identity;

use std::sync::Arc;

use aims::guard::{Dpop, GuardBuilder, Trusting};
use aims::jose::alg::Algorithm;
use aims::jose::base64url;
use aims::jose::digest::{Hashed, sha256};
use aims::jose::jws::SigningInput;
use aims::jose::key::{Signer as _, SigningKey};
use aims::{Guard, Principal, Refusal, Requirements};
use common::{CALL, ISSUER, NOW, TOOL, World, at, key};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

/// A client with its key, its token, and a guard that accepts DPoP.
struct Scene {
    world: World,
    key: SigningKey,
    token: String,
    guard: Guard,
}

impl Scene {
    fn new() -> Self {
        Self::with(|guard| guard.dpop(Dpop::new()))
    }

    fn with(configure: impl FnOnce(GuardBuilder<Trusting>) -> GuardBuilder<Trusting>) -> Self {
        let world = World::new();
        let key = key(Algorithm::Es256);
        let guard = world
            .guard_by_default()
            .issuers(Arc::clone(&world.issuers))
            .require(Requirements::new().scopes("tools:call".parse().unwrap()));
        Self {
            token: world.token(&claims(&key)),
            guard: configure(guard).build().unwrap(),
            world,
            key,
        }
    }

    fn token_with(&self, changes: &Value) -> String {
        self.world.token(&with(claims(&self.key), changes))
    }

    /// The claims of a good proof.
    fn proof_claims(&self) -> Value {
        proof_claims(&self.token)
    }

    fn call(&self) -> Parts {
        request(&self.token, &proof(&self.key, &self.proof_claims()))
    }

    /// A request whose proof has other claims.
    fn call_with(&self, changes: &Value) -> Parts {
        let claims = with(self.proof_claims(), changes);
        request(&self.token, &proof(&self.key, &claims))
    }

    fn code(&self, request: &Parts) -> &'static str {
        code(self.guard.check(request, at(NOW)))
    }
}

fn code(verdict: Result<Principal, Refusal>) -> &'static str {
    verdict.map_or_else(|refusal| refusal.code(), |_| "ok")
}

/// The claims of a good token of a client with this key.
fn claims(key: &SigningKey) -> Value {
    json!({
        "iss": ISSUER, "aud": TOOL, "sub": "alice", "client_id": "web-client",
        "exp": NOW + 300, "iat": NOW, "jti": "t1", "scope": "tools:call",
        "cnf": {"jkt": key.public_jwk().thumbprint().to_string()},
    })
}

fn proof_claims(token: &str) -> Value {
    json!({"jti": "p1", "htm": "POST", "htu": CALL, "iat": NOW, "ath": hash(token)})
}

fn hash(token: &str) -> String {
    base64url::encode(Hashed::of(token).sha256())
}

/// An object with other members: `null` takes one away.
fn with(mut object: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

fn proof(key: &SigningKey, claims: &Value) -> String {
    let (algorithm, jwk) = (key.algorithm(), key.public_jwk());
    let input = SigningInput::with_embedded_key("dpop+jwt", algorithm, jwk, claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

/// A proof with whatever stands in the header, signed by this key.
fn proof_with_header(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let part = |json: &Value| base64url::encode(json.to_string().as_bytes());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = base64url::encode(key.sign(text.as_bytes()).unwrap().as_ref());
    format!("{text}.{signature}")
}

fn request(token: &str, proof: &str) -> Parts {
    let mut request = common::bare();
    authorize(&mut request, "DPoP", token);
    let value = HeaderValue::from_str(proof).unwrap();
    request.headers.insert("dpop", value);
    request
}

fn authorize(request: &mut Parts, scheme: &str, token: &str) {
    let value = HeaderValue::try_from(format!("{scheme} {token}")).unwrap();
    request.headers.insert("authorization", value);
}

/// Code, status and all challenges of a refusal.
fn answer(refusal: Refusal) -> (&'static str, u16, Vec<String>, HeaderMap) {
    let code = refusal.code();
    let response = refusal.into_response::<Vec<u8>>();
    let challenges = response.headers().get_all("www-authenticate").iter();
    let challenges = challenges
        .map(|it| it.to_str().unwrap().to_owned())
        .collect();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (code, status, challenges, headers)
}

/// The thumbprint of a certificate that no request of these tests brings.
fn other_certificate() -> String {
    base64url::encode(&sha256(b"certificate"))
}
