//! JWT-SVIDs: the cases of header, claims and keys that `svid.rs` does not have.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::key::SigningKey;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use aims_jose::time::Skew;
use aims_wimse_cred::{Bundle, JwtSvid, JwtSvidRules, TrustStore};
use common::{AGENT, NOW, at, code, document, key, origin, sign, sign_raw};
use serde_json::{Value, json};

const TOOL: &str = "https://tools.example/mcp";
const HEADER: &str = r#"{"alg":"ES256","kid":"ca","typ":"JWT"}"#;

fn store(keys: &[&SigningKey], provider: &'static dyn Provider) -> TrustStore {
    let document = document(keys, "jwt-svid", 1);
    let of = origin("spiffe://example.org");
    TrustStore::of([Bundle::parse(&of, document.as_bytes(), provider).unwrap()])
}

fn verify_at(text: &str, store: &TrustStore, now: u64) -> &'static str {
    code(JwtSvid::verify(text, &store.snapshot(), TOOL, at(now)))
}

fn good() -> Value {
    json!({"sub": AGENT, "aud": [TOOL], "exp": NOW + 60, "iat": NOW, "x": {"unknown": [1]}})
}

/// SVD-02: `sub`, `aud` and `exp` are required, must not be `null`, and have their types.
#[test]
fn the_claims_are_required() {
    let ca = key(Algorithm::Es256, "ca");
    let store = store(&[&ca], AWS_LC);
    assert_eq!(verify_at(&sign("JWT", &ca, &good()), &store, NOW), "ok");
    for claim in ["sub", "aud", "exp"] {
        let mut claims = good();
        claims[claim] = Value::Null;
        let null = sign("JWT", &ca, &claims);
        claims.as_object_mut().unwrap().remove(claim);
        let missing = sign("JWT", &ca, &claims);
        assert_eq!(verify_at(&null, &store, NOW), "svid.claim", "{claim}");
        assert_eq!(verify_at(&missing, &store, NOW), "svid.claim", "{claim}");
    }
    for (claim, value) in [
        ("sub", json!([AGENT])),
        ("aud", json!({"a": TOOL})),
        ("aud", json!([1])),
        ("exp", json!("1")),
        ("iat", Value::Null),
        ("nbf", Value::Null),
    ] {
        let mut claims = good();
        claims[claim] = value;
        let text = sign("JWT", &ca, &claims);
        assert_eq!(verify_at(&text, &store, NOW), "svid.claim", "{claims}");
    }
    for (claim, value, expected) in [
        ("sub", json!("spiffe://example.org//agent"), "cred.subject"),
        ("sub", json!("agent"), "cred.subject"),
        ("aud", json!(""), "svid.audience"),
        ("aud", json!(TOOL.to_uppercase()), "svid.audience"),
        ("iat", json!(NOW + 31), "svid.not_yet_valid"),
        ("iat", json!(NOW + 61), "svid.claim"),
        ("nbf", json!(NOW + 31), "svid.not_yet_valid"),
    ] {
        let mut claims = good();
        claims[claim] = value;
        let text = sign("JWT", &ca, &claims);
        assert_eq!(verify_at(&text, &store, NOW), expected, "{claims}");
    }
}

/// SVD-02, T-038: the skew counts once, on both sides.
#[test]
fn it_ends_at_its_time() {
    let ca = key(Algorithm::Es256, "ca");
    let (store, text) = (store(&[&ca], AWS_LC), sign("JWT", &ca, &good()));
    for (now, expected) in [
        (NOW - 31, "svid.not_yet_valid"),
        (NOW - 30, "ok"),
        (NOW + 89, "ok"),
        (NOW + 90, "svid.expired"),
    ] {
        assert_eq!(verify_at(&text, &store, now), expected, "{now}");
    }
}

