//! Keys and key sets as servers publish them: accepted spellings, where they are refused, and tests
//! that an attacker gains nothing.

#![cfg(feature = "aws-lc-rs")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use aims_jose::base64url::{decode, encode};
use aims_jose::jwk::{Jwk, JwkSet, MAX_SET_LEN, SetRules};
use aims_jose::key::{Signer as _, SigningKey, VerifyingKey};
use aims_jose::provider::{AWS_LC, PublicKey};
use aims_jose::{Algorithm, AlgorithmSet, Error};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The example of RFC 7638 §3.1.
const RSA: &str = concat!(
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK",
    "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic",
    "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3",
    "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
);
const RSA_THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

fn rsa() -> Value {
    json!({"kty": "RSA", "n": RSA, "e": "AQAB", "kid": "1"})
}

fn with(key: &Value, members: &Value) -> Value {
    let mut key = key.clone();
    for (name, value) in members.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

fn published(key: &Value) -> Result<Jwk, &'static str> {
    Jwk::parse_published(key.to_string().as_bytes()).map_err(|error| error.code())
}

fn exact(key: &Value) -> Result<Jwk, &'static str> {
    Jwk::parse(key.to_string().as_bytes()).map_err(|error| error.code())
}

fn set(keys: &Value, rules: &SetRules) -> Result<JwkSet, &'static str> {
    let document = json!({"keys": keys}).to_string();
    JwkSet::parse(document.as_bytes(), rules, AWS_LC).map_err(|error| error.code())
}

fn reasons(set: &JwkSet) -> Vec<&'static str> {
    let skipped = set.skipped().iter();
    skipped.map(|entry| entry.reason.code()).collect()
}

fn select(set: &JwkSet, kid: Option<&str>, algorithm: Algorithm) -> &'static str {
    set.select(kid, algorithm)
        .map_or_else(|error| error.code(), |_key| "ok")
}

/// Returns the public key of a new key, without `alg`.
fn public(algorithm: Algorithm) -> Value {
    let key = SigningKey::generate(algorithm, AWS_LC).unwrap();
    let key = Jwk::from_public_key(key.public_jwk().public_key().clone());
    serde_json::from_str(&key.unwrap().to_json()).unwrap()
}

/// White space and a byte order mark are accepted around a document and around a key.
#[test]
fn the_frame_of_a_document_is_accepted() {
    let document = json!({"keys": [rsa()]}).to_string();
    for (before, after) in [(" \r\n\t", ""), ("\u{feff}", ""), ("\u{feff}\n", "\n\n")] {
        let framed = format!("{before}{document}{after}");
        for rules in [SetRules::oauth(), SetRules::client()] {
            let set = JwkSet::parse(framed.as_bytes(), &rules, AWS_LC).unwrap();
            assert_eq!(set.keys().len(), 1, "{framed:?}");
        }
        let key = format!("{before}{}{after}", rsa());
        assert!(Jwk::parse_published(key.as_bytes()).is_ok(), "{key:?}");
    }
    for bad in ["x{", "\u{feff}\u{feff}{", "[{", "{}{"] {
        let framed = document.replacen('{', bad, 1);
        let refused = JwkSet::parse(framed.as_bytes(), &SetRules::oauth(), AWS_LC);
        assert_eq!(refused.unwrap_err().code(), "jwks.json", "{bad}");
    }
    let marked = format!("\u{feff}{}", rsa());
    assert_eq!(
        Jwk::parse(marked.as_bytes()).unwrap_err().code(),
        "jwk.json"
    );
}

