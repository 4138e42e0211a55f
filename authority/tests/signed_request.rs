//! Signed authorization requests (RFC 9101), at the authorization endpoint and pushed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_authority::{Authority, Client};
use aims_jose::key::SigningKey;
use common::browser::{CALLBACK, VERIFIER, named, page, public, redirected, submit, with_users};
use common::endpoint::*;
use common::*;
use http::Response;
use serde_json::{Value, json};

fn setup() -> (Authority, SigningKey) {
    let key = es256();
    let client = Client::with_keys("batch", key_set(&key))
        .redirect_uri(CALLBACK)
        .allow(TOOLS, ["call", "list"]);
    let builder = with_users().client(client).client(public());
    (builder.build(now()).unwrap(), key)
}

/// The claims of a good request.
fn good() -> Value {
    json!({
        "iss": "batch", "aud": BASE, "exp": NOW + 300, "client_id": "batch",
        "response_type": "code", "redirect_uri": CALLBACK, "scope": "call", "state": "signed",
        "code_challenge": aims_jose::digest::sha256_base64url(VERIFIER),
        "code_challenge_method": "S256", "resource": TOOLS,
    })
}

fn signed(claims: &Value, key: &SigningKey) -> String {
    sign("oauth-authz-req+jwt", claims, key)
}

fn open(authority: &Authority, parameters: &[(&str, &str)]) -> Response<Vec<u8>> {
    let path = format!("/authorize?{}", form(parameters));
    send(authority, &request("GET", &path, &[], ""), now())
}

fn push(authority: &Authority, key: &SigningKey, text: &str) -> Result<Value, (u16, String)> {
    let own = assertion(key, now());
    let parameters = [
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", own.as_str()),
        ("request", text),
    ];
    let request = request("POST", "/par", &[FORM], &form(&parameters));
    judged(&send(authority, &request, now()))
}

/// Only what is signed counts, whatever stands beside it (RFC 9101 §6.3).
#[test]
fn a_signed_request_counts_alone() {
    let (authority, key) = setup();
    let text = signed(&good(), &key);
    let asked = vec![
        ("client_id", "batch".to_owned()),
        ("request", text),
        ("scope", "list".to_owned()),
        ("state", "beside".to_owned()),
        ("redirect_uri", "https://evil.example/".to_owned()),
    ];
    let page = page(&authority, &asked, now());
    assert!(page.html.contains("call") && !page.html.contains("list"));
    let answer = redirected(&submit(&authority, &page, "allow", &[], now()));
    assert_eq!(named(&answer, "state"), Some("signed"));
    assert!(named(&answer, "code").is_some());
    let metadata = get(&authority, "/.well-known/oauth-authorization-server", now());
    let metadata = body(&metadata);
    assert_eq!(metadata["request_parameter_supported"], true);
    let algorithms = &metadata["request_object_signing_alg_values_supported"];
    assert!(algorithms.as_array().unwrap().contains(&json!("ES256")));
}

/// A pushed request may be signed (RFC 9126 §3).
#[test]
fn a_signed_request_is_pushed() {
    let (authority, key) = setup();
    let pushed = push(&authority, &key, &signed(&good(), &key)).unwrap();
    let uri = pushed["request_uri"].as_str().unwrap().to_owned();
    let asked = vec![("client_id", "batch".to_owned()), ("request_uri", uri)];
    let page = page(&authority, &asked, now());
    let answer = redirected(&submit(&authority, &page, "allow", &[], now()));
    assert_eq!(named(&answer, "state"), Some("signed"));
}

