//! Proofs: each negative differs from a valid one in one property.

mod common;

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::digest::{sha256, sha256_base64url};
use aims_jose::key::SigningKey;
use aims_jose::provider::{AWS_LC, RUSTCRYPTO};
use aims_jose::random::SYSTEM;
use aims_jose::time::Skew;
use aims_wimse_wpt::{Binding, WptRules};
use common::{AGENT, AUDIENCE, Agent, NOW, agent, at, code, draft01, sign, sign_raw};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

/// WPT-01, WPT-10: a proof by `prepare` verifies, with every kind of key.
#[test]
fn a_good_proof_verifies() {
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Ed25519,
        Algorithm::EdDsa,
    ] {
        let agent = Agent::new(AGENT, algorithm);
        let binding = draft01()
            .access_token("2YotnFZFEjr1zCsicMWpAA")
            .txn_token("transaction")
            .header("content-digest", b"sha-256=:YQ==:");
        let minute = Duration::from_secs(60);
        let proof = binding.prepare(&agent.text, algorithm, minute, SYSTEM, at(NOW));
        let proof =
            proof.and_then(|input| input.sign(&agent.key).map_err(aims_wimse_wpt::Error::Wpt));
        let proof = proof.unwrap();
        let verified = agent.verify(proof.expose(), &binding).unwrap();
        let store = aims_replay::ReplayCache::in_memory(10);
        let verified = verified.spend(&store, at(NOW)).unwrap();
        assert_eq!(verified.wit().id().as_str(), AGENT);
        assert_eq!(verified.expires(), at(NOW + 60));
        assert!(!format!("{verified:?} {binding:?}").contains("2YotnFZF"));
        assert_eq!(agent.code_of(&json!({})), "ok");
    }
}

/// WPT-01: `typ` is `wpt+jwt`; the older name is refused.
#[test]
fn the_type_is_checked() {
    let agent = agent();
    let claims = agent.claims();
    for typ in ["wimse-proof+jwt", "wit+jwt", "JWT", "dpop+jwt", "wpt"] {
        let proof = sign(typ, &agent.key, &claims);
        assert_eq!(agent.code(&proof), "wpt.typ", "{typ}");
    }
    let untyped = sign_raw(r#"{"alg":"ES256"}"#, &claims.to_string(), &agent.key);
    assert_eq!(agent.code(&untyped), "wpt.typ");
    let typed = sign_raw(
        r#"{"alg":"ES256","typ":"wpt+jwt"}"#,
        &claims.to_string(),
        &agent.key,
    );
    assert_eq!(agent.code(&typed), "ok");
}

/// WPT-01: `alg` equals `cnf.jwk.alg`: `EdDSA` is not `Ed25519`, although the signature is the
/// same.
#[test]
fn the_algorithm_is_the_confirmed_one() {
    for (confirmed, other) in [(Algorithm::EdDsa, "Ed25519"), (Algorithm::Ed25519, "EdDSA")] {
        let agent = Agent::new(AGENT, confirmed);
        let claims = agent.claims().to_string();
        let header = |alg| format!(r#"{{"alg":"{alg}","typ":"wpt+jwt"}}"#);
        let same = sign_raw(&header(confirmed.name()), &claims, &agent.key);
        assert_eq!(agent.code(&same), "ok");
        let renamed = sign_raw(&header(other), &claims, &agent.key);
        assert_eq!(agent.code(&renamed), "wpt.algorithm");
    }
    let agent = agent();
    for alg in ["ES384", "RS256", "none", "HS256", "es256"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"wpt+jwt"}}"#);
        let proof = sign_raw(&header, &agent.claims().to_string(), &agent.key);
        assert_eq!(agent.code(&proof), "wpt.algorithm", "{alg}");
    }
}

