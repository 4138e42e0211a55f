//! Parses JWKs, without a provider.
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly, as tests do"
)]

use aims_jose::jwk::{Jwk, MAX_JWK_LEN, Thumbprint};
use aims_jose::{Algorithm, Error};
use proptest::prelude::*;
use serde_json::{Value, json};

const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const OKP_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// RFC 7638 §3.1
const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

fn ec() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y})
}

fn okp() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": OKP_X})
}

fn rsa() -> Value {
    json!({"kty": "RSA", "n": N, "e": "AQAB"})
}

fn parse(jwk: &Value) -> Result<Jwk, &'static str> {
    parse_text(&jwk.to_string())
}

fn parse_text(jwk: &str) -> Result<Jwk, &'static str> {
    Jwk::parse(jwk.as_bytes()).map_err(|error| error.code())
}

fn with(mut jwk: Value, member: &str, value: impl Into<Value>) -> Value {
    jwk[member] = value.into();
    jwk
}

fn without(mut jwk: Value, member: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(member);
    jwk
}

/// RFC 7638 §3.1 and RFC 8037 A.3; optional members change nothing.
#[test]
fn thumbprints_of_the_standards() {
    for (jwk, expected) in [
        (rsa(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (okp(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ] {
        let plain = parse(&jwk).unwrap();
        assert_eq!(plain.thumbprint().to_string(), expected);
        let more = with(with(with(jwk, "kid", "2011-04-29"), "use", "sig"), "nbf", 1);
        assert_eq!(parse(&more).unwrap().thumbprint(), plain.thumbprint());
        assert_eq!(expected.parse::<Thumbprint>().unwrap(), plain.thumbprint());
    }
}

#[test]
fn thumbprints_are_read_strictly() {
    let good = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    let padded = format!("{good}=");
    for bad in [
        "",
        &good[1..],
        &padded,
        "NzbLsXh8uDCcd+6MNwXF4W/7noWXFZAfHkxZsRGC9Xs",
        // Trailing bits.
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt",
    ] {
        assert_eq!(
            bad.parse::<Thumbprint>().unwrap_err().code(),
            "jwk.thumbprint",
            "{bad}"
        );
    }
    let json = serde_json::to_string(&good.parse::<Thumbprint>().unwrap()).unwrap();
    assert_eq!(json, format!("\"{good}\""));
    assert_eq!(
        serde_json::from_str::<Thumbprint>(&json)
            .unwrap()
            .to_string(),
        good
    );
    assert!(serde_json::from_str::<Thumbprint>("\"a\"").is_err());
}

#[test]
fn good_keys_come_back() {
    for jwk in [ec(), okp(), rsa()] {
        let jwk = with(
            with(with(jwk, "kid", "k \" é"), "use", "sig"),
            "key_ops",
            json!(["verify"]),
        );
        let key = parse(&jwk).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&key.to_json()).unwrap(), jwk);
        assert_eq!(serde_json::to_value(&key).unwrap(), jwk);
        assert_eq!(key.to_string(), key.to_json());
        assert_eq!(parse_text(&key.to_json()).unwrap(), key);
        assert_eq!(key.key_type(), jwk["kty"].as_str().unwrap());
        assert_eq!(key.key_id(), Some("k \" é"));
        assert_eq!(key.key_use(), Some("sig"));
        assert_eq!(key.key_ops().unwrap(), ["verify"]);
        assert_eq!(key.algorithm(), None);
    }
}

/// Unknown members are ignored, whatever their values.
#[test]
fn unknown_members_are_ignored() {
    let jwk = with(
        with(okp(), "x5c", json!([1, {"d": "in here it is not ours"}])),
        "exp",
        1,
    );
    assert_eq!(parse(&jwk), parse(&okp()));
}

/// T-019
#[test]
fn t019_private_members_are_refused_without_their_value() {
    for jwk in [ec(), okp(), rsa()] {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            for value in [
                json!("marked-secret"),
                json!(null),
                json!(["marked-secret"]),
            ] {
                let jwk = with(jwk.clone(), member, value);
                let error = Jwk::parse(jwk.to_string().as_bytes()).unwrap_err();
                assert_eq!(error.code(), "jwk.private", "{member}");
                assert!(!format!("{error:?} {error}").contains("marked-secret"));
            }
        }
    }
}

/// T-001: a symmetric key is refused, whatever its members, and no MAC is an algorithm.
#[test]
fn t001_symmetric_keys_and_macs_do_not_exist() {
    assert_eq!(
        parse(&json!({"kty": "oct", "k": "AAAA"})).unwrap_err(),
        "jwk.private"
    );
    assert_eq!(parse(&json!({"kty": "oct"})).unwrap_err(), "jwk.kty");
    for jwk in [ec(), okp(), rsa()] {
        for alg in [
            "HS256", "HS384", "HS512", "none", "None", "A128KW", "dir", "RSA-OAEP",
        ] {
            assert_eq!(
                parse(&with(jwk.clone(), "alg", alg)).unwrap_err(),
                "jwk.alg",
                "{alg}"
            );
            assert_eq!(Algorithm::from_name(alg), None);
        }
    }
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        for other in [
            algorithm.name().to_lowercase(),
            format!("{algorithm} "),
            format!(" {algorithm}"),
            format!("{algorithm}\0"),
        ] {
            assert_eq!(Algorithm::from_name(&other), None, "{other}");
        }
        let name = serde_json::to_string(&algorithm).unwrap();
        assert_eq!(serde_json::from_str::<Algorithm>(&name).unwrap(), algorithm);
    }
    for bad in ["\"HS256\"", "null", "1", "[]"] {
        assert!(serde_json::from_str::<Algorithm>(bad).is_err());
    }
}

