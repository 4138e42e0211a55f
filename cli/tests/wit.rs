//! Tests of `aims wit`.

mod common;

use common::{AGENT, Folder, NOW, ORIGIN};
use serde_json::{Value, json};

fn verify(more: &str) -> String {
    format!("wit verify --origin {ORIGIN} --keys keys.json --now {NOW} {more}")
}

/// WIT-01, WIT-08: an issued token verifies until it has expired.
#[test]
fn an_issued_token_verifies() {
    let folder = Folder::with_agent();
    for profile in ["", "--profile wit", "--profile wit-svid"] {
        let answer = folder.ok(&verify(&format!("{profile} wit")));
        assert!(answer.starts_with("verified"), "{answer}");
        assert!(answer.contains("\nid       spiffe://example.org/agent\n"));
        assert!(answer.contains("\nexpires  2027-01-15T09:00:00Z, in 60 min\n"));
    }
    let ran = folder.run_with(&verify("--json -"), folder.read("wit").as_bytes());
    let answer = ran.json();
    assert_eq!(ran.status, 0);
    assert_eq!(answer.get("verified"), Some(&json!(true)));
    assert_eq!(answer.get("id"), Some(&json!(AGENT)));
    assert_eq!(answer.get("expires"), Some(&json!(1_800_003_600)));
    assert_eq!(answer.as_object().unwrap().len(), 4);
    let claims = answer.get("claims").unwrap();
    let jwk: Value = serde_json::from_str(&folder.read("agent.pub")).unwrap();
    assert_eq!(claims.get("cnf"), Some(&json!({"jwk": jwk})));
    assert_eq!(claims.get("iat"), Some(&json!(1_800_000_000)));
    let late = format!("wit verify --origin {ORIGIN} --keys keys.json --now 1800003630 wit");
    assert_eq!(folder.refused(&late), "wit.expired");
}

