//! WITs: each negative differs from a valid one in one property.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_jose::alg::Algorithm;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use aims_wimse_cred::{Bundle, TrustStore, Wit, WitRules};
use common::{
    AGENT, NOW, at, bare, claims, code, document, key, origin, sign, sign_raw, trust, verify,
};
use serde_json::{Value, json};

/// WIT-05: with both providers, and every kind of key.
#[test]
fn a_good_wit_verifies() {
    for provider in [AWS_LC, RUSTCRYPTO] {
        for algorithm in [
            Algorithm::Es256,
            Algorithm::Es384,
            Algorithm::Ed25519,
            Algorithm::EdDsa,
        ] {
            let (ca, agent) = (key(Algorithm::Es256, "ca"), key(algorithm, "a"));
            let text = sign("wit+jwt", &ca, &claims(&agent));
            let bundle = document(&[&ca], "wit-svid", 1);
            let bundle =
                Bundle::parse(&origin("spiffe://example.org"), bundle.as_bytes(), provider);
            let trust = TrustStore::of([bundle.unwrap()]).snapshot();
            let wit = Wit::verify(&text, &trust, &WitRules::wit(), at(NOW)).unwrap();
            assert_eq!((wit.id().as_str(), wit.algorithm()), (AGENT, algorithm));
            assert_eq!(wit.key().thumbprint(), agent.verifying_key().thumbprint());
            assert_eq!(
                (wit.expires(), wit.jwt_id(), wit.issuer()),
                (at(NOW + 300), Some("1"), None)
            );
            assert_eq!(wit.hash(), &aims_jose::digest::sha256(text.as_bytes()));
            assert!(!format!("{wit:?}").contains(&text));
        }
    }
}

/// WIT-01: `typ` and `alg`.
#[test]
fn the_header_is_checked() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let (trust, claims) = (trust(&[&ca]), claims(&agent));
    for typ in ["JWT", "wpt+jwt", "at+jwt", "wit"] {
        assert_eq!(verify(&sign(typ, &ca, &claims), &trust), "wit.typ", "{typ}");
    }
    assert_eq!(
        verify(&sign("application/WIT+jwt", &ca, &claims), &trust),
        "ok"
    );
    let payload = claims.to_string();
    for alg in ["none", "HS256", "ES256K", "es256"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"wit+jwt","kid":"ca"}}"#);
        assert_eq!(
            verify(&sign_raw(&header, &payload, &ca), &trust),
            "wit.algorithm",
            "{alg}"
        );
    }
    let header = r#"{"alg":"ES384","typ":"wit+jwt","kid":"ca"}"#;
    assert_eq!(
        verify(&sign_raw(header, &payload, &ca), &trust),
        "wit.algorithm"
    );
    let header = r#"{"alg":"ES256","typ":"wit+jwt","kid":"ca","crit":["x"],"x":1}"#;
    assert_eq!(verify(&sign_raw(header, &payload, &ca), &trust), "jws.crit");
}

/// WIT-04, T-021: the key of the `kid`; without one, the only one that fits.
#[test]
fn the_key_is_the_one_that_is_named() {
    let (ca, other, agent) = (
        key(Algorithm::Es256, "ca"),
        key(Algorithm::Es256, "other"),
        key(Algorithm::Es256, "a"),
    );
    let claims = claims(&agent);
    let named = sign("wit+jwt", &ca, &claims);
    assert_eq!(verify(&named, &trust(&[&other])), "trust.unknown_key");
    assert_eq!(verify(&named, &trust(&[&other, &ca])), "ok");
    let forged = sign("wit+jwt", &key(Algorithm::Es256, "ca"), &claims);
    assert_eq!(verify(&forged, &trust(&[&ca])), "wit.signature");
    let nameless = sign_raw(
        r#"{"alg":"ES256","typ":"wit+jwt"}"#,
        &claims.to_string(),
        &ca,
    );
    assert_eq!(verify(&nameless, &trust(&[&ca])), "ok");
    assert_eq!(
        verify(&nameless, &trust(&[&ca, &other])),
        "trust.ambiguous_key"
    );
}

/// Returns the code for a valid token with one changed claim; `null` removes the claim.
fn with(claim: &str, value: Value) -> &'static str {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let mut claims = claims(&agent);
    claims[claim] = value;
    if claims[claim].is_null() {
        claims.as_object_mut().unwrap().remove(claim);
    }
    verify(&sign("wit+jwt", &ca, &claims), &trust(&[&ca]))
}