/// Serializers write `null`, or an empty string, for absent members.
#[test]
fn null_and_empty_members_are_absent() {
    let plain = published(&json!({"kty": "RSA", "n": RSA, "e": "AQAB"})).unwrap();
    for member in [
        "alg", "kid", "use", "crv", "x", "y", "d", "p", "q", "dp", "dq", "qi", "k",
    ] {
        for value in [json!(null), json!("")] {
            let key = with(&rsa(), &json!({"kid": null, member: value}));
            assert_eq!(published(&key).as_ref(), Ok(&plain), "{key}");
            assert!(exact(&key).is_err(), "{key}");
        }
    }
    for value in [json!(null), json!(""), json!([]), json!({}), json!([[]])] {
        let key = with(&rsa(), &json!({"oth": value}));
        assert_eq!(published(&key).is_ok(), value != json!([[]]), "{key}");
        assert_eq!(exact(&key), Err("jwk.private"), "{key}");
    }
    assert!(published(&with(&rsa(), &json!({"key_ops": null}))).is_ok());
    // A required member is absent.
    for member in ["n", "e"] {
        for value in [json!(null), json!("")] {
            let key = with(&rsa(), &json!({member: value}));
            assert_eq!(published(&key), Err("jwk.member"), "{key}");
        }
    }
    assert_eq!(
        published(&with(&rsa(), &json!({"kty": null}))),
        Err("jwk.kty")
    );
    // An empty list of operations allows none; it does not count as absent.
    let none = set(
        &json!([with(&rsa(), &json!({"key_ops": []}))]),
        &SetRules::oauth(),
    );
    assert_eq!(reasons(&none.unwrap()), ["jwk.key_ops"]);
}

/// A private member with any value is refused, in any spelling of the rest.
#[test]
fn a_private_value_is_refused() {
    let nulls = json!({"d": null, "p": null, "q": "", "dp": "", "dq": null, "qi": null});
    let nulls = with(&with(&rsa(), &nulls), &json!({"n": format!("AAAA{RSA}")}));
    assert!(published(&nulls).is_ok());
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for value in [
            json!("AQAB"),
            json!(" "),
            json!(0),
            json!(false),
            json!([0]),
            json!({"a": 1}),
        ] {
            let key = with(&nulls, &json!({member: value}));
            assert_eq!(published(&key), Err("jwk.private"), "{key}");
            let set = set(&json!([key]), &SetRules::oauth()).unwrap();
            assert_eq!(reasons(&set), ["jwk.private"]);
        }
    }
    // A second member with the same name does not hide it.
    let twice = rsa()
        .to_string()
        .replacen('{', r#"{"d":"AQAB","d":null,"#, 1);
    let refused = Jwk::parse_published(twice.as_bytes()).unwrap_err();
    assert_eq!(refused.code(), "jws.duplicate_member");
}

/// Zero bytes before an RSA number change neither the key nor its thumbprint, and hide no size.
#[test]
fn rsa_numbers_may_have_leading_zeros() {
    let plain = exact(&rsa()).unwrap();
    assert_eq!(plain.thumbprint().to_string(), RSA_THUMBPRINT);
    let zeros =
        |count: usize, number: &str| encode(&[vec![0; count], decode(number).unwrap()].concat());
    for (n, e) in [(1, 0), (0, 1), (3, 2), (256, 0), (1, 64)] {
        let key = with(&rsa(), &json!({"n": zeros(n, RSA), "e": zeros(e, "AQAB")}));
        assert_eq!(published(&key).as_ref(), Ok(&plain), "{n} {e}");
        assert_eq!(published(&key).unwrap().to_json(), plain.to_json());
        assert!(exact(&key).is_err(), "{n} {e}");
    }
    let mut short = decode(RSA).unwrap();
    short[0] = 0x7f;
    let mut even = decode(RSA).unwrap();
    *even.last_mut().unwrap() &= 0xfe;
    let long = [vec![1], vec![0; 511], vec![1]].concat();
    for bad in [short, even, long, vec![0; 256], vec![0], vec![]] {
        let key = with(
            &rsa(),
            &json!({"n": encode(&[vec![0], bad.clone()].concat())}),
        );
        assert_eq!(published(&key), Err("jwk.rsa_modulus"), "{bad:?}");
    }
    for bad in [vec![], vec![1], vec![2], vec![2, 0, 0, 0, 1], vec![0; 4]] {
        let key = with(
            &rsa(),
            &json!({"e": encode(&[vec![0], bad.clone()].concat())}),
        );
        assert_eq!(published(&key), Err("jwk.rsa_exponent"), "{bad:?}");
    }
    let many = with(&rsa(), &json!({"n": zeros(16 * 1024, RSA)}));
    assert_eq!(published(&many), Err("jwk.too_long"));
}