/// T-018, ATJ-12: `alg` must fit kind and curve of the key.
#[test]
fn t018_alg_fits_kind_and_curve() {
    for (jwk, fitting) in [
        (ec(), &["ES256"][..]),
        (okp(), &["EdDSA", "Ed25519"]),
        (
            rsa(),
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        ),
    ] {
        for algorithm in Algorithm::ALL {
            let jwk = with(jwk.clone(), "alg", algorithm.name());
            let expected = if fitting.contains(&algorithm.name()) {
                Ok(Some(algorithm))
            } else {
                Err("jwk.alg")
            };
            assert_eq!(
                parse(&jwk).map(|key| key.algorithm()),
                expected,
                "{algorithm}"
            );
            let key = parse(&without(jwk, "alg")).unwrap();
            assert_eq!(key.with_algorithm(algorithm).is_ok(), expected.is_ok());
        }
    }
}

/// T-018
#[test]
fn t018_members_have_their_exact_form() {
    let short = aims_jose::base64url::encode(&[7; 31]);
    let long = aims_jose::base64url::encode(&[7; 33]);
    let compressed = aims_jose::base64url::encode(&[&[2_u8][..], &[7; 32]].concat());
    let not_canonical = X.replace("VEU", "VEV");
    for bad in [
        &short,
        &long,
        &compressed,
        "",
        "a",
        &format!("{X}="),
        &X.replace('3', "+"),
        &format!("{X} "),
        &not_canonical,
    ] {
        assert_eq!(
            parse(&with(ec(), "x", bad)).unwrap_err(),
            "jwk.member",
            "{bad}"
        );
        assert_eq!(
            parse(&with(ec(), "y", bad)).unwrap_err(),
            "jwk.member",
            "{bad}"
        );
        assert_eq!(
            parse(&with(okp(), "x", bad)).unwrap_err(),
            "jwk.member",
            "{bad}"
        );
    }
    for (jwk, member, expected) in [
        (ec(), "kty", "jwk.kty"),
        (ec(), "crv", "jwk.crv"),
        (ec(), "x", "jwk.member"),
        (ec(), "y", "jwk.member"),
        (okp(), "crv", "jwk.crv"),
        (okp(), "x", "jwk.member"),
        (rsa(), "n", "jwk.member"),
        (rsa(), "e", "jwk.member"),
    ] {
        assert_eq!(parse(&without(jwk.clone(), member)).unwrap_err(), expected);
        for wrong in [
            json!(null),
            json!(1),
            json!(["a"]),
            json!({"a": 1}),
            json!(true),
        ] {
            assert_eq!(
                parse(&with(jwk.clone(), member, wrong)).unwrap_err(),
                "jwk.json"
            );
        }
    }
    for crv in [
        "P-224",
        "secp256k1",
        "p-256",
        "P-256 ",
        "Ed25519",
        "P-384",
        "",
    ] {
        let found = parse(&with(ec(), "crv", crv)).unwrap_err();
        assert_eq!(
            found,
            if crv == "P-384" {
                "jwk.member"
            } else {
                "jwk.crv"
            },
            "{crv}"
        );
    }
    for crv in ["X25519", "Ed448", "ed25519", "P-256"] {
        assert_eq!(
            parse(&with(okp(), "crv", crv)).unwrap_err(),
            "jwk.crv",
            "{crv}"
        );
    }
    for kty in ["ec", "EC ", "AKP", "oct", ""] {
        assert_eq!(
            parse(&with(ec(), "kty", kty)).unwrap_err(),
            "jwk.kty",
            "{kty}"
        );
    }
}

