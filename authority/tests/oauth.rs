//! The token endpoint: each negative differs from a good request in one thing.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use authority::{Authority, Client};
use common::*;
use http::Response;
use jose::Algorithm;
use jose::jwk::{JwkSet, SetRules};
use jose::jws::Unverified;
use jose::key::{Signer as _, SigningKey};
use jose::provider::AWS_LC;
use jose::time::UnixTime;
use serde_json::{Value, json};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// Sends a token request; `Ok` is the answer's body, `Err` status and `error`.
fn ask(
    authority: &Authority,
    fields: &[(&str, &str)],
    parameters: &[(&str, &str)],
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    judged(&send_form(authority, fields, parameters, now))
}

fn send_form(
    authority: &Authority,
    fields: &[(&str, &str)],
    parameters: &[(&str, &str)],
    now: UnixTime,
) -> Response<Vec<u8>> {
    let mut all = vec![FORM];
    all.extend(fields);
    send(
        authority,
        &request("POST", "/token", &all, &form(parameters)),
        now,
    )
}

/// CORE-20: whatever the answer is, nobody keeps it.
fn judged(response: &Response<Vec<u8>>) -> Result<Value, (u16, String)> {
    assert_eq!(field(response, "cache-control"), "no-store");
    assert_eq!(field(response, "pragma"), "no-cache");
    assert_eq!(field(response, "content-type"), "application/json");
    let body = body(response);
    match body.get("error") {
        None => Ok(body),
        Some(error) => Err((
            response.status().as_u16(),
            error.as_str().unwrap().to_owned(),
        )),
    }
}