/// JAR-01: a request without its signature gets nothing, at either endpoint (RFC 9101 §10.5).
#[test]
fn a_client_may_have_to_sign() {
    let key = es256();
    let client = || {
        Client::with_keys("batch", key_set(&key))
            .redirect_uri(CALLBACK)
            .allow(TOOLS, ["call"])
    };
    let claims = good();
    let texts = claims.as_object().unwrap().iter();
    let unsigned: Vec<(&str, &str)> = texts
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .filter(|(name, _)| !["iss", "aud"].contains(name))
        .collect();
    let own = || assertion(&key, now());
    for (client, expected) in [(client(), 200), (client().require_signed_requests(), 400)] {
        let authority = with_users().client(client).build(now()).unwrap();
        let opened = open(&authority, &unsigned);
        assert_eq!(opened.status(), expected);
        assert_eq!(field(&opened, "location"), "");
        let own = own();
        let mut parameters = unsigned.clone();
        parameters.extend([
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", own.as_str()),
        ]);
        let request = request("POST", "/par", &[FORM], &form(&parameters));
        let answer = judged(&send(&authority, &request, now()));
        match expected {
            200 => assert!(answer.is_ok(), "{answer:?}"),
            _ => assert_eq!(answer, refused(400, "invalid_request_object")),
        }
        // A signed one is as good as before.
        assert!(push(&authority, &key, &signed(&claims, &key)).is_ok());
        let text = signed(&claims, &key);
        let opened = open(&authority, &[("client_id", "batch"), ("request", &text)]);
        assert_eq!(opened.status(), 200);
    }
}

/// Each request differs from a good one in one property.
#[test]
fn other_signed_requests_are_refused() {
    let (authority, key) = setup();
    let bad = refused(400, "invalid_request_object");
    let mut changed: Vec<(&str, Value)> = Vec::new();
    for name in ["iss", "aud", "exp", "client_id"] {
        changed.push((name, Value::Null));
    }
    changed.extend([
        ("iss", json!("cli")),
        ("client_id", json!("cli")),
        ("aud", json!([BASE, "https://other.example"])),
        ("aud", json!("https://other.example")),
        ("sub", json!("batch")),
        ("exp", json!(NOW - 31)),
        ("exp", json!(NOW + 7_200)),
        ("nbf", json!(NOW + 60)),
        ("iat", json!(NOW + 60)),
        ("request", json!("e30.e30.")),
        ("request_uri", json!("urn:ietf:params:oauth:request_uri:x")),
        ("scope", json!(["call"])),
    ]);
    for (name, value) in changed {
        let mut claims = good();
        let members = claims.as_object_mut().unwrap();
        members.remove(name);
        if value != Value::Null {
            members.insert(name.to_owned(), value.clone());
        }
        let text = signed(&claims, &key);
        assert_eq!(push(&authority, &key, &text), bad, "{name} {value}");
        let opened = open(&authority, &[("client_id", "batch"), ("request", &text)]);
        // The browser is sent nowhere.
        assert_eq!(opened.status(), 400, "{name} {value}");
        assert_eq!(field(&opened, "location"), "", "{name} {value}");
    }
    let foreign = signed(&good(), &es256());
    assert_eq!(push(&authority, &key, &foreign), bad);
    for typ in ["client-authentication+jwt", "at+jwt", "dpop+jwt"] {
        let text = sign(typ, &good(), &key);
        assert_eq!(push(&authority, &key, &text), bad, "{typ}");
    }
    assert_eq!(push(&authority, &key, "e30.e30."), bad);
    assert!(push(&authority, &key, &signed(&good(), &key)).is_ok());
}

/// A client without keys signs nothing, and a request is signed or pushed, not both.
#[test]
fn a_signed_request_is_of_a_client_with_keys() {
    let (authority, key) = setup();
    let mut claims = good();
    (claims["iss"], claims["client_id"]) = (json!("cli"), json!("cli"));
    let text = signed(&claims, &key);
    let opened = open(&authority, &[("client_id", "cli"), ("request", &text)]);
    assert_eq!(opened.status(), 400);
    let text = signed(&good(), &key);
    let opened = |more: &[(&str, &str)]| {
        let mut all = vec![("client_id", "batch"), ("request", &*text)];
        all.extend(more);
        open(&authority, &all).status().as_u16()
    };
    assert_eq!(opened(&[]), 200);
    let pushed = push(&authority, &key, &text).unwrap();
    let uri = pushed["request_uri"].as_str().unwrap();
    assert_eq!(opened(&[("request_uri", uri)]), 400);
}
