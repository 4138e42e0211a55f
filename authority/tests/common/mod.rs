//! An authority and its clients, without a socket.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub(crate) mod browser;
pub(crate) mod endpoint;
pub(crate) mod orders;

use std::sync::Arc;
use std::time::Duration;

use aims_authority::{
    Authority, Builder, Client, Credential, Enrolment, Error, PresentedProof, Resource,
};
use aims_jose::Algorithm;
use aims_jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_rs::IssuerStore;
use http::{Request, Response};
use serde_json::{Value, json};

pub(crate) const BASE: &str = "http://127.0.0.1:8080";
pub(crate) const HOST: &str = "127.0.0.1:8080";
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const TOOLS: &str = "https://tools.example/mcp";
pub(crate) const FILES: &str = "https://files.example";
pub(crate) const AGENT: &str = "spiffe://example.org/agents/a";

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn now() -> UnixTime {
    at(NOW)
}

pub(crate) fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm, AWS_LC).unwrap()
}

pub(crate) fn es256() -> SigningKey {
    key(Algorithm::Es256)
}

/// Returns the key with its thumbprint as the key id.
pub(crate) fn named(key: SigningKey) -> SigningKey {
    let id = key.verifying_key().thumbprint().to_string();
    key.with_key_id(id)
}

pub(crate) fn token(name: &str) -> SecretText {
    SecretText::new(format!("{name}-0123456789012345678901"))
}

/// Creates the enrolment of `spiffe://example.org/agents/a` or another name, with a single-use
/// token.
pub(crate) fn enrolment(id: &str) -> Enrolment {
    let name = id.rsplit('/').next().unwrap();
    Enrolment::by_token(id.parse().unwrap(), &token(name)).unwrap()
}

pub(crate) fn builder() -> Builder {
    Authority::builder(BASE, AWS_LC)
        .trust_domain("example.org")
        .enrol(enrolment(AGENT))
        .enrol(enrolment("spiffe://example.org/agents/b").reusable())
        .enrol(enrolment("wimse://example.org/agents/w").reusable())
        .resource(Resource::new(TOOLS).with_scopes(["call", "list"]))
        .resource(Resource::new(FILES).with_scopes(["read"]))
        .client(
            Client::spiffe("spiffe://example.org/agents/*".parse().unwrap())
                .allow(TOOLS, ["call", "list"]),
        )
}

pub(crate) fn authority() -> Authority {
    builder().build(now()).unwrap()
}

