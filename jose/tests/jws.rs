//! Compact JWS through the public API: each negative differs from a valid token in one property.

#![cfg(any(feature = "aws-lc-rs", feature = "rustcrypto"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use aims_jose::digest::sha256;
use aims_jose::jwk::{Jwk, JwkSet, SetRules};
use aims_jose::jws::{MAX_LENGTH, SigningInput, Unverified};
use aims_jose::key::{Signer, SigningKey, VerifyingKey};
use aims_jose::{Algorithm, Error, base64url, provider};
use serde_json::Value;

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, provider::default()).unwrap()
}

/// Returns a token with any header and payload, with a valid signature.
fn forge(key: &SigningKey, header: &str, payload: &str) -> String {
    let signed = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(payload.as_bytes())
    );
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64url::encode(signature.as_ref()))
}

fn code(token: &str, key: &SigningKey) -> &'static str {
    let claims = |token: &str| -> Result<(), Error> {
        let verified = Unverified::parse(token)?.verify(key.verifying_key())?;
        verified.claims::<serde::de::IgnoredAny>().map(drop)
    };
    claims(token).map_or_else(|error| error.code(), |()| "ok")
}

const GOOD: &str = r#"{"alg":"ES256","kid":"1","typ":"wit+jwt"}"#;

#[test]
fn signs_what_it_verifies() {
    let key = key();
    let claims = BTreeMap::from([("sub", "a")]);
    let token = SigningInput::new("wit+jwt", Algorithm::Es256, Some("1"), &claims).unwrap();
    let token = token.sign(&key).unwrap();
    assert_eq!(code(token.expose(), &key), "ok");
    assert!(
        token
            .expose()
            .starts_with(&base64url::encode(GOOD.as_bytes()))
    );
    assert!(!format!("{token:?}").contains(token.expose()));
    let other = SigningInput::new("wit+jwt", Algorithm::EdDsa, None, &claims).unwrap();
    assert_eq!(other.sign(&key).unwrap_err().code(), "jws.algorithm");
    let array = SigningInput::new("wit+jwt", Algorithm::Es256, None, &["sub"]);
    assert_eq!(array.unwrap_err().code(), "jws.serialize");
}