/// A coordinate may lack leading zeros, is never longer than the field, and belongs to a point.
#[test]
fn coordinates_may_lack_leading_zeros() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        for member in ["x", "y"] {
            let (key, coordinate) = loop {
                let key = public(algorithm);
                let coordinate = decode(key[member].as_str().unwrap()).unwrap();
                if coordinate[0] == 0 {
                    break (key, coordinate);
                }
            };
            let plain = exact(&key).unwrap();
            let least = coordinate.iter().position(|byte| *byte != 0).unwrap();
            for from in 1..=least {
                let short = with(&key, &json!({member: encode(&coordinate[from..])}));
                let read = published(&short).unwrap();
                assert_eq!(read, plain);
                assert_eq!(read.thumbprint(), plain.thumbprint());
                assert!(read.check_point(AWS_LC).is_ok());
                assert_eq!(exact(&short), Err("jwk.member"));
            }
            let long = [&[0], coordinate.as_slice()].concat();
            let long = with(&key, &json!({member: encode(&long)}));
            assert_eq!(published(&long), Err("jwk.member"));
            // With one byte less it is another number, which is not a point.
            let cut = with(
                &key,
                &json!({member: encode(&coordinate[..coordinate.len() - 1])}),
            );
            let cut_ = published(&cut).unwrap();
            assert_eq!(cut_.check_point(AWS_LC).unwrap_err().code(), "jwk.point");
            let set = set(&json!([cut]), &SetRules::oauth()).unwrap();
            assert_eq!(reasons(&set), ["jwk.point"]);
        }
    }
    // Ed25519 keys are bytes, not numbers.
    let key = public(Algorithm::Ed25519);
    let x = decode(key["x"].as_str().unwrap()).unwrap();
    for other in [&x[1..], &[&[0], x.as_slice()].concat()] {
        let key = with(&key, &json!({"x": encode(other)}));
        assert_eq!(published(&key), Err("jwk.member"));
    }
}

/// Keys of clients and of HTTP signatures are parsed exactly.
#[test]
fn exact_rules_tolerate_no_spelling() {
    let zero = format!("AAAA{RSA}");
    for (members, reason) in [
        (json!({"d": null}), "jwk.private"),
        (json!({"use": null}), "jwk.json"),
        (json!({"use": ""}), "jwk.use"),
        (json!({"n": zero}), "jwk.rsa_modulus"),
        (json!({"e": "AAEAAQ"}), "jwk.rsa_exponent"),
    ] {
        let key = json!([with(&with(&rsa(), &json!({"alg": "RS256"})), &members)]);
        for rules in [SetRules::oauth(), SetRules::wimse()] {
            let of = |rules| set(&key, &rules).unwrap();
            assert!(of(rules.clone()).skipped().is_empty(), "{key}");
            assert_eq!(reasons(&of(rules.exact())), [reason], "{key}");
        }
        assert_eq!(reasons(&set(&key, &SetRules::client()).unwrap()), [reason]);
    }
    let rs256 = set(&json!([rsa()]), &SetRules::client()).unwrap();
    assert_eq!(rs256.keys()[0].algorithms(), Algorithm::Rs256.into());
    let twice = set(&json!([rsa(), rsa()]), &SetRules::client()).unwrap();
    assert_eq!(select(&twice, Some("1"), Algorithm::Rs256), "key.ambiguous");
}

