//! WITs that are forged or malformed: signatures, headers, spellings, and `null` members.

mod common;

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use aims_wimse_cred::{Bundle, TrustStore, Wit, WitRules};
use common::{AGENT, NOW, at, bare, claims, document, key, origin, sign, sign_raw, trust, verify};
use serde_json::json;

const HEADER: &str = r#"{"alg":"ES256","typ":"wit+jwt","kid":"ca"}"#;

/// WIT-01, WIT-05: one changed bit of header, payload or signature is refused, with both providers.
#[test]
fn a_changed_token_is_refused() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let document = document(&[&ca], "wit-svid", 1);
    let text = sign("wit+jwt", &ca, &claims(&agent));
    let parts: Vec<_> = text.split('.').collect();
    for provider in [AWS_LC, RUSTCRYPTO] {
        let provider: &'static dyn Provider = provider;
        let bundle = Bundle::parse(
            &origin("spiffe://example.org"),
            document.as_bytes(),
            provider,
        );
        let store = TrustStore::of([bundle.unwrap()]);
        assert_eq!(verify(&text, &store), "ok");
        for at in [0, 31, 32, 63] {
            let mut signature = base64url::decode(parts[2]).unwrap();
            signature[at] ^= 1;
            let signature = base64url::encode(&signature);
            let text = format!("{}.{}.{signature}", parts[0], parts[1]);
            assert_eq!(verify(&text, &store), "wit.signature", "byte {at}");
        }
        let admin = claims(&agent).to_string().replace("/agent", "/admin");
        let admin = base64url::encode(admin.as_bytes());
        let text = format!("{}.{admin}.{}", parts[0], parts[2]);
        assert_eq!(verify(&text, &store), "wit.signature");
        let header = base64url::encode(br#"{"alg":"ES256","kid":"ca","typ":"WIT+JWT"}"#);
        let text = format!("{header}.{}.{}", parts[1], parts[2]);
        assert_eq!(verify(&text, &store), "wit.signature");
    }
    let cut = base64url::decode(parts[2]).unwrap();
    let cut = base64url::encode(cut.split_last().unwrap().1);
    let text = format!("{}.{}.{cut}", parts[0], parts[1]);
    assert_eq!(verify(&text, &trust(&[&ca])), "wit.signature");
}

/// WIT-01: a compact JWS has one spelling.
#[test]
fn the_text_has_one_form() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let (store, text) = (trust(&[&ca]), sign("wit+jwt", &ca, &claims(&agent)));
    let (signed, _) = text.rsplit_once('.').unwrap();
    for (text, expected) in [
        (String::new(), "jws.parts"),
        (format!("{signed}."), "jws.parts"),
        (signed.to_owned(), "jws.parts"),
        (format!("{text}.AA"), "jws.parts"),
        (format!("{text}="), "jws.base64"),
        (format!("{text} "), "jws.base64"),
        (format!("Bearer {text}"), "jws.base64"),
    ] {
        assert_eq!(verify(&text, &store), expected, "{text}");
    }
}

/// T-008: a token must not contain its own key, even with a valid signature; `null` counts as
/// present.
#[test]
fn the_header_brings_no_key() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let (store, payload) = (trust(&[&ca]), claims(&agent).to_string());
    for member in ["jwk", "jku", "x5u", "x5c"] {
        for value in [bare(&ca), "\"https://a\"".to_owned(), "null".to_owned()] {
            let header = HEADER.replacen('{', &format!(r#"{{"{member}":{value},"#), 1);
            let text = sign_raw(&header, &payload, &ca);
            assert_eq!(verify(&text, &store), "jws.key_in_header", "{header}");
        }
    }
    let twice = HEADER.replacen('{', r#"{"\u0061lg":"ES384","#, 1);
    let text = sign_raw(&twice, &payload, &ca);
    assert_eq!(verify(&text, &store), "jws.duplicate_member");
}

/// WIT-02, T-011: `sub` occurs once, in any spelling of its name, before and after the signature
/// check.
#[test]
fn sub_has_one_spelling() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let (store, good) = (trust(&[&ca]), claims(&agent).to_string());
    for twice in [
        good.replacen('{', r#"{"\u0073ub":"spiffe://example.org/admin","#, 1),
        good.replacen('{', &format!(r#"{{"s\u0075b":"{AGENT}","#), 1),
        good.replacen(r#""kty""#, r#""kt\u0079":"OKP","kty""#, 1),
    ] {
        let text = sign_raw(HEADER, &twice, &ca);
        assert_eq!(verify(&text, &store), "jws.duplicate_member", "{twice}");
    }
    // A value with an escape is one value.
    let escaped = good.replacen(AGENT, r"spiffe://example.org/\u0061gent", 1);
    let text = sign_raw(HEADER, &escaped, &ca);
    let wit = Wit::verify(&text, &store.snapshot(), &WitRules::wit(), at(NOW));
    assert_eq!(wit.unwrap().id().as_str(), AGENT);
    // The signed payload as a whole must be an object.
    for (payload, expected) in [
        ("[]", "jws.not_an_object"),
        ("1", "jws.not_an_object"),
        ("null", "jws.not_an_object"),
        ("{", "jws.json"),
        ("", "jws.parts"),
        ("{}", "wit.claim"),
        (r#"{"x":1,"x":2}"#, "jws.duplicate_member"),
    ] {
        let text = sign_raw(HEADER, payload, &ca);
        assert_eq!(verify(&text, &store), expected, "{payload}");
    }
}

/// WIT-01: a text that is too long is refused unread; the limit is 8 KiB.
#[test]
fn length_comes_first() {
    let store = TrustStore::new();
    assert_eq!(verify(&"!".repeat(8 * 1024), &store), "jws.parts");
    assert_eq!(verify(&"!".repeat(8 * 1024 + 1), &store), "jws.too_long");
}

/// WIT-03: `iss` selects no key, and is returned as written.
#[test]
fn iss_selects_no_key() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let mut claims = claims(&agent);
    claims["iss"] = json!("spiffe://other.example");
    let text = sign("wit+jwt", &ca, &claims);
    let rules = WitRules::wit();
    let wit = Wit::verify(&text, &trust(&[&ca]).snapshot(), &rules, at(NOW)).unwrap();
    assert_eq!(wit.issuer(), Some("spiffe://other.example"));
    claims["sub"] = json!("spiffe://other.example/agent");
    claims["iss"] = json!("spiffe://example.org");
    let text = sign("wit+jwt", &ca, &claims);
    assert_eq!(verify(&text, &trust(&[&ca])), "trust.unknown_origin");
}

/// WIT-04: without `kid`, a key for another algorithm causes no ambiguity.
#[test]
fn without_kid_the_algorithm_narrows() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let nameless = r#"{"alg":"ES256","typ":"wit+jwt"}"#;
    let text = sign_raw(nameless, &claims(&agent).to_string(), &ca);
    let store = trust(&[&key(Algorithm::Es384, "other"), &ca]);
    assert_eq!(verify(&text, &store), "ok");
    let store = trust(&[&key(Algorithm::Es384, "other")]);
    assert_eq!(verify(&text, &store), "trust.unknown_key");
}
