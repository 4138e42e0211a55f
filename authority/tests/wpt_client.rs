//! Workloads as clients, with a WIT-SVID and a workload proof token.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_authority::Authority;
use aims_jose::digest::sha256_base64url;
use aims_jose::key::SigningKey;
use common::endpoint::*;
use common::*;
use serde_json::{Value, json};

type Answer = Result<Value, (u16, String)>;

fn wpt_claims(wit: &str) -> Value {
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let wth = sha256_base64url(wit);
    json!({"aud": BASE, "jti": jti, "iat": NOW, "exp": NOW + 60, "wth": wth})
}

fn wpt(claims: &Value, key: &SigningKey) -> String {
    format!("WPT {}", sign("wpt+jwt", claims, key))
}

fn by_wpt(authority: &Authority, wit: &str, proof: &str, more: &[(&str, &str)]) -> Answer {
    let fields = [("workload-identity-token", wit), ("authorization", proof)];
    let mut parameters = vec![("grant_type", "client_credentials"), ("resource", TOOLS)];
    parameters.extend(more);
    ask(authority, &fields, &parameters, now())
}

/// TXD-10: a workload authenticates by the proof that it sends to every tool. The token is bound to
/// the key of its WIT-SVID.
#[test]
fn a_workload_authenticates_by_a_proof_token() {
    let authority = authority();
    let (wit, key) = wit(&authority, "a", now());
    for aud in [BASE.to_owned(), format!("{BASE}/token")] {
        let mut claims = wpt_claims(&wit);
        claims["aud"] = aud.into();
        let answer = by_wpt(&authority, &wit, &wpt(&claims, &key), &[]).unwrap();
        let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
        assert_eq!(
            (&claims["client_id"], &claims["sub"]),
            (&json!(AGENT), &json!(AGENT))
        );
        assert_eq!(claims["cnf"], confirmation(&key));
    }
}

/// Each proof differs from a good one in one property.
#[test]
fn other_proof_tokens_are_refused() {
    let authority = authority();
    let (wit, key) = wit(&authority, "a", now());
    let (other_wit, other) = common::wit(&authority, "b", now());
    let invalid = refused(401, "invalid_client");
    let with = |name: &str, value: Value| {
        let mut claims = wpt_claims(&wit);
        claims[name] = value;
        by_wpt(&authority, &wit, &wpt(&claims, &key), &[])
    };
    assert!(with("x", json!(1)).is_ok());
    for (name, value) in [
        ("aud", json!("https://as.example")),
        ("aud", json!([BASE, "https://as.example"])),
        ("aud", json!(format!("{BASE}/introspect"))),
        ("exp", json!(NOW - 31)),
        ("exp", json!(NOW + 600)),
        ("iat", json!(NOW + 60)),
        ("jti", json!("")),
        ("wth", json!(sha256_base64url(&other_wit))),
        ("tth", json!(sha256_base64url("x"))),
    ] {
        assert_eq!(with(name, value.clone()), invalid, "{name} {value}");
    }
    let good = || wpt_claims(&wit);
    let by = |proof: &str| by_wpt(&authority, &wit, proof, &[]);
    assert_eq!(by(&wpt(&good(), &other)), invalid);
    let once = wpt(&good(), &key);
    assert!(by(&once).is_ok());
    assert_eq!(by(&once), invalid);
    let mistyped = format!("WPT {}", sign("JWT", &good(), &key));
    assert_eq!(by(&mistyped), invalid);
    let scheme = wpt(&good(), &key).replace("WPT ", "Bearer ");
    assert_eq!(by(&scheme), invalid);
    // A WIT is worth nothing without its proof, nor a proof without its WIT.
    let parameters = [("grant_type", "client_credentials"), ("resource", TOOLS)];
    let wit_alone = [("workload-identity-token", &*wit)];
    assert_eq!(ask(&authority, &wit_alone, &parameters, now()), invalid);
    let proof = wpt(&good(), &key);
    let proof_alone = [("authorization", &*proof)];
    assert_eq!(ask(&authority, &proof_alone, &parameters, now()), invalid);
    // Another client, or a second way to authenticate.
    let named = [("client_id", "batch")];
    assert_eq!(
        by_wpt(&authority, &wit, &wpt(&good(), &key), &named),
        invalid
    );
    let svid = jwt_svid(&authority, &wit, &key, BASE, now()).unwrap();
    let twice = [
        ("client_assertion_type", JWT_SPIFFE),
        ("client_assertion", &*svid),
    ];
    let answer = by_wpt(&authority, &wit, &wpt(&good(), &key), &twice);
    assert_eq!(answer, refused(400, "invalid_request"));
    let agent = AGENT.parse().unwrap();
    assert!(authority.identity().withdraw(&agent, now()).unwrap());
    assert_eq!(by(&wpt(&good(), &key)), invalid);
}

/// An attacker with another trust domain, or with a WIT of another type, is no client.
#[test]
fn proof_tokens_are_of_this_domains_wit_svids() {
    let (authority, foreign) = (authority(), authority());
    let invalid = refused(401, "invalid_client");
    let (wit, key) = wit(&foreign, "a", now());
    let proof = wpt(&wpt_claims(&wit), &key);
    assert_eq!(by_wpt(&authority, &wit, &proof, &[]), invalid);
    assert!(by_wpt(&foreign, &wit, &proof, &[]).is_ok());
    // An identifier with the scheme `wimse` is no client, as with the other methods.
    let (wit, key) = common::wit(&authority, "w", now());
    let proof = wpt(&wpt_claims(&wit), &key);
    assert_eq!(by_wpt(&authority, &wit, &proof, &[]), invalid);
}