/// The same key under the same `kid` counts once, if the entries do not conflict.
#[test]
fn the_same_key_twice_counts_once() {
    let (rs256, ps256) = (Algorithm::Rs256, Algorithm::Ps256);
    let two = |one: Value, other: Value| {
        let keys = json!([with(&rsa(), &one), with(&rsa(), &other)]);
        set(&keys, &SetRules::oauth()).unwrap()
    };
    for (one, other) in [
        (json!({}), json!({})),
        (json!({"alg": "RS256"}), json!({"alg": "RS256"})),
        (json!({"use": "sig"}), json!({"alg": "RS256"})),
        (
            json!({"alg": "RS256"}),
            json!({"use": "sig", "key_ops": ["verify"]}),
        ),
        (json!({"kid": null}), json!({"kid": ""})),
        (json!({"alg": "RS256"}), json!({"n": format!("AAAA{RSA}")})),
        (
            json!({"key_ops": ["verify"]}),
            json!({"key_ops": ["sign", "verify"]}),
        ),
        (json!({"x5t": "a"}), json!({"x5c": ["b"]})),
    ] {
        let set = two(one, other);
        assert_eq!((set.keys().len(), reasons(&set)), (1, vec![]));
        assert_eq!(select(&set, set.keys()[0].key_id(), rs256), "ok");
        assert_eq!(select(&set, None, rs256), "ok");
    }
    // The more restrictive entry applies.
    for set in [
        two(json!({}), json!({"alg": "PS256"})),
        two(json!({"alg": "PS256"}), json!({})),
    ] {
        assert_eq!(set.keys()[0].algorithms(), ps256.into());
        assert_eq!(select(&set, Some("1"), ps256), "ok");
        assert_eq!(select(&set, Some("1"), rs256), "jws.algorithm");
    }
    // Entries that conflict stay apart.
    let set = two(json!({"alg": "RS256"}), json!({"alg": "PS256"}));
    assert_eq!(set.keys().len(), 2);
    assert_eq!(select(&set, Some("1"), ps256), "ok");
    assert_eq!(select(&set, Some("1"), rs256), "ok");
    assert_eq!(select(&set, Some("1"), Algorithm::Rs512), "jws.algorithm");
    let set = two(json!({"use": "enc"}), json!({"use": "sig"}));
    assert_eq!(
        (select(&set, Some("1"), rs256), reasons(&set)),
        ("ok", vec!["jwk.use"])
    );
    let set = two(
        json!({"key_ops": ["verify"]}),
        json!({"key_ops": ["encrypt"]}),
    );
    assert_eq!(
        (select(&set, Some("1"), rs256), reasons(&set)),
        ("ok", vec!["jwk.key_ops"])
    );
    // Another `kid`, or another key under that `kid`, is a separate entry.
    let set = two(json!({}), json!({"kid": "2"}));
    assert_eq!(select(&set, None, rs256), "key.ambiguous");
    let one = SigningKey::generate(Algorithm::Es256, AWS_LC)
        .unwrap()
        .with_key_id("1");
    let other = SigningKey::generate(Algorithm::Es256, AWS_LC)
        .unwrap()
        .with_key_id("1");
    let keys = json!([one.public_jwk(), other.public_jwk()]);
    let both = self::set(&keys, &SetRules::oauth()).unwrap();
    assert_eq!(select(&both, Some("1"), Algorithm::Es256), "key.ambiguous");
    let signing = |key: &SigningKey| key.public_jwk().clone().with_use("sig");
    let keys = json!([signing(&one), signing(&other)]);
    for rules in [SetRules::wimse(), SetRules::spiffe("sig")] {
        assert_eq!(self::set(&keys, &rules).unwrap_err(), "jwks.duplicate_kid");
        let twice = json!([signing(&one), signing(&one)]);
        assert_eq!(self::set(&twice, &rules).unwrap().keys().len(), 1);
        let algs = json!([
            with(&rsa(), &json!({"use": "sig", "alg": "RS256"})),
            with(&rsa(), &json!({"use": "sig", "alg": "PS256"})),
        ]);
        assert_eq!(self::set(&algs, &rules).unwrap_err(), "jwks.duplicate_kid");
    }
}

