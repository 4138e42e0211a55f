//! Clients with their own keys: each negative differs from a valid assertion in one property.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_jose::key::SigningKey;
use common::endpoint::*;
use common::*;
use serde_json::{Value, json};

/// ATJ-07, ATJ-30: RFC 9068 in full, bound to the key that authenticated.
#[test]
fn a_client_with_keys_gets_a_bound_token() {
    let key = es256();
    let authority = with_client(&key);
    let resource = [("resource", TOOLS), ("scope", "call")];
    let answer = by_assertion(&authority, &assertion(&key, now()), &resource, now()).unwrap();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 300);
    assert_eq!(answer["scope"], "call");
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    assert_eq!(claims["iss"], BASE);
    assert_eq!(claims["aud"], TOOLS);
    assert_eq!(claims["sub"], "batch");
    assert_eq!(claims["client_id"], "batch");
    assert_eq!(claims["scope"], "call");
    assert_eq!(claims["iat"], NOW);
    assert_eq!(claims["exp"], NOW + 300);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    assert_eq!(claims["cnf"], confirmation(&key));
}

/// JWTA-20, JWTA-21, JWTA-22, T-102: each claim of the assertion.
#[test]
fn client_assertions_are_checked_in_everything() {
    let key = es256();
    let authority = with_client(&key);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = assertion_claims(now());
        change(&mut claims);
        let assertion = sign("client-authentication+jwt", &claims, &key);
        by_assertion(&authority, &assertion, &[], now()).map(|_| ())
    };
    let invalid = Err((401, "invalid_client".to_owned()));
    assert_eq!(with(&|_| {}), Ok(()));
    assert_eq!(with(&|it| it["aud"] = json!([BASE])), Ok(()));
    let token_endpoint = format!("{BASE}/token");
    for aud in [
        json!(token_endpoint),
        json!("https://as.example"),
        json!([BASE, "https://as.example"]),
        json!([BASE, BASE]),
        json!(format!("{BASE}/")),
        json!([]),
        json!(null),
    ] {
        assert_eq!(with(&|it| it["aud"] = aud.clone()), invalid, "{aud}");
    }
    assert_eq!(with(&|it| it["sub"] = json!("other")), invalid);
    assert_eq!(with(&|it| it["iss"] = json!("other")), invalid);
    assert_eq!(with(&|it| it["exp"] = json!(NOW - 31)), invalid);
    assert_eq!(with(&|it| it["exp"] = json!(NOW + 3_600)), invalid);
    assert_eq!(with(&|it| it["exp"] = json!(null)), invalid);
    assert_eq!(with(&|it| it["nbf"] = json!(NOW + 61)), invalid);
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        let without = |it: &mut Value| {
            it.as_object_mut().unwrap().remove(name);
        };
        assert_eq!(with(&without), invalid, "{name}");
    }
}

/// T-014: a token of another kind, and a key that is not the client's.
#[test]
fn client_assertions_of_another_kind_or_key_are_refused() {
    let key = es256();
    let authority = with_client(&key);
    for typ in [
        "at+jwt",
        "wit+jwt",
        "wpt+jwt",
        "dpop+jwt",
        "aims-key-proof+jwt",
    ] {
        let assertion = sign(typ, &assertion_claims(now()), &key);
        let answer = by_assertion(&authority, &assertion, &[], now());
        assert_eq!(answer, refused(401, "invalid_client"), "{typ}");
    }
    let answer = by_assertion(&authority, &assertion(&es256(), now()), &[], now());
    assert_eq!(answer, refused(401, "invalid_client"));
    let answer = by_assertion(&authority, "x.y.z", &[], now());
    assert_eq!(answer, refused(401, "invalid_client"));
}

/// JWTA-20, T-034: an assertion is valid once.
#[test]
fn a_replayed_assertion_is_refused() {
    let key = es256();
    let authority = with_client(&key);
    let assertion = assertion(&key, now());
    by_assertion(&authority, &assertion, &[], now()).unwrap();
    let again = by_assertion(&authority, &assertion, &[], now());
    assert_eq!(again, refused(401, "invalid_client"));
}

/// JWTA-01: `client_id` is optional and must agree.
#[test]
fn a_client_id_must_be_the_assertions() {
    let key = es256();
    let authority = with_client(&key);
    let own = by_assertion(
        &authority,
        &assertion(&key, now()),
        &[("client_id", "batch")],
        now(),
    );
    assert!(own.is_ok());
    let other = by_assertion(
        &authority,
        &assertion(&key, now()),
        &[("client_id", "x")],
        now(),
    );
    assert_eq!(other, refused(401, "invalid_client"));
}

/// T-141: an unknown client and a wrong key get the same response.
#[test]
fn unknown_clients_look_like_failed_ones() {
    let key = es256();
    let authority = with_client(&key);
    let answer = |claims: &Value, key: &SigningKey| {
        let assertion = sign("client-authentication+jwt", claims, key);
        let parameters = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion.as_str()),
        ];
        let response = send_form(&authority, &[], &parameters, now());
        (response.status(), response.body().clone())
    };
    let mut unknown = assertion_claims(now());
    unknown["iss"] = json!("nobody");
    unknown["sub"] = json!("nobody");
    assert_eq!(
        answer(&unknown, &key),
        answer(&assertion_claims(now()), &es256())
    );
}