/// WIT-02, WIT-03, WIT-08, ID-03, ID-06: each claim.
#[test]
fn each_claim_is_checked() {
    assert_eq!(with("x", json!({"unknown": [1]})), "ok");
    for claim in ["sub", "exp", "cnf"] {
        assert_eq!(with(claim, Value::Null), "wit.claim", "{claim}");
    }
    for sub in [
        "",
        "agent",
        "https://example.org/agent",
        "spiffe://Example.org/agent",
        "spiffe://example.org//agent",
        "spiffe://example.org/a%67ent",
        "spiffe://example.org/agent/",
    ] {
        assert_eq!(with("sub", json!(sub)), "cred.subject", "{sub}");
    }
    assert_eq!(with("sub", json!([AGENT])), "wit.claim");
    assert_eq!(with("exp", json!(NOW - 29)), "wit.claim"); // before `iat`
    assert_eq!(with("iat", json!(NOW + 30)), "ok");
    assert_eq!(with("iat", json!(NOW + 31)), "wit.not_yet_valid");
    assert_eq!(with("nbf", json!(NOW + 31)), "wit.not_yet_valid");
    assert_eq!(with("exp", json!("1800000300")), "wit.claim");
    for claim in ["sub", "exp", "iss", "jti", "iat", "nbf"] {
        let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
        let mut claims = claims(&agent);
        claims[claim] = Value::Null;
        assert_eq!(
            verify(&sign("wit+jwt", &ca, &claims), &trust(&[&ca])),
            "wit.claim",
            "{claim}"
        );
    }
}

/// T-038: the skew counts once.
#[test]
fn it_ends_at_its_time() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let (trust, text) = (trust(&[&ca]), sign("wit+jwt", &ca, &claims(&agent)));
    let verify =
        |now, rules: WitRules| code(Wit::verify(&text, &trust.snapshot(), &rules, at(now)));
    assert_eq!(verify(NOW + 329, WitRules::wit()), "ok");
    assert_eq!(verify(NOW + 330, WitRules::wit()), "wit.expired");
    assert_eq!(
        verify(
            NOW + 300,
            WitRules::wit().with_skew(aims_jose::time::Skew::ZERO)
        ),
        "wit.expired"
    );
    let short = WitRules::wit().with_max_lifetime(std::time::Duration::from_secs(299));
    assert_eq!(verify(NOW, short), "wit.lifetime");
}

/// WIT-02, T-019: `cnf` has one public key with its `alg`, and no other member that names a key.
#[test]
fn the_confirmed_key_is_checked() {
    let agent = key(Algorithm::Es256, "a");
    let jwk: Value = serde_json::from_str(&bare(&agent)).unwrap();
    let cnf = |change: &dyn Fn(&mut Value)| {
        let mut cnf = json!({"jwk": jwk});
        change(&mut cnf);
        with("cnf", cnf)
    };
    assert_eq!(cnf(&|_| {}), "ok");
    assert_eq!(
        cnf(&|cnf| cnf["jwk"]["alg"] = json!("ES384")),
        "wit.confirmation"
    );
    assert_eq!(
        cnf(&|cnf| {
            cnf["jwk"].as_object_mut().unwrap().remove("alg");
        }),
        "wit.confirmation"
    );
    assert_eq!(
        cnf(&|cnf| cnf["jwk"]["d"] = json!("AA")),
        "wit.confirmation"
    );
    assert_eq!(
        cnf(&|cnf| cnf["jwk"]["x"] = cnf["jwk"]["y"].clone()),
        "wit.confirmation"
    );
    assert_eq!(
        cnf(&|cnf| cnf["jwk"]["use"] = json!("enc")),
        "wit.confirmation"
    );
    assert_eq!(
        cnf(&|cnf| cnf["jwk"]["alg"] = json!("HS256")),
        "wit.confirmation"
    );
    assert_eq!(cnf(&|cnf| *cnf = json!({})), "wit.confirmation");
    assert_eq!(cnf(&|cnf| *cnf = json!({"jkt": "a"})), "wit.confirmation");
    assert_eq!(
        cnf(&|cnf| cnf["jku"] = json!("https://a")),
        "wit.confirmation"
    );
    assert_eq!(cnf(&|cnf| cnf["jwe"] = json!("a")), "wit.confirmation");
}