/// An RSA key without `alg` verifies with each RSA algorithm of JOSE, unless the rules restrict it.
#[test]
fn an_rsa_key_without_alg_is_for_six_algorithms() {
    let keys = SigningKey::generate(Algorithm::Rs512, AWS_LC).unwrap();
    let bare = Jwk::from_public_key(keys.public_jwk().public_key().clone()).unwrap();
    for key_use in [None, Some("sig")] {
        let key = key_use.map_or_else(|| bare.clone(), |it| bare.clone().with_use(it));
        let set = set(&json!([key]), &SetRules::oauth()).unwrap();
        assert_eq!(set.keys()[0].algorithms(), AlgorithmSet::RSA);
        let signature = keys.sign(b"message").unwrap();
        let verify = |algorithm| {
            let key: Result<&VerifyingKey, Error> = set.select(None, algorithm);
            key.and_then(|key| key.verify(algorithm, b"message", signature.as_ref()))
                .map_or_else(|error| error.code(), |()| "ok")
        };
        assert_eq!(verify(Algorithm::Rs512), "ok");
        assert_eq!(verify(Algorithm::Ps512), "jws.signature");
        assert_eq!(verify(Algorithm::Rs256), "jws.signature");
        assert_eq!(verify(Algorithm::Es256), "key.unknown");
    }
    let enc = set(&json!([bare.clone().with_use("enc")]), &SetRules::oauth()).unwrap();
    assert_eq!(reasons(&enc), ["jwk.use"]);
    let narrow = SetRules::oauth().with_rsa_algorithms(Algorithm::Ps256.into());
    let narrow = set(&json!([bare]), &narrow).unwrap();
    assert_eq!(narrow.keys()[0].algorithms(), Algorithm::Ps256.into());
    // The rules do not extend the `alg` of a key.
    let said = set(
        &json!([with(&rsa(), &json!({"alg": "RS384"}))]),
        &SetRules::oauth(),
    )
    .unwrap();
    assert_eq!(select(&said, None, Algorithm::Rs256), "key.unknown");
    for (algorithm, reason) in [
        ("RS1", "jwk.alg"),
        ("RSA-OAEP", "jwk.alg"),
        ("HS256", "jwk.alg"),
    ] {
        let key = with(&rsa(), &json!({"alg": algorithm}));
        assert_eq!(
            reasons(&set(&json!([key]), &SetRules::oauth()).unwrap()),
            [reason]
        );
    }
}

