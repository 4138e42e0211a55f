//! Workloads as clients, with a WIT-SVID and its proof, or with a JWT-SVID.
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
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use common::endpoint::*;
use common::*;
use serde_json::{Value, json};

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
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    json!({"aud": BASE, "jti": jti, "iat": now.as_secs()})
}

fn pop(key: &SigningKey, now: UnixTime) -> String {
    sign("oauth-client-attestation-pop+jwt", &pop_claims(now), key)
}

/// SPF-03, SPF-07, ATJ-30: the token has the workload's identifier, not the pattern, and its key.
#[test]
fn a_workload_gets_a_token_bound_to_its_wit() {
    let authority = authority();
    let (wit, key) = wit(&authority, "a", now());
    let answer = by_wit(&authority, &wit, &pop(&key, now()), now()).unwrap();
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    assert_eq!(claims["client_id"], AGENT);
    assert_eq!(claims["sub"], AGENT);
    assert_eq!(claims["aud"], TOOLS);
    assert_eq!(claims["cnf"], confirmation(&key));
}

/// WIT-06, T-033: a WIT-SVID without a proof, with an expired one, or with another's is refused.
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
        .withdraw(&AGENT.parse().unwrap(), now())
        .unwrap();
    assert_eq!(by_wit(&authority, &good, &pop(&key, now()), now()), invalid);
}

/// SPF-04: a workload that matches no pattern is not a client, even with a valid WIT-SVID.
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
    let bundle = foreign
        .identity()
        .bundle(aims_wimse_id::Scheme::Spiffe, now());
    let origin = "spiffe://example.com".parse().unwrap();
    let bundle = aims_wimse_cred::Bundle::parse(&origin, bundle.as_bytes(), AWS_LC).unwrap();
    let client = Client::spiffe("spiffe://example.com/agents/*".parse().unwrap());
    let authority = builder()
        .trust(bundle)
        .client(client.allow(TOOLS, ["list"]))
        .build(now());
    let authority = authority.unwrap();
    let (wit, key) = wit(&foreign, "a", now());
    let answer = by_wit(&authority, &wit, &pop(&key, now()), now()).unwrap();
    assert_eq!(answer["scope"], "list");
    // A WIT of another domain cannot be renewed here.
    let nonce = nonce(&authority, now());
    let new = es256();
    let proof = renewal_proof(&nonce, &new, &key, &wit, now());
    let shown = aims_authority::PresentedProof::Wit {
        wit: &wit,
        proof: &proof,
    };
    let renewed = authority
        .identity()
        .issue_wit(&shown, &key_proof(&nonce, &new, now()), now());
    assert_eq!(renewed.unwrap_err().code(), "identity.withdrawn");
}

fn by_svid(authority: &Authority, svid: &str, now: UnixTime) -> Result<Value, (u16, String)> {
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_SPIFFE),
        ("client_assertion", svid),
        ("resource", TOOLS),
    ];
    ask(authority, &[], &parameters, now)
}

/// SPF-01, SPF-06, SVD-02: unbound, reusable, and only if the operator allows it.
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
        .withdraw(&AGENT.parse().unwrap(), now())
        .unwrap();
    assert_eq!(by_svid(&authority, &good, now()), invalid);
}

/// RFC 7800 §3.2, RFC 9449 §7.1: a token is bound to the key of the WIT by `cnf.jwk` and has the
/// type `Bearer`; `cnf.jkt` and the type `DPoP` are for a key that was proven by DPoP. No member of
/// the request changes that.
#[test]
fn a_wit_binds_by_its_key_and_never_as_dpop() {
    let authority = authority();
    let (wit, key) = wit(&authority, "a", now());
    let jkt = key.verifying_key().thumbprint().to_string();
    for more in [
        None,
        Some(("token_type", "DPoP")),
        Some(("dpop_jkt", jkt.as_str())),
    ] {
        let proof = pop(&key, now());
        let fields = [
            ("oauth-client-attestation", wit.as_str()),
            ("oauth-client-attestation-pop", proof.as_str()),
        ];
        let mut parameters = vec![("grant_type", "client_credentials"), ("resource", TOOLS)];
        parameters.extend(more);
        let answer = ask(&authority, &fields, &parameters, now()).unwrap();
        assert_eq!(answer["token_type"], "Bearer");
        let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
        let cnf = claims["cnf"].as_object().unwrap();
        assert_eq!(cnf.keys().collect::<Vec<_>>(), ["jwk"]);
        assert_eq!(claims["cnf"], confirmation(&key));
    }
}
