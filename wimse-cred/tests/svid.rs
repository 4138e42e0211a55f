//! JWT-SVIDs, and tokens that issuers refuse to sign.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_wimse_cred::{Bundle, JwtSvid, JwtSvidIssuer, TrustStore, WitIssuer};
use aims_wimse_id::WorkloadId;
use common::{AGENT, NOW, at, code, document, key, origin, sign, sign_raw};
use serde_json::{Value, json};

const TOOL: &str = "https://tools.example/mcp";

fn store(key: &SigningKey, key_use: &str) -> TrustStore {
    let document = document(&[key], key_use, 1);
    TrustStore::of([
        Bundle::parse(&origin("spiffe://example.org"), document.as_bytes(), AWS_LC).unwrap(),
    ])
}

/// SVD-02: each check of a JWT-SVID.
#[test]
fn a_jwt_svid_is_checked() {
    let ca = key(Algorithm::Es256, "ca");
    let trust = store(&ca, "jwt-svid").snapshot();
    let verify = |text: &str| code(JwtSvid::verify(text, &trust, TOOL, at(NOW)));
    let good = json!({"sub": AGENT, "aud": [TOOL, "other"], "exp": NOW + 60});
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims
            .as_object_mut()
            .unwrap()
            .insert(claim.to_owned(), value);
        verify(&sign("JWT", &ca, &claims))
    };
    for typ in ["JWT", "JOSE"] {
        assert_eq!(verify(&sign(typ, &ca, &good)), "ok");
    }
    assert_eq!(
        verify(&sign_raw(
            r#"{"alg":"ES256","kid":"ca"}"#,
            &good.to_string(),
            &ca
        )),
        "ok"
    );
    for typ in ["at+jwt", "wit+jwt", "jwt"] {
        assert_eq!(verify(&sign(typ, &ca, &good)), "svid.typ", "{typ}");
    }
    assert_eq!(with("aud", json!(TOOL)), "ok");
    assert_eq!(
        with(
            "aud",
            json!(["https://tools.example", "https://tools.example/mcp/"])
        ),
        "svid.audience"
    );
    assert_eq!(with("aud", json!([])), "svid.claim");
    assert_eq!(with("exp", json!(NOW - 30)), "svid.expired");
    assert_eq!(with("nbf", json!(NOW + 31)), "svid.not_yet_valid");
    assert_eq!(
        with("sub", json!("wimse://example.org/agent")),
        "cred.subject"
    );
    assert_eq!(
        with("sub", json!("spiffe://example.com/agent")),
        "trust.unknown_origin"
    );
    assert_eq!(
        verify(&sign("JWT", &key(Algorithm::Ed25519, "ca"), &good)),
        "svid.algorithm"
    );
    assert_eq!(
        verify(&sign("JWT", &key(Algorithm::Es256, "ca"), &good)),
        "svid.signature"
    );
    assert_eq!(
        verify(&sign("JWT", &key(Algorithm::Es256, "other"), &good)),
        "trust.unknown_key"
    );
    // A key for WITs does not verify JWT-SVIDs.
    let wits = store(&ca, "wit-svid").snapshot();
    assert_eq!(
        code(JwtSvid::verify(
            &sign("JWT", &ca, &good),
            &wits,
            TOOL,
            at(NOW)
        )),
        "trust.unknown_key"
    );
}

/// SVD-02: a verifier accepts the tokens of an issuer.
#[test]
fn what_is_issued_verifies() {
    let ca = key(Algorithm::Es256, "ca");
    let id = WorkloadId::parse(AGENT).unwrap();
    let issuer = JwtSvidIssuer::new(Arc::new(ca.clone()));
    let text = issuer
        .issue(&id, &[TOOL], Duration::from_secs(60), at(NOW))
        .unwrap();
    let svid = JwtSvid::verify(
        text.expose(),
        &store(&ca, "jwt-svid").snapshot(),
        TOOL,
        at(NOW),
    )
    .unwrap();
    assert_eq!((svid.id(), svid.expires()), (&id, at(NOW + 60)));
}

/// SVD-01, SVD-02, ID-11: an issuer signs no token that a verifier refuses.
#[test]
fn issuers_refuse() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let (spiffe, wimse) = (
        WorkloadId::parse(AGENT).unwrap(),
        WorkloadId::parse("wimse://example.org/a").unwrap(),
    );
    let minute = Duration::from_secs(60);
    let wit = |ca: &SigningKey, id: &WorkloadId, key: &aims_jose::jwk::Jwk, lifetime| {
        code(WitIssuer::new(Arc::new(ca.clone()), None).issue(id, key, lifetime, at(NOW)))
    };
    assert_eq!(wit(&ca, &spiffe, agent.public_jwk(), minute), "ok");
    for lifetime in [0, 86_401] {
        assert_eq!(
            wit(
                &ca,
                &spiffe,
                agent.public_jwk(),
                Duration::from_secs(lifetime)
            ),
            "cred.issue"
        );
    }
    let without =
        aims_jose::jwk::Jwk::from_public_key(agent.public_jwk().public_key().clone()).unwrap();
    assert_eq!(wit(&ca, &spiffe, &without, minute), "cred.issue");
    let edwards = key(Algorithm::Ed25519, "e");
    assert_eq!(
        wit(&ca, &spiffe, edwards.public_jwk(), minute),
        "cred.issue"
    );
    assert_eq!(
        wit(&edwards, &spiffe, agent.public_jwk(), minute),
        "cred.issue"
    );
    assert_eq!(wit(&edwards, &wimse, edwards.public_jwk(), minute), "ok");
    let nameless = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    assert_eq!(
        wit(&nameless, &spiffe, agent.public_jwk(), minute),
        "cred.issue"
    );
    let svid = |ca: &SigningKey, id: &WorkloadId, audiences: &[&str]| {
        code(JwtSvidIssuer::new(Arc::new(ca.clone())).issue(id, audiences, minute, at(NOW)))
    };
    assert_eq!(svid(&ca, &spiffe, &[TOOL]), "ok");
    assert_eq!(svid(&ca, &spiffe, &[]), "cred.issue");
    assert_eq!(svid(&ca, &spiffe, &[""]), "cred.issue");
    assert_eq!(svid(&ca, &wimse, &[TOOL]), "cred.issue");
    assert_eq!(svid(&edwards, &spiffe, &[TOOL]), "cred.issue");
}