/// `null` is the empty set, which trusts no token. A missing member is an error.
#[test]
fn keys_may_be_null_and_not_missing() {
    let parse = |text: &str| {
        JwkSet::parse(text.as_bytes(), &SetRules::oauth(), AWS_LC).map_or_else(
            |error| error.code(),
            |set| if set.is_empty() { "empty" } else { "keys" },
        )
    };
    assert_eq!(parse(r#"{"keys":null}"#), "empty");
    assert_eq!(parse(r#"{"keys":[]}"#), "empty");
    for bad in [
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":""}"#,
        r#"{"keys":0}"#,
        r#"{"Keys":null}"#,
    ] {
        assert_eq!(parse(bad), "jwks.json", "{bad}");
    }
    assert_eq!(parse(r#"{"keys":null,"keys":[]}"#), "jws.duplicate_member");
}

/// The number of entries has a configurable limit, and the document a limit in bytes.
#[test]
fn a_set_may_have_a_thousand_entries() {
    let keys: Vec<Value> = (0..1_001)
        .map(|at| json!({"kty": "oct", "kid": at.to_string()}))
        .collect();
    let count = |count: usize, rules: &SetRules| {
        set(&json!(&keys[..count]), rules).map(|set| set.skipped().len())
    };
    let rules = SetRules::oauth();
    assert_eq!(count(101, &rules), Ok(101));
    assert_eq!(count(1_000, &rules), Ok(1_000));
    assert_eq!(count(1_001, &rules), Err("jwks.too_large"));
    assert_eq!(count(1_001, &rules.clone().with_max_keys(1_001)), Ok(1_001));
    assert_eq!(
        count(11, &rules.clone().with_max_keys(10)),
        Err("jwks.too_large")
    );
    let long = json!({"keys": [], "x": "x".repeat(MAX_SET_LEN)}).to_string();
    let long = JwkSet::parse(long.as_bytes(), &rules.with_max_keys(usize::MAX), AWS_LC);
    assert_eq!(long.unwrap_err().code(), "jwks.too_large");
}

/// The reasons are listed: grouped, limited, and without quotes from the set.
#[test]
fn the_reasons_of_skipped_entries_are_told() {
    let told = |keys: Value| {
        set(&keys, &SetRules::oauth())
            .unwrap()
            .skipped_keys()
            .to_string()
    };
    assert_eq!(told(json!([rsa()])), "");
    let secret = "planted-secret";
    let bad = json!([
        {"kty": secret, "kid": secret},
        rsa(),
        with(&rsa(), &json!({"d": secret})),
        {"kty": secret},
        with(&rsa(), &json!({"n": "AQAB"})),
    ]);
    let text = told(bad);
    assert_eq!(
        text,
        " (entries 0, 3 are skipped: `kty` is not a supported key type; \
         entry 2 is skipped: a private member in a public key; \
         entry 4 is skipped: the RSA modulus must be odd, of 2048 to 4096 bits, and not of a weak \
         generator)"
    );
    assert!(!text.contains(secret));
    let many = told(json!(vec![json!({"kty": "oct"}); 500]));
    assert!(
        many.contains("entries 0, 1, 2, 3, 4, 5, 6, 7 and 492 more are skipped: "),
        "{many}"
    );
    assert!(many.len() < 200);
}

proptest! {
    /// A key that the exact parser accepts is the same for the tolerant parser. A key of the
    /// tolerant parser is written so that the exact parser accepts it.
    #[test]
    fn both_readers_agree(
        zeros in 0_usize..3, alg in prop::sample::select(vec!["", ",\"alg\":\"RS256\"", ",\"alg\":null", ",\"alg\":\"\""]),
        private in prop::sample::select(vec!["", ",\"d\":null", ",\"d\":\"\"", ",\"d\":\"AA\"", ",\"oth\":[]"]),
        before in "[ \\u{feff}]{0,2}",
    ) {
        let n = encode(&[vec![0; zeros], decode(RSA).unwrap()].concat());
        let text = format!("{before}{{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"{n}\"{alg}{private}}}");
        let (strict, loose) = (Jwk::parse(text.as_bytes()), Jwk::parse_published(text.as_bytes()));
        if let Ok(key) = &loose {
            prop_assert_eq!(&Jwk::parse(key.to_json().as_bytes()).unwrap(), key);
            prop_assert_eq!(key.thumbprint().to_string(), RSA_THUMBPRINT);
            let is_rsa = matches!(key.public_key(), PublicKey::Rsa { .. });
            prop_assert!(is_rsa);
        }
        if let Ok(key) = strict {
            prop_assert_eq!(loose.unwrap(), key);
        } else if private.ends_with("AA\"") {
            prop_assert!(loose.is_err());
        }
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Jwk::parse_published(&bytes);
        for rules in [SetRules::oauth(), SetRules::wimse(), SetRules::client()] {
            let _ = JwkSet::parse(&bytes, &rules, AWS_LC);
        }
    }
}