/// WPT-01, T-033: a signature by another key, by another workload, and a changed one.
#[test]
fn the_signature_is_the_workloads() {
    let (agent, other) = (agent(), agent());
    let stolen = sign("wpt+jwt", &other.key, &agent.claims());
    assert_eq!(agent.code(&stolen), "wpt.signature");
    let good = agent.proof(&json!({}));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut bytes = base64url::decode(signature).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let bent = format!("{signed}.{}", base64url::encode(&bytes));
    assert_eq!(agent.code(&bent), "wpt.signature");
    let header = base64url::encode(br#"{"alg":"ES256","typ":"wpt+jwt","kid":"x"}"#);
    let (_, rest) = good.split_once('.').unwrap();
    assert_eq!(agent.code(&format!("{header}.{rest}")), "wpt.signature");
    assert_eq!(agent.code(&good), "ok");
}

/// WPT-03: `exp` is required, has not passed, and is not too far ahead; the skew counts on both
/// sides.
#[test]
fn expiry_is_checked() {
    let agent = agent();
    for (exp, expected) in [
        (json!("-"), "wpt.claim"),
        (json!(null), "wpt.claim"),
        (json!("1800000060"), "wpt.claim"),
        (json!(-1), "wpt.claim"),
        (json!(NOW - 30), "wpt.expired"),
        (json!(NOW - 29), "ok"),
        (json!(NOW + 330), "ok"),
        (json!(NOW + 331), "wpt.lifetime"),
        (json!(u64::MAX), "wpt.claim"),
    ] {
        assert_eq!(agent.code_of(&json!({"exp": exp})), expected, "{exp}");
    }
}

/// WPT-03: the limits of the rules are checked.
#[test]
fn the_rules_bounds_hold() {
    let agent = agent();
    let proof = agent.proof(&json!({}));
    let rules = WptRules::default().with_skew(Skew::ZERO);
    let verify = |rules, now| {
        let binding = Binding::to(AUDIENCE);
        code(aims_wimse_wpt::verify(
            &proof,
            &agent.wit,
            &binding,
            &rules,
            at(now),
        ))
    };
    assert_eq!(verify(rules, NOW + 59), "ok");
    assert_eq!(verify(rules, NOW + 60), "wpt.expired");
    let short = rules.with_max_lifetime(Duration::from_secs(59));
    assert_eq!(verify(short, NOW), "wpt.lifetime");
    assert_eq!(verify(short, NOW + 1), "ok");
    assert_eq!(verify(rules.with_max_len(proof.len()), NOW), "ok");
    let shorter = rules.with_max_len(proof.len() - 1);
    assert_eq!(verify(shorter, NOW), "jws.too_long");
}

/// WPT-03: `nbf` and `iat` are checked if present.
#[test]
fn not_before_is_honoured() {
    let agent = agent();
    for claim in ["nbf", "iat"] {
        for (time, expected) in [
            (json!(NOW), "ok"),
            (json!(NOW + 30), "ok"),
            (json!(NOW + 31), "wpt.not_yet_valid"),
            (json!(NOW + 61), "wpt.claim"),
            (json!(null), "wpt.claim"),
        ] {
            assert_eq!(agent.code_of(&json!({claim: time})), expected, "{claim}");
        }
    }
    let long = agent.code_of(&json!({"iat": NOW - 241}));
    assert_eq!(long, "wpt.lifetime");
}

/// WPT-04: `jti` is required and not empty.
#[test]
fn the_id_is_required() {
    let agent = agent();
    for (id, expected) in [
        (json!("-"), "wpt.claim"),
        (json!(""), "wpt.claim"),
        (json!(null), "wpt.claim"),
        (json!(7), "wpt.claim"),
        (json!(["a"]), "wpt.claim"),
        (json!("a"), "ok"),
    ] {
        assert_eq!(agent.code_of(&json!({"jti": id})), expected, "{id}");
    }
}

/// T-037: the limit on the whole text applies to a long `jti` too.
#[test]
fn a_long_proof_is_refused_unread() {
    let agent = agent();
    let long = "a".repeat(1 << 20);
    assert_eq!(agent.code_of(&json!({"jti": long})), "jws.too_long");
    assert_eq!(agent.code(&".".repeat(8193)), "jws.too_long");
    assert_eq!(agent.code(&".".repeat(8192)), "jws.parts");
}

/// T-033: a proof for another WIT of the same workload and the same key.
#[test]
fn a_proof_is_for_one_wit() {
    let first = agent();
    let second = Agent::with(AGENT, first.key.clone());
    assert_ne!(first.text, second.text);
    assert_eq!(first.code(&second.proof(&json!({}))), "wpt.wth");
    assert_eq!(second.code(&second.proof(&json!({}))), "ok");
}

/// WPT-05: `wth` is required, and is the hash of the WIT.
#[test]
fn the_wit_hash_is_checked() {
    let agent = agent();
    let padded = format!("{}=", sha256_base64url(&agent.text));
    let hex: String = sha256(agent.text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for (hash, expected) in [
        (json!("-"), "wpt.claim"),
        (json!(null), "wpt.claim"),
        (json!(""), "wpt.wth"),
        (json!(sha256_base64url("another")), "wpt.wth"),
        (json!(padded), "wpt.wth"),
        (json!(hex), "wpt.wth"),
    ] {
        assert_eq!(agent.code_of(&json!({"wth": hash})), expected, "{hash}");
    }
}

/// WPT-09: `iss` and unknown claims are ignored, with any values.
#[test]
fn unknown_claims_are_ignored() {
    let agent = agent();
    for claim in ["iss", "sub", "cnf", "nonce", "https://example.com/claim"] {
        for value in [json!("x"), json!(null), json!({"a": [1]})] {
            assert_eq!(agent.code_of(&json!({claim: value})), "ok", "{claim}");
        }
    }
}

/// WPT-09: a repeated claim is refused, known or not, also if it is spelled with escapes.
#[test]
fn duplicate_claims_are_refused() {
    let agent = agent();
    let good = agent.claims().to_string();
    let header = r#"{"alg":"ES256","typ":"wpt+jwt"}"#;
    for twice in [
        r#""aud":"https://workload.example.com/path""#,
        r#""\u0061ud":"https://workload.example.com/path""#,
        r#""x":1,"x":1"#,
        r#""x":{"y":1,"y":1}"#,
    ] {
        let payload = good.replacen('{', &format!("{{{twice},"), 1);
        let proof = sign_raw(header, &payload, &agent.key);
        assert_eq!(agent.code(&proof), "jws.duplicate_member", "{twice}");
    }
    let doubled = r#"{"alg":"ES256","alg":"ES256","typ":"wpt+jwt"}"#;
    let proof = sign_raw(doubled, &good, &agent.key);
    assert_eq!(agent.code(&proof), "jws.duplicate_member");
    assert_eq!(agent.code(&sign_raw(header, &good, &agent.key)), "ok");
}

/// WPT-01: texts that are not a compact JWS of an object.
#[test]
fn malformed_proofs_are_refused() {
    let agent = agent();
    let header = r#"{"alg":"ES256","typ":"wpt+jwt"}"#;
    for (payload, expected) in [
        ("[]", "jws.not_an_object"),
        ("{", "jws.json"),
        ("\"\"", "jws.not_an_object"),
    ] {
        let proof = sign_raw(header, payload, &agent.key);
        assert_eq!(agent.code(&proof), expected, "{payload}");
    }
    let good = agent.proof(&json!({}));
    for (bad, expected) in [
        (String::new(), "jws.parts"),
        (format!("{good}.x"), "jws.parts"),
        (format!("{good}="), "jws.base64"),
        (format!(" {good}"), "jws.base64"),
        (format!("Bearer {good}"), "jws.base64"),
    ] {
        assert_eq!(agent.code(&bad), expected, "{bad}");
    }
    let own = r#"{"alg":"ES256","typ":"wpt+jwt","jwk":{}}"#;
    let proof = sign_raw(own, &agent.claims().to_string(), &agent.key);
    assert_eq!(agent.code(&proof), "jws.key_in_header");
}

/// WPT-01: a signature of one provider verifies with the other.
#[test]
fn providers_agree() {
    let key = SigningKey::generate(Algorithm::Es256, RUSTCRYPTO).unwrap();
    let same = SigningKey::from_jwk(key.to_jwk().as_bytes(), AWS_LC).unwrap();
    let agent = Agent::with(AGENT, same);
    let proof = sign("wpt+jwt", &key, &agent.claims());
    assert_eq!(agent.code(&proof), "ok");
}

proptest! {
    /// WPT-01: no text panics, and none verifies.
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        thread_local!(static AGENT: Agent = agent());
        AGENT.with(|agent| {
            prop_assert_ne!(agent.code(&text), "ok");
            prop_assert_ne!(agent.code(&parts.join(".")), "ok");
            Ok(())
        })?;
    }

    /// WPT-01, WPT-09: no signed payload panics.
    #[test]
    fn no_payload_panics(text in "\\PC{0,80}", claim in "aud|exp|nbf|jti|wth|ath|tth|oth", value in "null|\\{\\}|\\[\\]|\"\\PC{0,9}\"|-?[0-9]{1,30}(e[0-9]{1,5})?") {
        thread_local!(static AGENT: Agent = agent());
        AGENT.with(|agent| {
            let header = r#"{"alg":"ES256","typ":"wpt+jwt"}"#;
            prop_assert_ne!(agent.code(&sign_raw(header, &text, &agent.key)), "ok");
            let payload = format!(r#"{{"{claim}":{value}}}"#);
            prop_assert_ne!(agent.code(&sign_raw(header, &payload, &agent.key)), "ok");
            Ok(())
        })?;
    }
}