fn form(parameters: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn refused(status: u16, error: &str) -> Result<Value, (u16, String)> {
    Err((status, error.to_owned()))
}

// Clients with keys of their own.

fn with_client(key: &SigningKey) -> Authority {
    let client = Client::with_keys("batch", key_set(key)).allow(TOOLS, ["call", "list"]);
    builder().client(client).build(now()).unwrap()
}

fn assertion_claims(now: UnixTime) -> Value {
    let jti = jose::random::id128(jose::random::SYSTEM).unwrap();
    let seconds = now.as_secs();
    json!({"iss": "batch", "sub": "batch", "aud": BASE, "jti": jti, "iat": seconds, "exp": seconds + 60})
}

fn assertion(key: &SigningKey, now: UnixTime) -> String {
    sign("client-authentication+jwt", &assertion_claims(now), key)
}

fn by_assertion(
    authority: &Authority,
    assertion: &str,
    more: &[(&str, &str)],
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    let mut parameters = vec![
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    parameters.extend(more);
    ask(authority, &[], &parameters, now)
}

/// The claims of an access token that verifies with the published keys (ATJ-05).
fn verified(authority: &Authority, token: &str, now: UnixTime) -> Value {
    let jwks = authority.oauth().jwks(now);
    let set = JwkSet::parse(jwks.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    let unverified = Unverified::parse(token).unwrap();
    assert!(unverified.header().is_typ("at+jwt"));
    let key = set
        .select(unverified.header().kid(), unverified.header().alg())
        .unwrap();
    let verified = unverified.verify(key).unwrap();
    serde_json::from_slice(verified.payload()).unwrap()
}

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
    let thumbprint = key.verifying_key().thumbprint().to_string();
    assert_eq!(claims["cnf"], json!({"jkt": thumbprint}));
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

/// JWTA-20, T-034: an assertion is good once.
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

/// T-141: an unknown client and a wrong key look alike.
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

// What a client may have.

/// RSC-03, CORE-23, ATJ-30: unknown resource, several, one of others, wider scope.
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
    // Nothing of all this has used the assertion up.
    assert!(ask(&good).is_ok());
}

/// CORE-02, CORE-11: one method a request; who tried `Authorization` gets a challenge.
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

// Workloads.

/// A WIT-SVID with its proof in the fields of attestation-based client authentication (SPF-03).
fn by_wit(
    authority: &Authority,
    wit: &str,
    proof: &str,
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    let fields = [
        ("oauth-client-attestation", wit),
        ("oauth-client-attestation-pop", proof),
    ];
    let parameters = [("grant_type", "client_credentials"), ("resource", TOOLS)];
    ask(authority, &fields, &parameters, now)
}

fn pop_claims(now: UnixTime) -> Value {
    let jti = jose::random::id128(jose::random::SYSTEM).unwrap();
    json!({"aud": BASE, "jti": jti, "iat": now.as_secs()})
}

fn pop(key: &SigningKey, now: UnixTime) -> String {
    sign("oauth-client-attestation-pop+jwt", &pop_claims(now), key)
}

/// SPF-03, SPF-07, ATJ-30: the workload's own identifier, whatever the pattern, and its key.
#[test]
fn a_workload_gets_a_token_bound_to_its_wit() {
    let authority = authority();
    let (wit, key) = wit(&authority, "a", now());
    let answer = by_wit(&authority, &wit, &pop(&key, now()), now()).unwrap();
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    assert_eq!(claims["client_id"], AGENT);
    assert_eq!(claims["sub"], AGENT);
    assert_eq!(claims["aud"], TOOLS);
    let thumbprint = key.verifying_key().thumbprint().to_string();
    assert_eq!(claims["cnf"]["jkt"], thumbprint);
}

/// WIT-06, T-033: a WIT-SVID without, with a stale, or with another's proof is nothing.
#[test]
fn wit_svids_need_their_proof() {
    let authority = authority();
    let (wit, key) = wit(&authority, "a", now());
    let invalid = refused(401, "invalid_client");
    let parameters = [("grant_type", "client_credentials"), ("resource", TOOLS)];
    let alone = [("oauth-client-attestation", wit.as_str())];
    assert_eq!(ask(&authority, &alone, &parameters, now()), invalid);
    assert_eq!(
        by_wit(&authority, &wit, &pop(&es256(), now()), now()),
        invalid
    );
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = pop_claims(now());
        change(&mut claims);
        let proof = sign("oauth-client-attestation-pop+jwt", &claims, &key);
        by_wit(&authority, &wit, &proof, now())
    };
    assert!(with(&|_| {}).is_ok());
    assert_eq!(with(&|it| it["aud"] = json!("https://as.example")), invalid);
    assert_eq!(
        with(&|it| it["aud"] = json!([BASE, "https://as.example"])),
        invalid
    );
    assert_eq!(with(&|it| it["iat"] = json!(NOW - 600)), invalid);
    assert_eq!(with(&|it| it["iat"] = json!(NOW + 600)), invalid);
    assert_eq!(with(&|it| it["jti"] = json!("")), invalid);
    let proof = pop(&key, now());
    by_wit(&authority, &wit, &proof, now()).unwrap();
    assert_eq!(by_wit(&authority, &wit, &proof, now()), invalid);
    let mistyped = sign("wpt+jwt", &pop_claims(now()), &key);
    assert_eq!(by_wit(&authority, &wit, &mistyped, now()), invalid);
}

/// ATT-08: two fields of one name are refused.
#[test]
fn repeated_fields_are_refused() {
    let authority = authority();
    let (wit, key) = wit(&authority, "a", now());
    let proof = pop(&key, now());
    let fields = [
        ("oauth-client-attestation", wit.as_str()),
        ("oauth-client-attestation", wit.as_str()),
        ("oauth-client-attestation-pop", proof.as_str()),
    ];
    let parameters = [("grant_type", "client_credentials")];
    assert_eq!(
        ask(&authority, &fields, &parameters, now()),
        refused(401, "invalid_client")
    );
}

/// T-032, T-038: expired, of another trust domain, of another authority, not a client, withdrawn.
#[test]
fn wit_svids_that_are_not_good_are_refused() {
    let authority = authority();
    let invalid = refused(401, "invalid_client");
    let (good, key) = wit(&authority, "a", now());
    let later = at(NOW + 3_600 + 61);
    assert_eq!(by_wit(&authority, &good, &pop(&key, later), later), invalid);
    let foreign = Authority::builder(BASE, AWS_LC)
        .trust_domain("example.com")
        .enrol(enrolment("spiffe://example.com/agents/a"))
        .build(now())
        .unwrap();
    let (other, other_key) = wit(&foreign, "a", now());
    assert_eq!(
        by_wit(&authority, &other, &pop(&other_key, now()), now()),
        invalid
    );
    let (twin, twin_key) = wit(&common::authority(), "a", now());
    assert_eq!(
        by_wit(&authority, &twin, &pop(&twin_key, now()), now()),
        invalid
    );
    let (wimse, wimse_key) = wit(&authority, "w", now());
    assert_eq!(
        by_wit(&authority, &wimse, &pop(&wimse_key, now()), now()),
        invalid
    );
    assert!(by_wit(&authority, &good, &pop(&key, now()), now()).is_ok());
    authority
        .identity()
        .withdraw(&AGENT.parse().unwrap(), now());
    assert_eq!(by_wit(&authority, &good, &pop(&key, now()), now()), invalid);
}

/// SPF-04: a workload beneath no pattern is no client, though its WIT-SVID is good.
#[test]
fn workloads_beneath_no_pattern_are_no_clients() {
    let authority = builder()
        .enrol(enrolment("spiffe://example.org/other/o"))
        .build(now())
        .unwrap();
    let (wit, key) = wit(&authority, "o", now());
    let answer = by_wit(&authority, &wit, &pop(&key, now()), now());
    assert_eq!(answer, refused(401, "invalid_client"));
}

/// SPF-05: workloads of another trust domain, once its bundle is configured.
#[test]
fn trusted_domains_can_be_clients() {
    let foreign = Authority::builder(BASE, AWS_LC)
        .trust_domain("example.com")
        .enrol(enrolment("spiffe://example.com/agents/a"))
        .build(now())
        .unwrap();
    let bundle = foreign.identity().bundle(wimse_id::Scheme::Spiffe, now());
    let origin = "spiffe://example.com".parse().unwrap();
    let bundle = wimse_cred::Bundle::parse(&origin, bundle.as_bytes(), AWS_LC).unwrap();
    let client = Client::spiffe("spiffe://example.com/agents/*".parse().unwrap());
    let authority = builder()
        .trust(bundle)
        .client(client.allow(TOOLS, ["list"]))
        .build(now());
    let authority = authority.unwrap();
    let (wit, key) = wit(&foreign, "a", now());
    let answer = by_wit(&authority, &wit, &pop(&key, now()), now()).unwrap();
    assert_eq!(answer["scope"], "list");
    // A foreign WIT renews nothing here.
    let nonce = nonce(&authority, now());
    let new = es256();
    let proof = renewal_proof(&nonce, &new, &key, &wit, now());
    let shown = authority::Shown::Wit {
        wit: &wit,
        proof: &proof,
    };
    let renewed = authority
        .identity()
        .issue_wit(&shown, &key_proof(&nonce, &new, now()), now());
    assert_eq!(renewed.unwrap_err().code(), "identity.withdrawn");
}

// JWT-SVIDs.

fn by_svid(authority: &Authority, svid: &str, now: UnixTime) -> Result<Value, (u16, String)> {
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_SPIFFE),
        ("client_assertion", svid),
        ("resource", TOOLS),
    ];
    ask(authority, &[], &parameters, now)
}