/// T-018: an OKP key has no `y`, and no kind of key has members of another kind.
#[test]
fn t018_members_of_another_kind_are_out_of_place() {
    for (jwk, members) in [
        (okp(), &["y", "n", "e"][..]),
        (ec(), &["n", "e"]),
        (rsa(), &["crv", "x", "y"]),
    ] {
        for member in members {
            let found = parse(&with(jwk.clone(), member, Y)).unwrap_err();
            assert_eq!(found, "jwk.member", "{member}");
        }
    }
}

/// T-009
#[test]
fn t009_a_kid_has_1_to_256_bytes() {
    for (kid, expected) in [
        (json!("a".repeat(256)), Ok(())),
        (json!("é".repeat(128)), Ok(())),
        (json!("a".repeat(257)), Err("jwk.kid")),
        (json!("é".repeat(129)), Err("jwk.kid")),
        (json!(""), Err("jwk.kid")),
        (json!(1), Err("jwk.json")),
        (json!(null), Err("jwk.json")),
        (json!(["a"]), Err("jwk.json")),
    ] {
        assert_eq!(parse(&with(ec(), "kid", kid)).map(drop), expected);
    }
    let huge = with(ec(), "kid", "a".repeat(1024 * 1024));
    assert_eq!(parse(&huge).unwrap_err(), "jwk.too_long");
}

#[test]
fn use_and_key_ops_are_consistent() {
    for (key_use, key_ops, expected) in [
        (json!("sig"), json!(["verify"]), Ok(())),
        (json!("sig"), json!(["sign", "verify"]), Ok(())),
        (
            json!("sig"),
            json!(["verify", "verify"]),
            Err("jwk.key_ops"),
        ),
        (
            json!("sig"),
            json!(["verify", "encrypt"]),
            Err("jwk.key_ops"),
        ),
        (json!("enc"), json!(["verify"]), Err("jwk.key_ops")),
        (json!("enc"), json!(["encrypt"]), Ok(())),
        (json!("sig"), json!("verify"), Err("jwk.json")),
        (json!("sig"), json!([1]), Err("jwk.json")),
        (json!("sig"), json!(null), Err("jwk.json")),
        (json!(null), json!([]), Err("jwk.json")),
        (json!(""), json!([]), Err("jwk.use")),
        (json!("u".repeat(65)), json!([]), Err("jwk.use")),
    ] {
        let jwk = with(with(ec(), "use", key_use), "key_ops", key_ops);
        assert_eq!(parse(&jwk).map(drop), expected, "{jwk}");
    }
    let many: Vec<_> = (0..17).map(|number| number.to_string()).collect();
    assert_eq!(
        parse(&with(ec(), "key_ops", many)).unwrap_err(),
        "jwk.key_ops"
    );
}