/// WIT-03, WIT-04, SVD-01, T-032: each refusal has its code, in words and in JSON.
#[test]
fn refusals_have_codes() {
    let folder = Folder::with_agent();
    folder.ok("key generate --kid ca --out other.jwk");
    folder.ok("key generate --kid other --out third.jwk");
    for name in ["other", "third"] {
        let key = folder.ok(&format!("key public {name}.jwk"));
        folder.write(&format!("{name}.json"), format!("{{\"keys\":[{key}]}}"));
    }
    folder.write("empty.json", r#"{"keys":[]}"#);
    folder.write("broken.json", "{");
    let wit = folder.read("wit");
    folder.write("bent", wit.replacen("eyJ", "eyK", 1));
    folder.write("blank", format!("{} \n", wit.trim()));
    folder.write("lines", format!("{wit}\n"));
    let with = |origin: &str, keys: &str, file: &str| {
        format!("wit verify --origin {origin} --keys {keys} --now {NOW} {file}")
    };
    for (args, code) in [
        (
            with("spiffe://example.com", "keys.json", "wit"),
            "trust.unknown_origin",
        ),
        (
            with("wimse://example.org", "keys.json", "wit"),
            "trust.unknown_origin",
        ),
        (with(ORIGIN, "other.json", "wit"), "wit.signature"),
        (with(ORIGIN, "third.json", "wit"), "trust.unknown_key"),
        (with(ORIGIN, "empty.json", "wit"), "trust.unknown_key"),
        (with(ORIGIN, "broken.json", "wit"), "bundle.syntax"),
        (with(ORIGIN, "keys.json", "bent"), "jws.json"),
        (with(ORIGIN, "keys.json", "blank"), "jws.base64"),
        (with(ORIGIN, "keys.json", "lines"), "jws.base64"),
        (with(ORIGIN, "keys.json", "agent.jwk"), "jws.parts"),
    ] {
        assert_eq!(folder.refused(&args), code, "{args}");
        let ran = folder.run(&format!("{args} --json"));
        let answer = ran.json();
        assert_eq!(ran.status, 1);
        assert_eq!(answer.get("verified"), Some(&json!(false)));
        assert_eq!(answer.get("error"), Some(&json!(code)));
        assert!(answer.get("detail").unwrap().is_string());
        assert_eq!(answer.as_object().unwrap().len(), 3);
    }
}

/// BND-01: a document with `spiffe_sequence` or a key for WIT-SVIDs is a SPIFFE bundle, in which a
/// key for signatures verifies nothing.
#[test]
fn bundles_are_told_from_sets() {
    let folder = Folder::with_agent();
    let key: Value = serde_json::from_str(&folder.ok("key public ca.jwk")).unwrap();
    let with_use = |used: &str| {
        let mut key = key.clone();
        key.as_object_mut()
            .unwrap()
            .insert("use".into(), used.into());
        key
    };
    let other: Value = serde_json::from_str(&folder.ok("key generate --kid x")).unwrap();
    let other = json!({"kty": "EC", "crv": "P-256", "kid": "x", "use": "wit-svid",
        "x": other.get("x"), "y": other.get("y")});
    for (document, expected) in [
        (json!({"keys": [with_use("wit-svid")]}), "ok"),
        (
            json!({"keys": [with_use("wit-svid")], "spiffe_sequence": 1}),
            "ok",
        ),
        (json!({"keys": [with_use("sig")]}), "ok"),
        (json!({"keys": [key]}), "ok"),
        (
            json!({"keys": [key], "spiffe_sequence": 1}),
            "trust.unknown_key",
        ),
        (json!({"keys": [key, other]}), "trust.unknown_key"),
        (json!({"keys": [with_use("jwt-svid")]}), "trust.unknown_key"),
    ] {
        folder.write("keys.json", document.to_string());
        let ran = folder.run(&verify("--json wit"));
        let answer = ran.json();
        let code = answer.get("error").and_then(Value::as_str).unwrap_or("ok");
        assert_eq!(
            (code, ran.status),
            (expected, i32::from(expected != "ok")),
            "{document}"
        );
    }
}

/// WIT-04: several origins, each with its own keys, in pairs.
#[test]
fn origins_and_keys_are_pairs() {
    let folder = Folder::with_agent();
    folder.write("empty.json", r#"{"keys":[]}"#);
    let two = "--origin wimse://example.com --keys empty.json";
    assert!(
        folder
            .ok(&verify(&format!("{two} wit")))
            .starts_with("verified")
    );
    let swapped = format!(
        "wit verify --origin wimse://example.com --origin {ORIGIN} --keys keys.json --keys empty.json --now {NOW} wit"
    );
    assert_eq!(folder.refused(&swapped), "trust.unknown_key");
    for more in ["--origin wimse://example.com", "--keys empty.json"] {
        assert_eq!(folder.failed(&verify(&format!("{more} wit"))), "cli.usage");
    }
    let twice = verify(&format!("--origin {ORIGIN} --keys empty.json wit"));
    assert_eq!(folder.failed(&twice), "cli.usage");
    let ran = folder.run(&format!("{twice} --json"));
    assert_eq!(
        (ran.status, ran.json().get("error")),
        (2, Some(&json!("cli.usage")))
    );
    for bad in [
        "wit verify wit",
        "wit verify --origin x --keys keys.json wit",
    ] {
        assert_eq!(folder.run(bad).status, 2);
    }
}

/// WIT-02, SVD-01, T-019: tokens that cannot be issued.
#[test]
fn bad_tokens_are_not_issued() {
    let folder = Folder::with_agent();
    let public = folder.read("agent.pub");
    folder.write("no-alg", public.replace("\"alg\":\"ES256\",", ""));
    folder.ok("key generate --out unnamed.jwk");
    folder.ok("key generate --alg EdDSA --kid 1 --out ed.jwk");
    for (args, code) in [
        ("--key ca.jwk --for agent.jwk", "jwk.private"),
        ("--key agent.pub --for agent.pub", "jwk.not_private"),
        ("--key ca.jwk --for no-alg", "cred.issue"),
        ("--key unnamed.jwk --for agent.pub", "cred.issue"),
        ("--key ed.jwk --for agent.pub", "cred.issue"),
        ("--key ca.jwk --for agent.pub --lifetime 0", "cred.issue"),
        (
            "--key ca.jwk --for agent.pub --lifetime 86401",
            "cred.issue",
        ),
    ] {
        let args = format!("wit issue --id {AGENT} {args}");
        assert_eq!(folder.refused(&args), code, "{args}");
    }
    let bad = folder.run("wit issue --id spiffe://X/a --key ca.jwk --for agent.pub");
    assert_eq!((bad.status, bad.out.as_str()), (2, ""));
}

/// WIT-01: a `wimse` identifier, an Ed25519 key, an issuer, the clock.
#[test]
fn issued_as_asked() {
    let folder = Folder::with_agent();
    folder.ok("key generate --alg Ed25519 --kid ca --out ed.jwk");
    let key = folder.ok("key public ed.jwk");
    folder.write("keys.json", format!("{{\"keys\":[{key}]}}"));
    let wit = folder.ok("wit issue --key ed.jwk --id wimse://example.org/a --for agent.pub --issuer https://ca.example");
    folder.write("wit", wit);
    let verify = "wit verify --origin wimse://example.org --keys keys.json --json wit";
    let answer: Value = serde_json::from_str(&folder.ok(verify)).unwrap();
    let claim = |name| answer.get("claims").and_then(|claims| claims.get(name));
    assert_eq!(claim("iss"), Some(&json!("https://ca.example")));
    let seconds = |name| claim(name).and_then(Value::as_u64).unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 300);
    let svid = "wit verify --origin wimse://example.org --keys keys.json --profile wit-svid wit";
    assert_eq!(folder.refused(svid), "wit.algorithm");
}
