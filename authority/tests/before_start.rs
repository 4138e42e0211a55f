//! Proofs that may have been used before the authority was started are refused, unless the operator
//! says otherwise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_authority::{Authority, Builder, Client, DevUser, Resource};
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_oauth_wire::dpop::{Binding, Nonce};
use common::endpoint::{FORM, JWT_BEARER, assertion_claims, form, judged, refused};
use common::{NOW, TOOLS, at, es256, key_set, request, send, sign};
use http::Response;
use serde_json::{Value, json};

const BASE: &str = "https://as.example";
const TOKEN: &str = "https://as.example/token";
/// The first second of a proof that no earlier process can have accepted: the clock skew later.
const FIRST: u64 = NOW + 31;

type Answer = Result<Value, (u16, String)>;

fn builder(base: &str, key: &SigningKey) -> Builder {
    let batch = Client::with_keys("batch", key_set(key)).allow(TOOLS, ["call"]);
    let public = Client::public("cli").redirect_uri("http://127.0.0.1/callback");
    Authority::builder(base, AWS_LC)
        .trust_domain("example.org")
        .resource(Resource::new(TOOLS).with_scopes(["call"]))
        .client(batch)
        .client(public)
        .users(Arc::new(DevUser::new("alice")))
}

/// An authority that was started at `NOW`.
fn started(key: &SigningKey) -> Authority {
    builder(BASE, key).build(at(NOW)).unwrap()
}

fn post(
    authority: &Authority,
    fields: &[(&str, &str)],
    parameters: &[(&str, &str)],
    now: u64,
) -> Response<Vec<u8>> {
    let host = authority.issuer().split("//").nth(1).unwrap();
    let mut all = vec![FORM, ("host", host)];
    all.extend(fields);
    send(
        authority,
        &request("POST", "/token", &all, &form(parameters)),
        at(now),
    )
}

/// Authenticates by an assertion with these claims in place of the good ones.
fn ask(authority: &Authority, key: &SigningKey, claims: &Value, now: u64) -> Answer {
    let assertion = sign("client-authentication+jwt", claims, key);
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &*assertion),
    ];
    judged(&post(authority, &[], &parameters, now))
}

fn made_at(authority: &Authority, iat: u64) -> Value {
    let mut claims = assertion_claims(at(iat));
    claims["aud"] = authority.issuer().into();
    claims
}

/// Sends a proof of a public client, with a code that does not exist.
fn prove(
    authority: &Authority,
    key: &SigningKey,
    nonce: Option<&Nonce>,
    iat: u64,
    now: u64,
) -> Response<Vec<u8>> {
    let (jwk, algorithm) = (key.public_jwk(), key.algorithm());
    let made = Binding::to("POST", TOKEN).prepare_with(nonce, jwk, algorithm, SYSTEM, at(iat));
    let proof = made.unwrap().sign(key).unwrap();
    let parameters = [
        ("grant_type", "authorization_code"),
        ("client_id", "cli"),
        ("code", "x"),
    ];
    post(authority, &[("dpop", proof.expose())], &parameters, now)
}

/// An assertion that was captured before a restart is not accepted once more after it.
#[test]
fn an_assertion_may_have_been_used_before_the_start() {
    let key = es256();
    let first = builder(BASE, &key).build(at(NOW - 3_600)).unwrap();
    let captured = made_at(&first, NOW - 5);
    assert!(ask(&first, &key, &captured, NOW - 5).is_ok());
    let unknown = refused(503, "server_error");
    let second = started(&key);
    assert_eq!(ask(&second, &key, &captured, NOW + 1), unknown);
    let early = made_at(&second, FIRST - 1);
    assert_eq!(ask(&second, &key, &early, FIRST - 1), unknown);
    // It is refused for as long as it is valid.
    assert_eq!(ask(&second, &key, &early, FIRST + 20), unknown);
    let late = made_at(&second, FIRST);
    assert!(ask(&second, &key, &late, FIRST).is_ok());
}

/// Without `iat`, an assertion may be as old as its `exp` allows: five minutes.
#[test]
fn an_assertion_without_iat_may_be_old() {
    let key = es256();
    let authority = started(&key);
    let ends = |exp: u64| {
        let mut claims = made_at(&authority, NOW);
        claims.as_object_mut().unwrap().remove("iat");
        claims["exp"] = exp.into();
        claims
    };
    let now = NOW + 60;
    let answer = ask(&authority, &key, &ends(FIRST - 1 + 300), now);
    assert_eq!(answer, refused(503, "server_error"));
    assert!(ask(&authority, &key, &ends(FIRST + 300), now).is_ok());
}

#[test]
fn a_dpop_proof_may_have_been_used_before_the_start() {
    let key = es256();
    let authority = started(&key);
    let status = |iat, now| judged(&prove(&authority, &key, None, iat, now));
    assert_eq!(status(NOW, NOW + 1), refused(503, "server_error"));
    assert_eq!(status(FIRST - 1, FIRST), refused(503, "server_error"));
    assert_eq!(status(FIRST, FIRST), refused(400, "invalid_grant"));
}

/// A proof with a nonce of this process is not older than the process, whatever its date.
#[test]
fn a_nonce_needs_no_wait() {
    let key = es256();
    let authority = builder(BASE, &key).require_dpop_nonces();
    let authority = authority.build(at(NOW)).unwrap();
    let first = prove(&authority, &key, None, NOW + 5, NOW + 5);
    assert_eq!(judged(&first), refused(400, "use_dpop_nonce"));
    let nonce = Nonce::from_headers(first.headers()).unwrap().unwrap();
    let second = prove(&authority, &key, Some(&nonce), NOW + 6, NOW + 6);
    assert_eq!(judged(&second), refused(400, "invalid_grant"));
}

#[test]
fn the_start_counts_unless_it_is_lifted() {
    let key = es256();
    let lifted = builder(BASE, &key).accept_proofs_before_start();
    let local = builder(common::BASE, &key);
    for builder in [lifted, local] {
        let authority = builder.build(at(NOW)).unwrap();
        let claims = made_at(&authority, NOW - 5);
        assert!(ask(&authority, &key, &claims, NOW + 1).is_ok());
        let again = ask(&authority, &key, &claims, NOW + 1);
        assert_eq!(again, refused(401, "invalid_client"));
    }
    let claims = made_at(&started(&key), NOW - 5);
    assert_eq!(claims["iat"], json!(NOW - 5));
    let answer = ask(&started(&key), &key, &claims, NOW + 1);
    assert_eq!(answer, refused(503, "server_error"));
}
