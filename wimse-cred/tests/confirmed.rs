//! The confirmed key, with the cause of each refusal, and the profile of WIT-SVIDs.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::error::Error as _;

use aims_jose::alg::Algorithm;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use aims_wimse_cred::{Bundle, Error, TrustStore, Wit, WitRules};
use common::{AGENT, NOW, at, bare, claims, code, document, key, origin, sign, trust};
use serde_json::{Value, json};

/// A code, and the code of its cause from `jose`.
type Why = (&'static str, Option<&'static str>);

fn why(error: &Error) -> Why {
    let cause = error
        .source()
        .and_then(<dyn std::error::Error>::downcast_ref);
    (error.code(), cause.map(aims_jose::Error::code))
}

/// Returns the result of verifying a valid WIT with another `cnf`.
fn with_cnf(cnf: &Value, provider: &'static dyn Provider, rules: &WitRules) -> Why {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let mut claims = claims(&agent);
    claims["cnf"] = cnf.clone();
    let document = document(&[&ca], "wit-svid", 1);
    let of = origin("spiffe://example.org");
    let store = TrustStore::of([Bundle::parse(&of, document.as_bytes(), provider).unwrap()]);
    let text = sign("wit+jwt", &ca, &claims);
    Wit::verify(&text, &store.snapshot(), rules, at(NOW))
        .map_or_else(|error| why(&error), |_| ("ok", None))
}

fn jwk(algorithm: Algorithm) -> Value {
    serde_json::from_str(&bare(&key(algorithm, "a"))).unwrap()
}

/// WIT-02, T-019: each defect of `cnf.jwk` is refused with its cause, with both providers.
#[test]
fn a_confirmed_key_is_refused_for_its_fault() {
    let good = jwk(Algorithm::Es256);
    let with = |member: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[member] = value;
        json!({"jwk": jwk})
    };
    let mut without_alg = good.clone();
    without_alg.as_object_mut().unwrap().remove("alg");
    for provider in [AWS_LC, RUSTCRYPTO] {
        let provider: &'static dyn Provider = provider;
        let why = |cnf: &Value| with_cnf(cnf, provider, &WitRules::wit());
        assert_eq!(why(&json!({"jwk": good})), ("ok", None));
        for (cnf, cause) in [
            (json!({"jwk": without_alg}), None),
            (with("alg", json!("HS256")), Some("jwk.alg")),
            (with("alg", json!("none")), Some("jwk.alg")),
            (with("alg", json!("ES384")), Some("jwk.alg")),
            (with("alg", Value::Null), Some("jwk.json")),
            (with("d", good["x"].clone()), Some("jwk.private")),
            (with("d", Value::Null), Some("jwk.private")),
            (with("k", json!("AAAA")), Some("jwk.private")),
            (with("x", good["y"].clone()), Some("jwk.point")),
            (with("x", json!("AAAA")), Some("jwk.member")),
            (with("kty", json!("oct")), Some("jwk.kty")),
            (with("crv", json!("secp256k1")), Some("jwk.crv")),
            (with("use", json!("enc")), Some("jwk.use")),
            (with("use", json!("wit-svid")), Some("jwk.use")),
            (with("key_ops", json!(["sign"])), Some("jwk.key_ops")),
            (json!({"jwk": "text"}), Some("jwk.json")),
            (json!({"jwk": [good]}), Some("jwk.json")),
        ] {
            assert_eq!(why(&cnf), ("wit.confirmation", cause), "{cnf}");
        }
        let long = with("x5t", json!("A".repeat(100)));
        assert_eq!(why(&long), ("ok", None), "unknown members are ignored");
    }
}

/// WIT-02: a key is given once and in one way; a member that is `null` counts as present.
#[test]
fn nothing_stands_beside_the_key() {
    let good = jwk(Algorithm::Es256);
    for beside in ["jwe", "jku"] {
        for value in [json!("https://a"), json!({}), Value::Null] {
            let cnf = json!({"jwk": good, beside: value});
            let why = with_cnf(&cnf, AWS_LC, &WitRules::wit());
            assert_eq!(why, ("wit.confirmation", None), "{cnf}");
        }
    }
    for none in [json!({}), json!({"jwk": null}), json!({"kid": "a"})] {
        let why = with_cnf(&none, AWS_LC, &WitRules::wit());
        assert_eq!(why, ("wit.confirmation", None), "{none}");
    }
    let array = json!([good, Value::Null, Value::Null]);
    for bad in [json!("a"), json!(1), json!([]), json!([good]), array] {
        let why = with_cnf(&bad, AWS_LC, &WitRules::wit());
        assert_eq!(
            why,
            ("wit.confirmation", Some("jws.not_an_object")),
            "{bad}"
        );
    }
}

/// WIT-05: a key that the provider does not support is refused, not skipped.
#[test]
fn an_unsupported_key_is_refused() {
    let cnf = json!({"jwk": jwk(Algorithm::Es512)});
    assert_eq!(with_cnf(&cnf, AWS_LC, &WitRules::wit()), ("ok", None));
    assert_eq!(
        with_cnf(&cnf, RUSTCRYPTO, &WitRules::wit()),
        ("wit.confirmation", Some("key.unsupported"))
    );
}

/// SVD-01: the confirmed key is for RS, PS or ES, and not for Ed25519.
#[test]
fn an_svid_confirms_no_edwards_key() {
    let rules = WitRules::wit_svid();
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        let cnf = json!({"jwk": jwk(algorithm)});
        assert_eq!(with_cnf(&cnf, AWS_LC, &rules), ("ok", None));
    }
    for algorithm in [Algorithm::EdDsa, Algorithm::Ed25519] {
        let cnf = json!({"jwk": jwk(algorithm)});
        let why = with_cnf(&cnf, AWS_LC, &rules);
        assert_eq!(why, ("wit.confirmation", Some("jws.algorithm")));
    }
}

/// SVD-01: a WIT-SVID has no `aud`, with any value; `null` is a value.
#[test]
fn an_svid_has_no_audience() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let trust = trust(&[&ca]).snapshot();
    for aud in [json!("a"), json!(["a"]), json!([]), Value::Null] {
        let mut claims = claims(&agent);
        claims["aud"] = aud;
        let text = sign("wit+jwt", &ca, &claims);
        let verify = |rules: WitRules| code(Wit::verify(&text, &trust, &rules, at(NOW)));
        assert_eq!(verify(WitRules::wit_svid()), "wit.audience_present");
        assert_eq!(verify(WitRules::wit()), "ok", "WIT-08: it is ignored");
    }
}

/// SVD-01: the subject of a WIT-SVID is a SPIFFE ID; that of a WIT may have either scheme.
#[test]
fn an_svid_is_about_a_spiffe_id() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let keys = format!(r#"{{"keys":[{}]}}"#, ca.public_jwk().to_json());
    let of = origin("wimse://example.org");
    let store = TrustStore::of([Bundle::parse(&of, keys.as_bytes(), AWS_LC).unwrap()]);
    let mut claims = claims(&agent);
    claims["sub"] = json!(AGENT.replace("spiffe", "wimse"));
    let text = sign("wit+jwt", &ca, &claims);
    let verify = |rules: WitRules| code(Wit::verify(&text, &store.snapshot(), &rules, at(NOW)));
    assert_eq!(verify(WitRules::wit()), "ok");
    assert_eq!(verify(WitRules::wit_svid()), "cred.subject");
}