/// A signature is verified by the hash of the token where that was computed before.
#[test]
fn hashes_that_are_known_change_no_verdict() {
    let (key, other) = (key(), key());
    let good = forge(&key, GOOD, "{}");
    let changed = forge(&other, GOOD, r#"{"sub":"a"}"#);
    let (signed, _) = changed.rsplit_once('.').unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();
    let stolen = format!("{signed}.{signature}");
    for (text, key, expected) in [
        (&good, &key, "ok"),
        (&good, &other, "jws.signature"),
        (&changed, &other, "ok"),
        (&stolen, &key, "jws.signature"),
    ] {
        let token = Unverified::parse(text).unwrap();
        let hashes = token.hashes();
        assert_eq!(hashes.signed, token.signed_hash());
        assert_eq!(hashes.text, sha256(text.as_bytes()));
        let verdict = token.verify(key.verifying_key());
        assert_eq!(
            verdict.map_or_else(|error| error.code(), |_| "ok"),
            expected
        );
        assert_eq!(code(text, key), expected);
    }
}

/// A header that was parsed before stands for the same text alone.
#[test]
fn a_known_header_is_the_same_text() {
    let key = key();
    let first = forge(&key, GOOD, "{}");
    let known = Unverified::parse(&first).unwrap().known_header();
    let parse = |text: &str, limit| {
        let token = Unverified::parse_known(text, limit, &known);
        token
            .map(|token| token.is_some())
            .map_err(|error| error.code())
    };
    let second = forge(&key, GOOD, r#"{"sub":"a"}"#);
    assert_eq!(parse(&second, MAX_LENGTH), Ok(true));
    let token = Unverified::parse_known(&second, MAX_LENGTH, &known).unwrap();
    let token = token.unwrap().verify(key.verifying_key()).unwrap();
    assert_eq!(token.payload(), br#"{"sub":"a"}"#);
    assert_eq!(token.header().kid(), Some("1"));
    // The same members in another form are another header.
    let spaced = GOOD.replace(',', ", ");
    for other in [&*spaced, r#"{"alg":"ES256"}"#, "no JSON"] {
        assert_eq!(
            parse(&forge(&key, other, "{}"), MAX_LENGTH),
            Ok(false),
            "{other}"
        );
    }
    assert_eq!(parse(&second, second.len() - 1), Err("jws.too_long"));
    assert_eq!(
        parse(second.rsplit_once('.').unwrap().0, MAX_LENGTH),
        Err("jws.parts")
    );
    // The signature is verified as ever.
    let (signed, _) = second.rsplit_once('.').unwrap();
    let stolen = format!("{signed}.{}", first.rsplit_once('.').unwrap().1);
    let token = Unverified::parse_known(&stolen, MAX_LENGTH, &known).unwrap();
    let refused = token.unwrap().verify(key.verifying_key()).unwrap_err();
    assert_eq!(refused.code(), "jws.signature");
}

#[test]
fn claims_that_are_json_are_checked() {
    let of = |json: &str| {
        let input =
            SigningInput::from_json("wit+jwt", Algorithm::Es256, Some("1"), json.as_bytes());
        input.map_err(|error| error.code())
    };
    let key = key();
    let json = r#"{"sub":"a", "x":{"y":[1]}}"#;
    let token = of(json).unwrap().sign(&key).unwrap();
    let verified = Unverified::parse(token.expose()).unwrap();
    let verified = verified.verify(key.verifying_key()).unwrap();
    assert_eq!(verified.payload(), json.as_bytes());
    let header = token.expose().split('.').next().unwrap();
    assert_eq!(base64url::decode(header).unwrap(), GOOD.as_bytes());
    for (json, expected) in [
        (r#"["sub"]"#, "jws.not_an_object"),
        (r#"{"sub":"a""#, "jws.json"),
        (r#"{"sub":1,"x":{"y":1,"y":2}}"#, "jws.duplicate_member"),
    ] {
        assert_eq!(of(json).unwrap_err(), expected, "{json}");
    }
}

/// T-002, T-008, T-009, T-010, T-011, T-013a, T-028, WIT-01, ATJ-12: each header has one defect.
#[test]
fn each_bad_header_has_its_error() {
    let key = key();
    assert_eq!(code(&forge(&key, GOOD, "{}"), &key), "ok");
    let long_kid = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(257));
    let most_kid = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(256));
    assert_eq!(code(&forge(&key, &most_kid, "{}"), &key), "ok");
    for (header, expected) in [
        (r#"{"typ":"wit+jwt"}"#, "jws.header"),
        (r#"{"alg":null}"#, "jws.header"),
        (r#"{"alg":256}"#, "jws.header"),
        (r#"{"alg":["ES256"]}"#, "jws.header"),
        (r#"{"alg":""}"#, "jws.unknown_algorithm"),
        (r#"{"alg":"none"}"#, "jws.unknown_algorithm"),
        (r#"{"alg":"None"}"#, "jws.unknown_algorithm"),
        (r#"{"alg":"nOnE"}"#, "jws.unknown_algorithm"),
        (r#"{"alg":"ES256 "}"#, "jws.unknown_algorithm"),
        (r#"{"alg":"es256"}"#, "jws.unknown_algorithm"),
        (r#"{"alg":"HS256"}"#, "jws.unknown_algorithm"),
        (r#"{"alg":"HS384"}"#, "jws.unknown_algorithm"),
        (r#"{"alg":"HS512"}"#, "jws.unknown_algorithm"),
        (r#"{"alg":"ES384"}"#, "jws.algorithm"),
        (r#"{"alg":"RS256"}"#, "jws.algorithm"),
        (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, "jws.crit"),
        (r#"{"alg":"ES256","crit":[]}"#, "jws.crit"),
        (r#"{"alg":"ES256","crit":null}"#, "jws.crit"),
        (r#"{"alg":"ES256","crit":["alg"]}"#, "jws.crit"),
        (r#"{"alg":"ES256","b64":false}"#, "jws.crit"),
        (r#"{"alg":"ES256","b64":true}"#, "jws.crit"),
        (r#"{"alg":"ES256","jwk":{}}"#, "jws.key_in_header"),
        (r#"{"alg":"ES256","jwk":null}"#, "jws.key_in_header"),
        (
            r#"{"alg":"ES256","jku":"https://evil.example"}"#,
            "jws.key_in_header",
        ),
        (
            r#"{"alg":"ES256","x5u":"https://evil.example"}"#,
            "jws.key_in_header",
        ),
        (r#"{"alg":"ES256","x5c":[]}"#, "jws.key_in_header"),
        (r#"{"alg":"ES256","zip":"DEF"}"#, "jws.header"),
        (r#"{"alg":"ES256","enc":"A256GCM"}"#, "jws.header"),
        (r#"{"alg":"ES256","alg":"ES256"}"#, "jws.duplicate_member"),
        (
            r#"{"alg":"ES256","\u0061lg":"ES256"}"#,
            "jws.duplicate_member",
        ),
        (
            r#"{"alg":"ES256","x":{"y":1,"y":1}}"#,
            "jws.duplicate_member",
        ),
        (r#"{"alg":"ES256","kid":1}"#, "jws.header"),
        (r#"{"alg":"ES256","kid":null}"#, "jws.header"),
        (r#"{"alg":"ES256","kid":""}"#, "jws.header"),
        (r#"{"alg":"ES256","typ":1}"#, "jws.header"),
        (r#"["ES256","1","wit+jwt"]"#, "jws.not_an_object"),
        (r#""ES256""#, "jws.not_an_object"),
        (r#"{"alg":"ES256""#, "jws.json"),
        (&long_kid, "jws.header"),
    ] {
        assert_eq!(code(&forge(&key, header, "{}"), &key), expected, "{header}");
    }
}

/// T-011, T-028: the payload is checked like the header.
#[test]
fn each_bad_payload_has_its_error() {
    let key = key();
    for (payload, expected) in [
        (r#"{"aud":"a","aud":"b"}"#, "jws.duplicate_member"),
        (r#"{"aud":"a","\u0061ud":"b"}"#, "jws.duplicate_member"),
        (r#"{"x":[{"y":1,"y":2}]}"#, "jws.duplicate_member"),
        (r#"["https://tool",5]"#, "jws.not_an_object"),
        ("{} {}", "jws.json"),
        ("", "jws.parts"),
    ] {
        assert_eq!(
            code(&forge(&key, GOOD, payload), &key),
            expected,
            "{payload}"
        );
    }
}

/// T-012, T-013, T-013a: the shape is checked before decoding.
#[test]
fn each_bad_shape_has_its_error() {
    let key = key();
    let good = forge(&key, GOOD, r#"{"sub":"a"}"#);
    assert_eq!(code(&good, &key), "ok");
    let parts: Vec<_> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("three parts")
    };
    let dots = ".".repeat(MAX_LENGTH);
    for (token, expected) in [
        (String::new(), "jws.parts"),
        (format!("{header}.{payload}"), "jws.parts"),
        (format!("{good}."), "jws.parts"),
        (format!(".{payload}.{signature}"), "jws.parts"),
        (format!("{header}..{signature}"), "jws.parts"),
        (format!("{header}.{payload}."), "jws.parts"),
        (format!("{good}.AA.AA"), "jws.parts"),
        (dots, "jws.parts"),
        (".".repeat(1_000_000), "jws.too_long"),
        ("A".repeat(MAX_LENGTH + 1), "jws.too_long"),
        (format!("{header}=.{payload}.{signature}"), "jws.base64"),
        (format!(" {good}"), "jws.base64"),
        (format!("{header}.{payload}.{signature}=="), "jws.base64"),
        (format!("{header}.{payload}.{signature}\n"), "jws.base64"),
        (
            format!("{header}.{payload}.{}", signature.get(..84).unwrap()),
            "jws.signature",
        ),
        (
            format!("{header}.{payload}.{signature}AAAA"),
            "jws.signature",
        ),
        (format!("{header}.{payload}A.{signature}"), "jws.signature"),
    ] {
        assert_eq!(code(&token, &key), expected, "{token:.80}");
    }
    // The last character of 64 bytes has four bits that must be zero.
    let (most, last) = signature.split_at(85);
    let twin = char::from(last.as_bytes()[0] + 1);
    assert_eq!(
        code(&format!("{header}.{payload}.{most}{twin}"), &key),
        "jws.base64"
    );
}

/// T-021: a signature is checked with the given key only.
#[test]
fn another_key_and_another_text_are_refused() {
    let key = key();
    let other = SigningKey::generate(Algorithm::Es256, provider::default()).unwrap();
    let token = forge(&key, GOOD, r#"{"sub":"a"}"#);
    assert_eq!(code(&token, &other), "jws.signature");
    let forged = token.replacen(
        &base64url::encode(br#"{"sub":"a"}"#),
        &base64url::encode(br#"{"sub":"b"}"#),
        1,
    );
    assert_ne!(forged, token);
    assert_eq!(code(&forged, &key), "jws.signature");
}

/// T-029: both ECDSA signatures verify, and have the same signed hash.
#[test]
fn the_twin_of_a_signature_has_the_same_signed_hash() {
    // n of P-256, SEC 2 §2.4.2.
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let key = key();
    let token = forge(&key, GOOD, "{}");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = base64url::decode(signature).unwrap();
    let mut borrow = 0i16;
    for at in (0..32).rev() {
        let digit = i16::from(N[at]) - i16::from(bytes[32 + at]) - borrow;
        borrow = i16::from(digit < 0);
        bytes[32 + at] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    let twin = format!("{signed}.{}", base64url::encode(&bytes));
    assert_ne!(twin, token);
    let hash = |text| {
        let token = Unverified::parse(text).unwrap();
        let hash = token.signed_hash();
        token.verify(key.verifying_key()).unwrap();
        hash
    };
    assert_eq!(hash(&twin), hash(&token));
}

/// T-014: a token of one kind is not accepted as another kind, in any spelling of `typ`.
#[test]
fn typ_is_compared_as_a_media_type() {
    const KINDS: [&str; 10] = [
        "wit+jwt",
        "wpt+jwt",
        "dpop+jwt",
        "at+jwt",
        "JWT",
        "secevent+jwt",
        "txntoken+jwt",
        "client-authentication+jwt",
        "token-introspection+jwt",
        "logout+jwt",
    ];
    let key = key();
    for written in KINDS {
        for expected in KINDS {
            for typ in [
                written.to_owned(),
                format!("application/{written}"),
                written.to_uppercase(),
            ] {
                let token = forge(&key, &format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#), "{}");
                let unverified = Unverified::parse(&token).unwrap();
                assert_eq!(
                    unverified.header().expect_typ(expected).is_ok(),
                    written == expected,
                    "{typ} as {expected}"
                );
            }
        }
    }
    let untyped = forge(&key, r#"{"alg":"ES256"}"#, "{}");
    let error = Unverified::parse(&untyped)
        .unwrap()
        .header()
        .expect_typ("wit+jwt")
        .unwrap_err();
    assert_eq!(error.code(), "jws.typ");
}

/// T-001: a MAC keyed with the text of a public key does not verify, because there is no MAC.
#[test]
fn no_mac_verifies_under_any_key() {
    let key = key();
    for alg in ["HS256", "HS384", "HS512"] {
        for typ in ["wit+jwt", "JWT"] {
            let header = format!(r#"{{"alg":"{alg}","typ":"{typ}"}}"#);
            assert_eq!(
                code(&forge(&key, &header, "{}"), &key),
                "jws.unknown_algorithm"
            );
        }
    }
    for bad in ["HS256", "HS384", "HS512", "none"] {
        let jwk = format!(r#"{{"kty":"oct","alg":"{bad}","k":"AAAA"}}"#);
        assert!(Jwk::parse(jwk.as_bytes()).is_err());
    }
}

/// The JWTs of RFCs and drafts with published keys verify, and fail with one changed octet. Tokens
/// that contain their key are refused (T-008).
#[test]
fn published_tokens_verify() {
    const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/oauth/vectors.json"
    );
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let keys: Vec<Jwk> = vectors["jwks_seen"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let mut jwk = entry["jwk"].clone();
            jwk.as_object_mut()
                .unwrap()
                .retain(|name, _| !PRIVATE.contains(&name.as_str()));
            jwk.to_string()
        })
        .filter_map(|jwk| Jwk::parse(jwk.as_bytes()).ok())
        .collect();
    let (mut verified, mut refused) = (0, 0);
    for vector in vectors["jwts"].as_array().unwrap() {
        let token = vector["compact"].as_str().unwrap();
        if !vector.to_string().contains("VERIFIED") {
            continue;
        }
        if !vector["header"]["jwk"].is_null() {
            assert_eq!(
                Unverified::parse(token).unwrap_err().code(),
                "jws.key_in_header"
            );
            refused += 1;
            continue;
        }
        // The RSA keys of these texts have no `alg`, so the test sets it.
        let alg = Unverified::parse(token).unwrap().header().alg();
        let key = keys
            .iter()
            .filter_map(|jwk| jwk.clone().with_algorithm(alg).ok())
            .filter_map(|jwk| VerifyingKey::from_jwk(&jwk, provider::default()).ok())
            .find(|key| Unverified::parse(token).unwrap().verify(key).is_ok())
            .unwrap_or_else(|| panic!("none of the keys verifies {}", vector["source"]));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let wrong = format!("{signed}.{other}{}", signature.get(1..).unwrap());
        let error = Unverified::parse(&wrong).unwrap().verify(&key).unwrap_err();
        assert_eq!(error.code(), "jws.signature");
        verified += 1;
    }
    assert_eq!((verified, refused), (14, 3));
}

/// The workload identity token in draft-ietf-wimse-workload-creds, byte for byte, and its proof.
#[test]
fn the_tokens_of_the_wimse_drafts_verify() {
    let read = |name: &str| {
        std::fs::read_to_string(format!(
            "{}/../testdata/wimse/{name}",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap()
    };
    let keys: Value = serde_json::from_str(&read("keys.json")).unwrap();
    let issuer = keys
        .as_object()
        .unwrap()
        .values()
        .find(|key| key["kid"] == "June 5")
        .unwrap();
    let set = JwkSet::parse(
        format!("{{\"keys\":[{issuer}]}}").as_bytes(),
        &SetRules::wimse(),
        provider::default(),
    )
    .unwrap();

    let wit = read("wit.txt");
    let unverified = Unverified::parse(wit.trim()).unwrap();
    unverified.header().expect_typ("wit+jwt").unwrap();
    let key = set
        .select(unverified.header().kid(), unverified.header().alg())
        .unwrap();
    let wit = unverified.verify(key).unwrap();
    let claims: Value = serde_json::from_slice(wit.payload()).unwrap();
    assert_eq!(claims["sub"], "wimse://example.com/specific-workload");

    let jwk = Jwk::parse(claims["cnf"]["jwk"].to_string().as_bytes()).unwrap();
    let key = VerifyingKey::from_jwk(&jwk, provider::default()).unwrap();
    let wpt = read("wpt.txt");
    let unverified = Unverified::parse(wpt.trim()).unwrap();
    unverified.header().expect_typ("wpt+jwt").unwrap();
    let wpt = unverified.verify(&key).unwrap();
    let claims: Value = serde_json::from_slice(wpt.payload()).unwrap();
    assert_eq!(
        claims["wth"],
        aims_jose::digest::sha256_base64url(read("wit.txt").trim())
    );
}
