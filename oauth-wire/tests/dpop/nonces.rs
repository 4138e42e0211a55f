//! Nonces of a server (RFC 9449 §8).

use aims_jose::Algorithm;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::SYSTEM;
use aims_jose::time::at;
use aims_oauth_wire::dpop::{DPOP_NONCE, DpopProof, DpopRules, Error, Nonce, NonceIssuer};
use http::HeaderMap;
use http::HeaderValue;
use serde_json::json;

use super::{NOW, binding, code, key, signed, verify, with};

const SECRET: &[u8; 32] = &[7; 32];
const TOOL: &str = "https://tool.example/mcp";

pub(crate) fn nonces() -> NonceIssuer {
    NonceIssuer::new(TOOL, SECRET)
}

/// Returns the code for a proof with this nonce, by a server that requires one.
fn nonced(key: &SigningKey, nonce: Option<&Nonce>, now: u64) -> Result<DpopProof, Error> {
    let (jwk, algorithm) = (key.public_jwk(), key.algorithm());
    let made = binding().prepare_with(nonce, jwk, algorithm, SYSTEM, at(now));
    let made = made.unwrap().sign(key).unwrap();
    let rules = DpopRules::new().requiring_nonces(nonces());
    verify(made.expose(), &binding(), &rules, now)
}

#[test]
fn a_demanded_nonce_is_one_of_this_server_for_this_key() {
    let (key, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let holder = key.public_jwk().thumbprint();
    let good = nonces().issue(&holder, at(NOW));
    assert_eq!(code(nonced(&key, Some(&good), NOW)), "ok");
    assert_eq!(code(nonced(&key, None, NOW)), "dpop.nonce");
    assert_eq!(code(nonced(&other, Some(&good), NOW)), "dpop.nonce");
    for foreign in [
        NonceIssuer::new("https://other.example", SECRET),
        NonceIssuer::new(TOOL, &[8; 32]),
        NonceIssuer::generate(TOOL, SYSTEM).unwrap(),
    ] {
        let nonce = foreign.issue(&holder, at(NOW));
        assert_eq!(code(nonced(&key, Some(&nonce), NOW)), "dpop.nonce");
    }
    for text in [
        "a",
        &good.as_str().replace('A', "B"),
        &format!("{}A", good.as_str()),
    ] {
        let nonce = Nonce::parse(text).unwrap();
        assert_eq!(
            code(nonced(&key, Some(&nonce), NOW)),
            "dpop.nonce",
            "{text}"
        );
    }
    // A second server with the same name and secret recognizes the nonce.
    let shared = NonceIssuer::new(TOOL, SECRET).issue(&holder, at(NOW));
    assert_eq!(code(nonced(&key, Some(&shared), NOW)), "ok");
}

/// A nonce is valid for 5 minutes, and is replaced in the second half of them.
#[test]
fn a_nonce_ends_and_is_replaced_before() {
    let key = key(Algorithm::Es256);
    let holder = key.public_jwk().thumbprint();
    let nonce = nonces().issue(&holder, at(NOW));
    let fresh = nonced(&key, Some(&nonce), NOW + 150).unwrap();
    assert_eq!(fresh.next_nonce(), None);
    let old = nonced(&key, Some(&nonce), NOW + 151).unwrap();
    assert_eq!(
        old.next_nonce(),
        Some(&nonces().issue(&holder, at(NOW + 151)))
    );
    assert_eq!(code(nonced(&key, Some(&nonce), NOW + 300)), "ok");
    let ended = nonced(&key, Some(&nonce), NOW + 301).unwrap_err();
    assert_eq!(
        (ended.code(), ended.answer()),
        ("dpop.nonce", Some("use_dpop_nonce"))
    );
    let future = nonces().issue(&holder, at(NOW + 31));
    assert_eq!(code(nonced(&key, Some(&future), NOW)), "dpop.nonce");
}

#[test]
fn a_nonce_of_a_response_is_read() {
    let found = |values: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(DPOP_NONCE, HeaderValue::from_bytes(value).unwrap());
        }
        let found = Nonce::from_headers(&headers).map_err(|error| error.code());
        found.map(|nonce| nonce.map(|it| it.to_header_value()))
    };
    assert_eq!(found(&[]), Ok(None));
    let most = "~".repeat(1024);
    for text in ["eyJ7S_zG.eyJH0-Z.HX4w-7v", "!", &most] {
        let value = HeaderValue::from_str(text).unwrap();
        assert_eq!(found(&[text.as_bytes()]), Ok(Some(value)));
    }
    let long = "a".repeat(1025);
    for text in ["", "a b", "a\"", "a\\b", "\u{e9}", &long] {
        assert_eq!(
            found(&[text.as_bytes()]),
            Err("dpop.nonce_syntax"),
            "{text}"
        );
    }
    assert_eq!(found(&[b"a", b"a"]), Err("dpop.field_repeated"));
}

/// A nonce that the verifier knows is the one of the proof.
#[test]
fn a_known_nonce_is_compared() {
    let key = key(Algorithm::Es256);
    for (claims, expected) in [
        (json!({"nonce": "n1"}), "ok"),
        (json!({"nonce": "n2"}), "dpop.nonce"),
        (json!({}), "dpop.nonce"),
    ] {
        let text = signed(&key, &with(&claims));
        let binding = binding().nonce("n1");
        let verdict = verify(&text, &binding, &DpopRules::new(), NOW);
        assert_eq!(code(verdict), expected, "{claims}");
    }
}
