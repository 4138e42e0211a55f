//! The token endpoint: its parameters, its documents and its keys.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use aims_authority::{Authority, Client};
use aims_jose::Algorithm;
use aims_jose::key::Signer as _;
use aims_jose::provider::AWS_LC;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::Issuer;
use common::endpoint::*;
use common::*;
use serde_json::json;

/// RSC-03, CORE-23, ATJ-30: an unknown resource, several resources, one of another client, and a
/// wider scope.
#[test]
fn nobody_gets_more_than_was_allowed() {
    let key = es256();
    let authority = with_client(&key);
    let with = |more: &[(&str, &str)]| {
        by_assertion(&authority, &assertion(&key, now()), more, now())
            .map(|answer| answer["scope"].as_str().unwrap().to_owned())
    };
    assert_eq!(with(&[("resource", TOOLS)]).unwrap(), "call list");
    assert_eq!(
        with(&[("resource", TOOLS), ("scope", "list")]).unwrap(),
        "list"
    );
    assert_eq!(with(&[]).unwrap(), "call list");
    let target = Err((400, "invalid_target".to_owned()));
    assert_eq!(with(&[("resource", "https://unknown.example")]), target);
    assert_eq!(with(&[("resource", FILES)]), target);
    assert_eq!(with(&[("resource", TOOLS), ("resource", FILES)]), target);
    assert_eq!(with(&[("resource", "not a uri")]), target);
    let scope = Err((400, "invalid_scope".to_owned()));
    assert_eq!(with(&[("resource", TOOLS), ("scope", "call read")]), scope);
    assert_eq!(with(&[("resource", TOOLS), ("scope", "admin")]), scope);
    assert_eq!(with(&[("resource", TOOLS), ("scope", "call\"")]), scope);
}

/// CORE-11: every malformed request has its error.
#[test]
fn malformed_requests_have_their_errors() {
    let key = es256();
    let authority = with_client(&key);
    let assertion = assertion(&key, now());
    let good = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion.as_str()),
    ];
    let ask = |parameters: &[(&str, &str)]| ask(&authority, &[], parameters, now());
    assert_eq!(ask(&good[1..]), refused(400, "invalid_request"));
    for grant in [
        "authorization_code",
        "password",
        "refresh_token",
        "CLIENT_CREDENTIALS",
    ] {
        let other = [("grant_type", grant), good[1], good[2]];
        assert_eq!(
            ask(&other),
            refused(400, "unsupported_grant_type"),
            "{grant}"
        );
    }
    assert_eq!(
        ask(&[good[0], good[0], good[1], good[2]]),
        refused(400, "invalid_request")
    );
    assert_eq!(ask(&good[..1]), refused(401, "invalid_client"));
    assert_eq!(ask(&good[..2]), refused(401, "invalid_client"));
    let other_type = [good[0], ("client_assertion_type", "urn:x"), good[2]];
    assert_eq!(ask(&other_type), refused(401, "invalid_client"));
    let secret = [good[0], ("client_id", "batch"), ("client_secret", "secret")];
    assert_eq!(ask(&secret), refused(401, "invalid_client"));
    // None of these requests has used up the assertion.
    assert!(ask(&good).is_ok());
}

/// CORE-02, CORE-11: one authentication method per request; a client that used `Authorization` gets
/// a challenge.
#[test]
fn authorization_is_challenged() {
    let key = es256();
    let authority = with_client(&key);
    let assertion = assertion(&key, now());
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion.as_str()),
    ];
    let basic = [("authorization", "Basic YmF0Y2g6c2VjcmV0")];
    let response = send_form(&authority, &basic, &parameters[..1], now());
    assert_eq!(judged(&response), refused(401, "invalid_client"));
    assert_eq!(
        field(&response, "www-authenticate"),
        "Basic realm=\"token\""
    );
    let both = ask(&authority, &basic, &parameters, now());
    assert_eq!(both, refused(400, "invalid_request"));
    let secret = [
        parameters[0],
        parameters[1],
        parameters[2],
        ("client_secret", "x"),
    ];
    assert_eq!(
        ask(&authority, &[], &secret, now()),
        refused(400, "invalid_request")
    );
    let response = send_form(&authority, &[], &parameters[..1], now());
    assert_eq!(field(&response, "www-authenticate"), "");
}

#[test]
fn other_bodies_are_refused() {
    let authority = authority();
    let post = |fields: &[(&str, &str)], body: &str| {
        judged(&send(
            &authority,
            &request("POST", "/token", fields, body),
            now(),
        ))
    };
    let good = form(&[("grant_type", "client_credentials")]);
    assert_eq!(post(&[], &good), refused(415, "invalid_request"));
    let json = [("content-type", "application/json")];
    assert_eq!(post(&json, "{}"), refused(415, "invalid_request"));
    assert_eq!(
        post(&[FORM], "grant_type=%zz"),
        refused(400, "invalid_request")
    );
    assert_eq!(
        post(&[FORM], &"a".repeat(32 * 1024 + 1)),
        refused(413, "invalid_request")
    );
}