/// T-028
#[test]
fn t028_what_is_not_an_object_is_no_key() {
    let array = r#"["EC","P-256","f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"]"#;
    for bad in [array, "", "null", "\"EC\"", "{", "{}x", "[{}]"] {
        assert_eq!(parse_text(bad).unwrap_err(), "jwk.json", "{bad}");
    }
    assert_eq!(parse_text("{}").unwrap_err(), "jwk.kty");
}

/// T-011: a repeated member is refused at every depth, also if it is spelled with escapes.
#[test]
fn duplicate_members_are_refused() {
    let text = okp().to_string();
    let body = text.strip_suffix('}').unwrap();
    for twice in [
        r#","kty":"OKP""#,
        r#","\u006bty":"OKP""#,
        r#","a":1,"a":1"#,
        r#","a":{"b":[{"c":1,"c":2}]}"#,
    ] {
        let found = parse_text(&format!("{body}{twice}}}")).unwrap_err();
        assert_eq!(found, "jws.duplicate_member", "{twice}");
    }
}

#[test]
fn long_keys_are_refused() {
    let text = okp().to_string();
    let fill = |len: usize| format!("{text}{}", " ".repeat(len - text.len()));
    assert!(parse_text(&fill(MAX_JWK_LEN)).is_ok());
    assert_eq!(
        parse_text(&fill(MAX_JWK_LEN + 1)).unwrap_err(),
        "jwk.too_long"
    );
}

/// T-023
#[test]
fn t023_debug_is_short_and_tame() {
    let key = parse(&with(ec(), "kid", "\u{1b}[31m\nforged")).unwrap();
    let shown = format!("{key:?}");
    assert!(!shown.contains('\u{1b}') && !shown.contains('\n') && !shown.contains(X));
}

#[test]
fn keys_made_of_parts_are_checked_alike() {
    use aims_jose::provider::{Curve, PublicKey};
    for (key, expected) in [
        (
            PublicKey::Ec {
                curve: Curve::P256,
                point: vec![4; 65].into(),
            },
            None,
        ),
        (
            PublicKey::Ec {
                curve: Curve::P256,
                point: vec![4; 64].into(),
            },
            Some("jwk.member"),
        ),
        (
            PublicKey::Ec {
                curve: Curve::P256,
                point: vec![2; 65].into(),
            },
            Some("jwk.member"),
        ),
        (
            PublicKey::Ec {
                curve: Curve::P384,
                point: vec![4; 65].into(),
            },
            Some("jwk.member"),
        ),
        (
            PublicKey::Ed25519 { point: [0; 32] },
            Some("jwk.weak_point"),
        ),
        (
            PublicKey::Rsa {
                n: vec![1; 64].into(),
                e: vec![3].into(),
            },
            Some("jwk.rsa_modulus"),
        ),
        (
            PublicKey::Rsa {
                n: vec![255; 256].into(),
                e: vec![1].into(),
            },
            Some("jwk.rsa_exponent"),
        ),
    ] {
        let found = Jwk::from_public_key(key).map_err(|error: Error| error.code());
        assert_eq!(found.err(), expected);
    }
}

proptest! {
    /// T-026: any bytes give a result without a panic.
    #[test]
    fn t026_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Jwk::parse(&bytes).is_err());
    }

    /// A parsed key is written, and parses to the same key.
    #[test]
    fn what_is_read_comes_back(kid in "\\PC{1,60}", x in any::<[u8; 32]>(), y in any::<[u8; 32]>()) {
        let (x, y) = (aims_jose::base64url::encode(&x), aims_jose::base64url::encode(&y));
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid});
        let key = parse(&jwk).unwrap();
        prop_assert_eq!(parse_text(&key.to_json()).unwrap(), key);
    }
}