/// WIT-01, T-011: a repeated claim is refused at any depth; a text that is too long is not read.
#[test]
fn the_text_is_read_strictly() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let trust = trust(&[&ca]);
    let header = r#"{"alg":"ES256","typ":"wit+jwt","kid":"ca"}"#;
    let good = claims(&agent).to_string();
    assert_eq!(verify(&sign_raw(header, &good, &ca), &trust), "ok");
    for (from, to) in [
        (r#""sub""#, r#""sub":"spiffe://example.org/admin","sub""#),
        (r#""jti""#, r#""x":{"a":1,"\u0061":2},"jti""#),
        (r#""exp""#, r#""exp":9999999999,"exp""#),
    ] {
        let text = sign_raw(header, &good.replacen(from, to, 1), &ca);
        assert_eq!(verify(&text, &trust), "jws.duplicate_member", "{to}");
    }
    let text = sign("wit+jwt", &ca, &claims(&agent));
    let rules = WitRules::wit().with_max_len(text.len() - 1);
    assert_eq!(
        code(Wit::verify(&text, &trust.snapshot(), &rules, at(NOW))),
        "jws.too_long"
    );
}

/// SVD-01: the additional rules of WIT-SVIDs.
#[test]
fn the_svid_profile_is_narrower() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let trust = trust(&[&ca]);
    let svid = |text: &str| {
        code(Wit::verify(
            text,
            &trust.snapshot(),
            &WitRules::wit_svid(),
            at(NOW),
        ))
    };
    let good = claims(&agent);
    assert_eq!(svid(&sign("wit+jwt", &ca, &good)), "ok");
    let mut with_audience = good.clone();
    with_audience["aud"] = json!("a");
    let text = sign("wit+jwt", &ca, &with_audience);
    assert_eq!(
        (svid(&text), verify(&text, &trust)),
        ("wit.audience_present", "ok")
    );
    let text = sign_raw(r#"{"alg":"ES256","typ":"wit+jwt"}"#, &good.to_string(), &ca);
    assert_eq!((svid(&text), verify(&text, &trust)), ("wit.kid", "ok"));
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Ed25519, "a")));
    assert_eq!(
        (svid(&text), verify(&text, &trust)),
        ("wit.confirmation", "ok")
    );
    let edwards = key(Algorithm::Ed25519, "ca");
    assert_eq!(svid(&sign("wit+jwt", &edwards, &good)), "wit.algorithm");
}

/// SVD-01: `iat` of a WIT-SVID does not limit its earliest validity, `nbf` does. Both limit other
/// WITs.
#[test]
fn an_iat_in_the_future_refuses_no_svid() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let trust = trust(&[&ca]);
    let codes = |claim: &str, time: u64| {
        let mut claims = claims(&agent);
        claims[claim] = json!(time);
        let text = sign("wit+jwt", &ca, &claims);
        let rules = WitRules::wit_svid();
        let svid = Wit::verify(&text, &trust.snapshot(), &rules, at(NOW));
        (code(svid), verify(&text, &trust))
    };
    assert_eq!(codes("iat", NOW + 31), ("ok", "wit.not_yet_valid"));
    assert_eq!(codes("iat", NOW + 86_400).0, "ok");
    assert_eq!(codes("nbf", NOW + 30), ("ok", "ok"));
    let refused = "wit.not_yet_valid";
    assert_eq!(codes("nbf", NOW + 31), (refused, refused));
}

/// WIT-04, WIT-05: the example of the draft, with the key in the draft.
#[test]
fn the_published_wit_verifies() {
    let text = include_str!("../../testdata/wimse/wit.txt").trim();
    let keys: Value = serde_json::from_str(include_str!("../../testdata/wimse/keys.json")).unwrap();
    let issuer = keys
        .as_object()
        .unwrap()
        .iter()
        .find(|(name, _)| name.starts_with("issuer"));
    let mut issuer = issuer.unwrap().1.clone();
    issuer["alg"] = json!("ES256");
    let document = json!({"keys": [issuer]}).to_string();
    for provider in [AWS_LC, RUSTCRYPTO] {
        let provider: &'static dyn Provider = provider;
        let bundle = Bundle::parse(
            &origin("wimse://example.com"),
            document.as_bytes(),
            provider,
        );
        let trust = TrustStore::of([bundle.unwrap()]).snapshot();
        let wit = Wit::verify(text, &trust, &WitRules::wit(), at(1_745_509_000)).unwrap();
        assert_eq!(wit.id().as_str(), "wimse://example.com/specific-workload");
        assert_eq!(
            code(Wit::verify(
                text,
                &trust,
                &WitRules::wit(),
                at(1_800_000_000)
            )),
            "wit.expired"
        );
    }
}