pub(crate) fn key_set(key: &SigningKey) -> JwkSet {
    let json = [key.public_jwk().clone()]
        .into_iter()
        .collect::<PublicJwkSet>()
        .to_json();
    JwkSet::parse(json.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap()
}

/// Returns a store with this key of this issuer.
pub(crate) fn issuer_store(issuer: &str, key: &SigningKey) -> Arc<IssuerStore> {
    let store = IssuerStore::new();
    let keys = [key.public_jwk().clone()];
    let keys = keys.into_iter().collect::<PublicJwkSet>().to_json();
    let issuer = issuer.parse().unwrap();
    store.set(&issuer, keys.as_bytes(), AWS_LC).unwrap();
    Arc::new(store)
}

/// Signs any claims.
pub(crate) fn sign(typ: &str, claims: &Value, key: &SigningKey) -> String {
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

pub(crate) fn nonce(authority: &Authority, now: UnixTime) -> String {
    authority.identity().challenge(now).unwrap().nonce
}

pub(crate) fn key_claims(nonce: &str, key: &SigningKey, now: UnixTime) -> Value {
    let jwk: Value = serde_json::from_str(&key.public_jwk().to_json()).unwrap();
    json!({"aud": BASE, "nonce": nonce, "exp": now.as_secs() + 60, "cnf": {"jwk": jwk}})
}

/// Returns the `cnf` of a token that is bound to this key.
pub(crate) fn confirmation(key: &SigningKey) -> Value {
    let mut jwk: Value = serde_json::from_str(&key.public_jwk().to_json()).unwrap();
    for member in ["alg", "kid", "use"] {
        jwk.as_object_mut().unwrap().remove(member);
    }
    json!({"jwk": jwk})
}

pub(crate) fn key_proof(nonce: &str, key: &SigningKey, now: UnixTime) -> String {
    sign("aims-key-proof+jwt", &key_claims(nonce, key, now), key)
}

pub(crate) fn about_claims(nonce: &str, about: &SigningKey, now: UnixTime) -> Value {
    let jkt = about.verifying_key().thumbprint().to_string();
    json!({"aud": BASE, "nonce": nonce, "exp": now.as_secs() + 60, "jkt": jkt})
}

/// Creates a proof by the bootstrap key, which is named by its thumbprint.
pub(crate) fn enrolment_proof(
    nonce: &str,
    about: &SigningKey,
    by: &SigningKey,
    now: UnixTime,
) -> String {
    let by = by
        .clone()
        .with_key_id(by.verifying_key().thumbprint().to_string());
    sign(
        "aims-enrolment-proof+jwt",
        &about_claims(nonce, about, now),
        &by,
    )
}

pub(crate) fn renewal_claims(nonce: &str, about: &SigningKey, wit: &str, now: UnixTime) -> Value {
    let mut claims = about_claims(nonce, about, now);
    claims["wth"] = aims_jose::digest::sha256_base64url(wit).into();
    claims
}

pub(crate) fn renewal_proof(
    nonce: &str,
    about: &SigningKey,
    by: &SigningKey,
    wit: &str,
    now: UnixTime,
) -> String {
    sign(
        "aims-renewal-proof+jwt",
        &renewal_claims(nonce, about, wit, now),
        by,
    )
}

pub(crate) fn svid_request(
    nonce: &str,
    by: &SigningKey,
    wit: &str,
    audience: &str,
    now: UnixTime,
) -> String {
    let wth = aims_jose::digest::sha256_base64url(wit);
    let claims = json!({"aud": BASE, "nonce": nonce, "exp": now.as_secs() + 60, "wth": wth, "svid_aud": audience});
    sign("aims-svid-request+jwt", &claims, by)
}

/// Enrols with the token of this name.
pub(crate) fn enrol(
    authority: &Authority,
    name: &str,
    key: &SigningKey,
    now: UnixTime,
) -> Result<Credential, Error> {
    let proof = key_proof(&nonce(authority, now), key, now);
    authority
        .identity()
        .issue_wit(&PresentedProof::Token(&token(name)), &proof, now)
}

/// Returns a WIT of this name for a new key.
pub(crate) fn wit(authority: &Authority, name: &str, now: UnixTime) -> (String, SigningKey) {
    let key = es256();
    let issued = enrol(authority, name, &key, now).unwrap();
    (issued.text.expose().to_owned(), key)
}

pub(crate) fn jwt_svid(
    authority: &Authority,
    wit: &str,
    key: &SigningKey,
    audience: &str,
    now: UnixTime,
) -> Result<String, Error> {
    let request = svid_request(&nonce(authority, now), key, wit, audience, now);
    let issued = authority.identity().issue_jwt_svid(wit, &request, now)?;
    Ok(issued.text.expose().to_owned())
}

/// Returns the claims of a token, not verified.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&aims_jose::base64url::decode(payload).unwrap()).unwrap()
}

pub(crate) fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&aims_jose::base64url::decode(header).unwrap()).unwrap()
}

pub(crate) fn request(
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Request<Vec<u8>> {
    let mut request = Request::builder().method(method).uri(path);
    if !fields.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", HOST);
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(body.as_bytes().to_vec()).unwrap()
}

pub(crate) fn send(
    authority: &Authority,
    request: &Request<Vec<u8>>,
    now: UnixTime,
) -> Response<Vec<u8>> {
    authority.handle(request, None, now)
}

pub(crate) fn get(authority: &Authority, path: &str, now: UnixTime) -> Response<Vec<u8>> {
    send(authority, &request("GET", path, &[], ""), now)
}

pub(crate) fn body(response: &Response<Vec<u8>>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

pub(crate) fn field<'a>(response: &'a Response<Vec<u8>>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// Returns status and `code` of a problem.
pub(crate) fn problem(response: &Response<Vec<u8>>) -> (u16, String) {
    assert_eq!(field(response, "content-type"), "application/problem+json");
    assert_eq!(field(response, "cache-control"), "no-store");
    let body = body(response);
    assert_eq!(body["status"], response.status().as_u16());
    (
        response.status().as_u16(),
        body["code"].as_str().unwrap().to_owned(),
    )
}

/// Returns the code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code()
}