/// META-07: the metadata is at both locations, with the algorithms of the JWT methods and without
/// `none`.
#[test]
fn the_metadata_stands_at_both_places() {
    for (base, paths) in [
        (
            BASE,
            [
                "/.well-known/oauth-authorization-server",
                "/.well-known/openid-configuration",
            ],
        ),
        (
            "http://127.0.0.1:8080/tenant",
            [
                "/.well-known/oauth-authorization-server/tenant",
                "/tenant/.well-known/openid-configuration",
            ],
        ),
    ] {
        let authority = Authority::builder(base, AWS_LC)
            .trust_domain("example.org")
            .build(now())
            .unwrap();
        for path in paths {
            let response = get(&authority, path, now());
            assert_eq!(response.status(), 200, "{path}");
            let metadata = body(&response);
            assert_eq!(metadata["issuer"], base);
            assert_eq!(metadata["token_endpoint"], format!("{base}/token"));
            assert_eq!(metadata["jwks_uri"], format!("{base}/jwks"));
            assert_eq!(
                metadata["grant_types_supported"],
                json!(["client_credentials"])
            );
            let methods = json!(["private_key_jwt", "spiffe_wit"]);
            assert_eq!(metadata["token_endpoint_auth_methods_supported"], methods);
            // A client parses the published document.
            let issuer = Issuer::loopback(base).unwrap();
            let read = ServerMetadata::parse(response.body(), &issuer).unwrap();
            assert!(read.takes_client_auth("spiffe_wit"));
            assert!(!read.takes_client_auth("spiffe_jwt"));
            let pop = read.client_attestation_pop_algorithms().unwrap();
            assert!(pop.contains(Algorithm::Es256) && !pop.contains(Algorithm::EdDsa));
            let algorithms = metadata["token_endpoint_auth_signing_alg_values_supported"]
                .as_array()
                .unwrap();
            assert!(algorithms.contains(&json!("ES256")) && !algorithms.contains(&json!("none")));
        }
        let jwks = get(&authority, &format!("{}/jwks", &base[BASE.len()..]), now());
        assert_eq!(body(&jwks)["keys"].as_array().unwrap().len(), 1);
    }
    let metadata = body(&get(
        &with_svids(),
        "/.well-known/oauth-authorization-server",
        now(),
    ));
    let methods = metadata["token_endpoint_auth_methods_supported"]
        .as_array()
        .unwrap();
    assert!(methods.contains(&json!("spiffe_jwt")));
}

/// Tokens of the old key verify until they expire; then the key is gone.
#[test]
fn token_keys_rotate_without_a_gap() {
    let key = es256();
    let client = Client::with_keys("batch", key_set(&key)).allow(TOOLS, ["call"]);
    let authority = builder()
        .client(client)
        .access_token_lifetime(Duration::from_secs(1_000))
        .build(now())
        .unwrap();
    let token = |now| {
        let answer = by_assertion(&authority, &assertion(&key, now), &[], now).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    };
    let old = token(now());
    authority.rotate(now()).unwrap();
    let new = token(at(NOW + 300));
    assert_ne!(header(&old)["kid"], header(&new)["kid"]);
    for now in [at(NOW + 300), at(NOW + 1_059)] {
        verified(&authority, &old, now);
        verified(&authority, &new, now);
    }
    let jwks = authority.oauth().jwks(at(NOW + 1_060));
    assert!(!jwks.contains(header(&old)["kid"].as_str().unwrap()));
    verified(&authority, &new, at(NOW + 1_060));
}

/// Tokens take the algorithm of a given key; SVIDs are never signed with Ed25519 (SVD-01).
#[test]
fn given_keys_sign() {
    let own = key(Algorithm::EdDsa).with_key_id("own");
    let client = es256();
    let build = |purpose| {
        builder()
            .client(Client::with_keys("batch", key_set(&client)).allow(TOOLS, ["call"]))
            .signing_key(purpose, own.clone())
            .build(now())
    };
    let authority = build(aims_authority::Purpose::AccessToken).unwrap();
    let answer = by_assertion(&authority, &assertion(&client, now()), &[], now()).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(header(token)["kid"], "own");
    assert_eq!(header(token)["alg"], own.algorithm().name());
    verified(&authority, token, now());
    let refused = build(aims_authority::Purpose::WitSvid).unwrap_err();
    assert_eq!(refused.code(), "authority.key_algorithm");
}