/// SVD-02, T-038: skew, lifetime and length are configurable, and are checked.
#[test]
fn the_rules_bounds_hold() {
    let ca = key(Algorithm::Es256, "ca");
    let (store, text) = (store(&[&ca], AWS_LC), sign("JWT", &ca, &good()));
    let trust = store.snapshot();
    let verify = |rules, now| code(JwtSvid::verify_with(&text, &trust, TOOL, &rules, at(now)));
    let rules = JwtSvidRules::default().with_skew(Skew::ZERO);
    assert_eq!(verify(rules, NOW + 59), "ok");
    assert_eq!(verify(rules, NOW + 60), "svid.expired");
    assert_eq!(verify(rules, NOW - 1), "svid.not_yet_valid");
    let minute = rules.with_max_lifetime(Duration::from_secs(60));
    assert_eq!(verify(minute, NOW), "ok");
    let short = rules.with_max_lifetime(Duration::from_secs(59));
    assert_eq!(verify(short, NOW), "svid.lifetime");
    assert_eq!(verify(rules.with_max_len(text.len()), NOW), "ok");
    let shorter = rules.with_max_len(text.len() - 1);
    assert_eq!(verify(shorter, NOW), "jws.too_long");
}

/// SVD-02, T-008, T-011: the header is parsed strictly; `none`, MACs and Ed25519 are refused.
#[test]
fn the_header_is_checked() {
    let ca = key(Algorithm::Es256, "ca");
    let (store, payload) = (store(&[&ca], AWS_LC), good().to_string());
    let with = |header: &str| verify_at(&sign_raw(header, &payload, &ca), &store, NOW);
    assert_eq!(with(HEADER), "ok");
    for alg in ["none", "HS256", "EdDSA", "Ed25519", "ES384", "RS256"] {
        let header = HEADER.replace("ES256", alg);
        assert_eq!(with(&header), "svid.algorithm", "{alg}");
    }
    let key = HEADER.replacen('{', r#"{"jku":"https://a","#, 1);
    assert_eq!(with(&key), "jws.key_in_header");
    let twice = HEADER.replacen('{', r#"{"\u006bid":"x","#, 1);
    assert_eq!(with(&twice), "jws.duplicate_member");
    let twice = payload.replacen('{', r#"{"\u0061ud":"x","#, 1);
    let text = sign_raw(HEADER, &twice, &ca);
    assert_eq!(verify_at(&text, &store, NOW), "jws.duplicate_member");
    let long = "!".repeat(8 * 1024 + 1);
    assert_eq!(verify_at(&long, &store, NOW), "jws.too_long");
    assert_eq!(verify_at("a.b", &store, NOW), "jws.parts");
}

/// SVD-02, WIT-04: the key of the `kid`, or the only one that fits, with both providers; one
/// changed byte is refused.
#[test]
fn the_key_and_the_signature_are_checked() {
    for provider in [AWS_LC, RUSTCRYPTO] {
        let provider: &'static dyn Provider = provider;
        let (ca, other) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "other"));
        let nameless = r#"{"alg":"ES256"}"#;
        let text = sign_raw(nameless, &good().to_string(), &ca);
        let (one, two) = (store(&[&ca], provider), store(&[&ca, &other], provider));
        assert_eq!(verify_at(&text, &one, NOW), "ok");
        assert_eq!(verify_at(&text, &two, NOW), "trust.ambiguous_key");
        let text = sign("JWT", &ca, &good());
        assert_eq!(verify_at(&text, &two, NOW), "ok");
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let mut signature = base64url::decode(signature).unwrap();
        signature[40] ^= 1;
        let changed = format!("{signed}.{}", base64url::encode(&signature));
        assert_eq!(verify_at(&changed, &two, NOW), "svid.signature");
    }
}

/// SVD-02: the values of a valid token. It is a bearer token, so `Debug` does not print its text.
#[test]
fn it_says_what_was_signed() {
    #[derive(serde::Deserialize)]
    struct Further {
        x: Value,
    }
    let ca = key(Algorithm::Es256, "ca");
    let text = sign("JOSE", &ca, &good());
    let trust = store(&[&ca], AWS_LC).snapshot();
    let svid = JwtSvid::verify(&text, &trust, TOOL, at(NOW)).unwrap();
    assert_eq!(svid.hash(), &aims_jose::digest::sha256(text.as_bytes()));
    assert_eq!(svid.claims::<Further>().unwrap().x, json!({"unknown": [1]}));
    let shown = format!("{svid:?}");
    assert!(text.split('.').all(|part| !shown.contains(part)));
}