fn with_svids() -> Authority {
    let client = Client::spiffe("spiffe://example.org/agents/a".parse().unwrap())
        .or_by_jwt_svid()
        .allow(TOOLS, ["call"]);
    builder()
        .client(client)
        .jwt_svid_audience("https://as.example")
        .build(now())
        .unwrap()
}

/// SPF-01, SPF-06, SVD-02: unbound, used again, and only where the operator says so.
#[test]
fn jwt_svids_are_taken_where_allowed() {
    let authority = with_svids();
    let (wit, key) = wit(&authority, "a", now());
    let svid = jwt_svid(&authority, &wit, &key, BASE, now()).unwrap();
    for _ in 0..2 {
        let answer = by_svid(&authority, &svid, now()).unwrap();
        let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
        assert_eq!(claims["client_id"], AGENT);
        assert!(claims.get("cnf").is_none());
    }
    let (wit, key) = common::wit(&authority, "b", now());
    let svid = jwt_svid(&authority, &wit, &key, BASE, now()).unwrap();
    assert_eq!(
        by_svid(&authority, &svid, now()),
        refused(401, "invalid_client")
    );
}

/// SVD-02, T-102: another audience, expired, a WIT in its place, under the wrong assertion type.
#[test]
fn jwt_svids_that_are_not_good_are_refused() {
    let authority = with_svids();
    let invalid = refused(401, "invalid_client");
    let (wit, key) = wit(&authority, "a", now());
    let other = jwt_svid(&authority, &wit, &key, "https://as.example", now()).unwrap();
    assert_eq!(by_svid(&authority, &other, now()), invalid);
    let good = jwt_svid(&authority, &wit, &key, BASE, now()).unwrap();
    assert_eq!(by_svid(&authority, &good, at(NOW + 300 + 61)), invalid);
    assert_eq!(by_svid(&authority, &wit, now()), invalid);
    assert_eq!(by_assertion(&authority, &good, &[], now()), invalid);
    assert!(by_svid(&authority, &good, now()).is_ok());
    authority
        .identity()
        .withdraw(&AGENT.parse().unwrap(), now());
    assert_eq!(by_svid(&authority, &good, now()), invalid);
}

// Documents.

/// META-07: at both places, with the JWT methods' algorithms and without `none`.
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
    let authority = build(authority::Purpose::AccessToken).unwrap();
    let answer = by_assertion(&authority, &assertion(&client, now()), &[], now()).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(header(token)["kid"], "own");
    assert_eq!(header(token)["alg"], own.algorithm().name());
    verified(&authority, token, now());
    let refused = build(authority::Purpose::WitSvid).unwrap_err();
    assert_eq!(refused.code(), "authority.key_algorithm");
}
