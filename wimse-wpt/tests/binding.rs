//! Tests of the binding of proofs, and of bindings that `prepare` refuses.

mod common;

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::digest::{sha256, sha256_base64url};
use aims_jose::random::{SYSTEM, SecureRandom};
use aims_wimse_wpt::{Binding, Error, Revision, Revisions, WptRules};
use common::{AGENT, AUDIENCE, Agent, NOW, agent, at, code, draft01, sign_raw};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

fn with(agent: &Agent, binding: &Binding<'_>, changes: &Value) -> &'static str {
    code(agent.verify(&agent.proof(changes), binding))
}

/// WPT-02, T-033: `aud` is exactly the configured value, byte for byte.
#[test]
fn the_audience_is_the_configured_one() {
    let agent = agent();
    for (audience, expected) in [
        (json!("https://other.example.com/path"), "wpt.audience"),
        (json!("https://workload.example.com/pat"), "wpt.audience"),
        (json!("https://workload.example.com/path/"), "wpt.audience"),
        (json!("https://workload.example.com/path?q"), "wpt.audience"),
        (json!("https://WORKLOAD.example.com/path"), "wpt.audience"),
        (
            json!("https://workload.example.com:443/path"),
            "wpt.audience",
        ),
        (json!(""), "wpt.audience"),
        (
            json!([AUDIENCE, "https://other.example.com/"]),
            "wpt.audience",
        ),
        (json!([AUDIENCE, AUDIENCE]), "wpt.audience"),
        (json!([AUDIENCE]), "ok"),
        (json!([]), "wpt.claim"),
        (json!(null), "wpt.claim"),
        (json!("-"), "wpt.claim"),
    ] {
        assert_eq!(
            agent.code_of(&json!({"aud": audience})),
            expected,
            "{audience}"
        );
    }
    let named = Binding::to("orders").or_to(AUDIENCE);
    assert_eq!(with(&agent, &named, &json!({})), "ok");
    assert_eq!(with(&agent, &named, &json!({"aud": "orders"})), "ok");
    let elsewhere = Binding::to("orders").or_to("billing");
    assert_eq!(with(&agent, &elsewhere, &json!({})), "wpt.audience");
}

/// WPT-02: the error has both audiences, escaped and bounded.
#[test]
fn another_audience_is_told() {
    let agent = agent();
    let binding = Binding::to("orders").or_to("billing");
    let told = |audience: Value| {
        let proof = agent.proof(&json!({ "aud": audience }));
        agent.verify(&proof, &binding).unwrap_err().to_string()
    };
    let start = "the proof is for another audience: found ";
    let end = "expected \"orders\", \"billing\"; call the receiver by this URL, or add the found \
               name to the receiver (`GuardBuilder::proof_audience`)";
    for (audience, found) in [
        (json!("https://x.example"), "\"https://x.example\""),
        (json!(["orders", "b"]), "\"orders\", \"b\""),
        (json!("a\n\u{1b}\u{202e}"), "\"a\\n\\u{1b}\\u{202e}\""),
    ] {
        assert_eq!(told(audience), format!("{start}{found}, {end}"));
    }
    for long in [
        json!("\n".repeat(1000)),
        json!(["x".repeat(150), "y".repeat(150)]),
    ] {
        let text = told(long);
        assert_eq!(text.chars().count(), start.len() + 200 + 2 + end.len());
        assert!(text.ends_with(&format!("…, {end}")), "{text}");
    }
}

/// WPT-06, T-033: `ath` and `tth` are present exactly if the token is, and are its hash.
#[test]
fn token_hashes_are_checked() {
    let agent = agent();
    let token = "2YotnFZFEjr1zCsicMWpAA";
    let (bare, access, txn) = (
        draft01(),
        draft01().access_token(token),
        draft01().txn_token(token),
    );
    let cases = [
        ("ath", &access, &txn, "wpt.ath"),
        ("tth", &txn, &access, "wpt.tth"),
    ];
    for (claim, its, other, refused) in cases {
        let good = json!({claim: sha256_base64url(token)});
        assert_eq!(with(&agent, its, &good), "ok");
        assert_eq!(with(&agent, its, &json!({})), refused, "missing");
        assert_eq!(with(&agent, &bare, &good), refused, "without a token");
        assert_ne!(with(&agent, other, &good), "ok", "for the other token");
        let padded = format!("{}=", sha256_base64url(token));
        for bad in ["", token, &sha256_base64url("x"), &padded] {
            assert_eq!(with(&agent, its, &json!({claim: bad})), refused, "{bad}");
        }
        assert_eq!(with(&agent, its, &json!({claim: null})), "wpt.claim");
        assert_eq!(with(&agent, &bare, &json!({claim: null})), "wpt.claim");
    }
}

/// WPT-06, WPT-09: in draft-ietf-wimse-wpt-02 `ath` is an unknown claim and ignored. A binding with
/// an access token can neither be signed nor verified.
#[test]
fn draft_02_knows_no_access_token() {
    let agent = agent();
    let plain = Binding::to(AUDIENCE);
    for ath in [json!(sha256_base64url("a")), json!(7), json!(null)] {
        let proof = agent.proof(&json!({"ath": ath}));
        let rules = of(Revisions::DRAFT_02);
        let verified = aims_wimse_wpt::verify(&proof, &agent.wit, &plain, &rules, at(NOW));
        assert_eq!(code(verified), "ok", "{ath}");
    }
    let token = plain.clone().access_token("a");
    let hashed = json!({"ath": sha256_base64url("a")});
    for claims in [&json!({}), &hashed] {
        assert_eq!(with(&agent, &token, claims), "wpt.access_token");
    }
    let minute = Duration::from_secs(60);
    assert_eq!(prepare(&token, minute, SYSTEM), "wpt.access_token");
    assert_eq!(prepare(&draft01().access_token("a"), minute, SYSTEM), "ok");
}

/// WPT-13: a receiver accepts its configured revisions, by default -02 only.
#[test]
fn revisions_are_configured() {
    let agent = agent();
    let proof = agent.proof(&json!({}));
    for (rules, draft02, draft01) in [
        (WptRules::default(), "ok", "wpt.revision"),
        (of(Revisions::DRAFT_02), "ok", "wpt.revision"),
        (of(Revisions::DRAFT_01), "wpt.revision", "ok"),
        (of(Revisions::BOTH), "ok", "ok"),
    ] {
        for (revision, expected) in [(Revision::Draft02, draft02), (Revision::Draft01, draft01)] {
            let binding = Binding::to(AUDIENCE).revision(revision);
            let verified = aims_wimse_wpt::verify(&proof, &agent.wit, &binding, &rules, at(NOW));
            assert_eq!(code(verified), expected, "{rules:?} {revision:?}");
        }
        assert!(rules.revisions().accepts(rules.revisions().newest()));
    }
    for revision in [Revision::Draft01, Revision::Draft02] {
        assert_eq!(Revisions::from(revision).newest(), revision);
    }
    assert_eq!(Revisions::BOTH.newest(), Revision::default());
}

/// A proof of -01 whose access token was removed is not accepted as a proof of -02.
#[test]
fn a_proof_of_01_does_not_lose_its_token() {
    let agent = agent();
    let binding = Binding::to(AUDIENCE);
    let proof = agent.proof(&json!({"ath": sha256_base64url("a")}));
    for (rules, expected) in [
        (of(Revisions::DRAFT_02), "ok"),
        (of(Revisions::BOTH), "wpt.ath"),
    ] {
        let verified = aims_wimse_wpt::verify(&proof, &agent.wit, &binding, &rules, at(NOW));
        assert_eq!(code(verified), expected, "{rules:?}");
    }
}

fn of(revisions: Revisions) -> WptRules {
    WptRules::default().with_revisions(revisions)
}

/// WPT-06: with both tokens, each hash is for its own token.
#[test]
fn token_hashes_are_not_swapped() {
    let agent = agent();
    let both = draft01().access_token("a").txn_token("t");
    let (ath, tth) = (sha256_base64url("a"), sha256_base64url("t"));
    assert_eq!(with(&agent, &both, &json!({"ath": ath, "tth": tth})), "ok");
    assert_eq!(
        with(&agent, &both, &json!({"ath": tth, "tth": ath})),
        "wpt.ath"
    );
    assert_eq!(with(&agent, &both, &json!({"ath": ath})), "wpt.tth");
}

/// WPT-07, T-033: `oth` covers exactly the required fields.
#[test]
fn other_fields_are_checked() {
    let agent = agent();
    let hash = |value: &str| base64url::encode(&sha256(value.as_bytes()));
    let one = Binding::to(AUDIENCE).header("content-digest", b" \tsha-256=:YQ==:\t ");
    let two = one.clone().header("x-tenant", b"7");
    let (digest, tenant) = (hash("sha-256=:YQ==:"), hash("7"));
    let (none, bare) = (json!({}), Binding::to(AUDIENCE));
    let just = json!({"oth": {"content-digest": digest}});
    let both = json!({"oth": {"x-tenant": tenant, "content-digest": digest}});
    for (binding, claims, expected) in [
        (&one, &just, "ok"),
        (&two, &both, "ok"),
        (&one, &none, "wpt.oth"),
        (&bare, &just, "wpt.oth"),
        (&two, &just, "wpt.oth"),
        (&one, &both, "wpt.oth"),
        (&bare, &json!({"oth": {}}), "ok"),
        (&one, &json!({"oth": {}}), "wpt.oth"),
        (&one, &json!({"oth": {"content-digest": tenant}}), "wpt.oth"),
        (&one, &json!({"oth": {"content-digest": ""}}), "wpt.oth"),
        (&one, &json!({"oth": {"Content-Digest": digest}}), "wpt.oth"),
        (&one, &json!({"oth": {"x-unknown": digest}}), "wpt.oth"),
        (&one, &json!({"oth": {"content-digest": null}}), "wpt.claim"),
        (&one, &json!({"oth": [digest]}), "wpt.claim"),
        (&bare, &json!({"oth": null}), "wpt.claim"),
    ] {
        assert_eq!(with(&agent, binding, claims), expected, "{claims}");
    }
    let inner = hash("a\tb");
    let kept = Binding::to(AUDIENCE).header("x", b"a\tb");
    assert_eq!(with(&agent, &kept, &json!({"oth": {"x": inner}})), "ok");
    let repeated = Binding::to(AUDIENCE).header("x", b"7").header("x", b"7");
    let once = json!({"oth": {"x": tenant}});
    assert_eq!(
        with(&agent, &repeated, &once),
        "wpt.oth",
        "a repeated field"
    );
}

/// WPT-07: a repeated field in `oth`.
#[test]
fn a_field_twice_in_oth_is_refused() {
    let agent = agent();
    let hash = base64url::encode(&sha256(b"7"));
    let claims = agent.claims().to_string();
    let twice = format!(r#"{{"oth":{{"x":"{hash}","x":"{hash}"}},"#);
    let payload = claims.replacen('{', &twice, 1);
    let proof = sign_raw(r#"{"alg":"ES256","typ":"wpt+jwt"}"#, &payload, &agent.key);
    let binding = Binding::to(AUDIENCE).header("x", b"7");
    assert_eq!(code(agent.verify(&proof, &binding)), "jws.duplicate_member");
}

fn prepare(binding: &Binding<'_>, lifetime: Duration, random: &dyn SecureRandom) -> &'static str {
    let algorithm = Algorithm::Es256;
    code(binding.prepare("a.b.c", algorithm, lifetime, random, at(NOW)))
}

/// WPT-03, WPT-07: a sender cannot make a proof that no receiver accepts.
#[test]
fn bad_proofs_are_not_made() {
    let minute = Duration::from_secs(60);
    let good = Binding::to(AUDIENCE);
    assert_eq!(prepare(&good, minute, SYSTEM), "ok");
    for seconds in [0, 301, u64::MAX] {
        let lifetime = Duration::from_secs(seconds);
        assert_eq!(prepare(&good, lifetime, SYSTEM), "wpt.prepare", "{seconds}");
    }
    let under = Duration::from_millis(999);
    assert_eq!(prepare(&good, under, SYSTEM), "wpt.prepare");
    assert_eq!(prepare(&good, Duration::from_secs(300), SYSTEM), "ok");
    for bad in [
        Binding::to(""),
        Binding::to("a").or_to("b"),
        good.clone().header("X-Tenant", b""),
        good.clone().header("", b""),
        good.clone().header("x y", b""),
        good.clone().header("x:", b""),
        good.clone().header("x", b"1").header("x", b"1"),
    ] {
        assert_eq!(prepare(&bad, minute, SYSTEM), "wpt.prepare", "{bad:?}");
    }
}

#[derive(Debug)]
struct Broken;

impl SecureRandom for Broken {
    fn fill(&self, _buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
        Err(aims_jose::Error::Random)
    }
}

/// WPT-04, T-037a: `jti` has 22 random characters, and no proof is made without the random source.
#[test]
fn ids_are_drawn() {
    let good = Binding::to(AUDIENCE);
    let minute = Duration::from_secs(60);
    assert_eq!(prepare(&good, minute, &Broken), "random.unavailable");
    let agent = Agent::new(AGENT, Algorithm::Es256);
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        let made = good.prepare(&agent.text, Algorithm::Es256, minute, SYSTEM, at(NOW));
        let made = made.unwrap();
        let (_, payload) = std::str::from_utf8(made.as_bytes())
            .unwrap()
            .split_once('.')
            .unwrap();
        let claims: Value = serde_json::from_slice(&base64url::decode(payload).unwrap()).unwrap();
        let id = claims.get("jti").and_then(Value::as_str).unwrap();
        assert_eq!((id.len(), claims.get("iss")), (22, None));
        assert_eq!(claims.get("iat"), Some(&json!(NOW)));
        assert!(seen.insert(id.to_owned()), "twice");
    }
    let other = good.prepare(&agent.text, Algorithm::Es384, minute, SYSTEM, at(NOW));
    let signed = other.and_then(|input| input.sign(&agent.key).map_err(Error::Wpt));
    assert_eq!(code(signed), "wpt.algorithm", "another key's");
}
