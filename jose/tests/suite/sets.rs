//! Key sets: rules, selection, limits.

use std::sync::atomic::{AtomicUsize, Ordering};

use aims_jose::jwk::{Jwk, JwkSet, MAX_SET_KEYS, PublicJwkSet, SetRules};
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::{PreparedKey, PrivateKey, Provider, PublicKey};
use aims_jose::{Algorithm, AlgorithmSet, Error};
use serde_json::{Value, json};

use super::{generate, provider};

fn parse(set: &Value, rules: &SetRules) -> Result<JwkSet, &'static str> {
    JwkSet::parse(set.to_string().as_bytes(), rules, provider()).map_err(|error| error.code())
}

fn select<'a>(
    set: &'a JwkSet,
    key_id: Option<&str>,
    algorithm: Algorithm,
) -> Result<&'a aims_jose::key::VerifyingKey, &'static str> {
    set.select(key_id, algorithm).map_err(|error| error.code())
}

/// Returns a public key with `alg` and these members; `null` removes a member.
fn entry(algorithm: Algorithm, members: Value) -> Value {
    let mut jwk: Value = serde_json::from_str(&generate(algorithm).public_jwk().to_json()).unwrap();
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            jwk.as_object_mut().unwrap().remove(name);
        } else {
            jwk[name] = value.clone();
        }
    }
    jwk
}

fn reasons(set: &JwkSet) -> Vec<(usize, &'static str)> {
    set.skipped()
        .iter()
        .map(|skipped| (skipped.index, skipped.reason.code()))
        .collect()
}

/// T-020: a malformed entry is skipped; the others are unaffected.
#[test]
fn t020_broken_entries_are_skipped_one_by_one() {
    let set = json!({"keys": [
        entry(Algorithm::Es256, json!({"kid": "good"})),
        {"kty": "oct", "k": "AAAA"},
        {"kty": "future", "kid": "x"},
        "a string",
        ["EC", "P-256"],
        entry(Algorithm::Es256, json!({"use": "enc"})),
        entry(Algorithm::Es256, json!({"alg": "ES256K"})),
        entry(Algorithm::Es256, json!({"d": "secret"})),
        entry(Algorithm::Es256, json!({"key_ops": ["sign"]})),
        entry(Algorithm::EdDsa, json!({"kid": "last"})),
    ], "unknown": {"ignored": true}});
    let set = parse(&set, &SetRules::oauth()).unwrap();
    assert_eq!(set.keys().len(), 2);
    assert_eq!(
        set.iter()
            .map(|key| key.key_id().unwrap())
            .collect::<Vec<_>>(),
        ["good", "last"]
    );
    assert_eq!(
        reasons(&set),
        [
            (1, "jwk.private"),
            (2, "jwk.kty"),
            (3, "jwk.json"),
            (4, "jwk.json"),
            (5, "jwk.use"),
            (6, "jwk.alg"),
            (7, "jwk.private"),
            (8, "jwk.key_ops"),
        ]
    );
    assert!(!format!("{set:?}").contains("secret"));
}

/// T-020: entries and bytes are limited, and large sets are refused without parsing.
#[test]
fn t020_large_sets_are_refused() {
    let one = entry(Algorithm::EdDsa, json!({}));
    let named = |number: usize| {
        let mut entry = one.clone();
        entry["kid"] = json!(number.to_string());
        entry
    };
    let of = |count: usize| json!({"keys": (0..count).map(named).collect::<Vec<_>>()});
    assert_eq!(
        parse(&of(MAX_SET_KEYS), &SetRules::oauth())
            .unwrap()
            .keys()
            .len(),
        1_000
    );
    assert_eq!(
        parse(&of(MAX_SET_KEYS + 1), &SetRules::oauth()).unwrap_err(),
        "jwks.too_large"
    );
    assert_eq!(
        parse(&of(10_000), &SetRules::oauth()).unwrap_err(),
        "jwks.too_large"
    );
    let padded = format!(r#"{{"keys":[]{}}}"#, " ".repeat(256 * 1024));
    let found = JwkSet::parse(padded.as_bytes(), &SetRules::oauth(), provider()).unwrap_err();
    assert_eq!(found.code(), "jwks.too_large");
}

/// T-028: an array, or anything but an object with an array `keys`, is no set.
#[test]
fn t028_what_is_not_an_object_with_keys_is_no_set() {
    for bad in [
        "[[]]",
        r#"[{"keys":[]}]"#,
        "{}",
        r#"{"keys":{}}"#,
        "null",
        "",
    ] {
        let found = JwkSet::parse(bad.as_bytes(), &SetRules::oauth(), provider()).unwrap_err();
        assert_eq!(found.code(), "jwks.json", "{bad}");
    }
    let twice = r#"{"keys":[],"keys":[]}"#;
    let found = JwkSet::parse(twice.as_bytes(), &SetRules::oauth(), provider()).unwrap_err();
    assert_eq!(found.code(), "jws.duplicate_member");
    let empty = parse(&json!({"keys": []}), &SetRules::oauth()).unwrap();
    assert!(empty.is_empty());
    assert_eq!(
        select(&empty, None, Algorithm::Es256).unwrap_err(),
        "key.unknown"
    );
}

/// ATJ-11: kind and algorithm select among equal `kid`; an ambiguous choice is an error.
#[test]
fn atj11_equal_kids_are_narrowed_in_oauth_sets() {
    let set = json!({"keys": [
        entry(Algorithm::Es256, json!({"kid": "1"})),
        entry(Algorithm::EdDsa, json!({"kid": "1", "alg": null})),
        entry(Algorithm::Es256, json!({"kid": "2"})),
        entry(Algorithm::Es256, json!({"kid": "2"})),
        entry(Algorithm::Es256, json!({"kid": "2", "use": "enc"})),
    ]});
    let set = parse(&set, &SetRules::oauth()).unwrap();
    assert_eq!(
        select(&set, Some("1"), Algorithm::Es256)
            .unwrap()
            .thumbprint(),
        set.keys()[0].thumbprint(),
    );
    assert_eq!(
        select(&set, Some("1"), Algorithm::Ed25519)
            .unwrap()
            .thumbprint(),
        set.keys()[1].thumbprint(),
    );
    assert_eq!(
        select(&set, Some("2"), Algorithm::Es256).unwrap_err(),
        "key.ambiguous"
    );
    assert_eq!(
        select(&set, Some("1"), Algorithm::Ps256).unwrap_err(),
        "jws.algorithm"
    );
    assert_eq!(
        select(&set, Some("3"), Algorithm::Es256).unwrap_err(),
        "key.unknown"
    );
    assert_eq!(
        select(&set, None, Algorithm::EdDsa).unwrap().key_id(),
        Some("1")
    );
    assert_eq!(
        select(&set, None, Algorithm::Es256).unwrap_err(),
        "key.ambiguous"
    );
    assert!(
        set.select(Some("3"), Algorithm::Es256)
            .unwrap_err()
            .is_key_unknown()
    );
    assert!(
        !set.select(Some("1"), Algorithm::Ps256)
            .unwrap_err()
            .is_key_unknown()
    );
}

/// T-009: a `kid` is compared byte for byte and has no meaning.
#[test]
fn t009_a_kid_is_opaque() {
    let kids = [
        "../../etc/passwd",
        "' OR 1=1 --",
        "https://a/",
        "\u{1b}[2J\n",
        "é",
        "A",
        "a ",
    ];
    let keys: Vec<_> = kids
        .iter()
        .map(|kid| entry(Algorithm::EdDsa, json!({"kid": kid})))
        .collect();
    let set = parse(&json!({"keys": keys}), &SetRules::oauth()).unwrap();
    for kid in kids {
        assert_eq!(
            select(&set, Some(kid), Algorithm::EdDsa).unwrap().key_id(),
            Some(kid)
        );
    }
    for kid in ["", "a", "A ", "e\u{301}", "https://a"] {
        assert_eq!(
            select(&set, Some(kid), Algorithm::EdDsa).unwrap_err(),
            "key.unknown"
        );
    }
    assert!(!format!("{set:?}").contains('\u{1b}'));
}

/// T-020: under the rules of WIMSE and SPIFFE, two equal `kid` make the set unusable.
#[test]
fn t020_equal_kids_spoil_wimse_and_spiffe_sets() {
    let two = |kid: Value, key_use: Value| {
        let members = json!({"kid": kid, "use": key_use});
        json!({"keys": [
            entry(Algorithm::Es256, members.clone()),
            entry(Algorithm::Es384, members),
        ]})
    };
    let svid = SetRules::spiffe("jwt-svid");
    let found = parse(&two("1".into(), Value::Null), &SetRules::wimse());
    assert_eq!(found.unwrap_err(), "jwks.duplicate_kid");
    let found = parse(&two("1".into(), "jwt-svid".into()), &svid);
    assert_eq!(found.unwrap_err(), "jwks.duplicate_kid");
    // Entries without `kid` are not equal: WIMSE accepts them, SPIFFE requires a `kid`.
    let set = parse(&two(Value::Null, Value::Null), &SetRules::wimse()).unwrap();
    assert_eq!(set.keys().len(), 2);
    assert!(select(&set, None, Algorithm::Es384).is_ok());
    let set = parse(&two(Value::Null, "jwt-svid".into()), &svid).unwrap();
    assert_eq!(reasons(&set), [(0, "jwk.kid"), (1, "jwk.kid")]);
}

/// SVD-01: exactly that `use`, a `kid`, and only RS, PS and ES.
#[test]
fn svd01_spiffe_rules_take_one_use_and_no_eddsa() {
    let set = json!({"keys": [
        entry(Algorithm::Es256, json!({"kid": "1", "use": "wit-svid", "alg": null})),
        entry(Algorithm::Es256, json!({"kid": "1", "use": "jwt-svid"})),
        entry(Algorithm::Es256, json!({"kid": "3", "use": "x509-svid"})),
        entry(Algorithm::Es256, json!({"kid": "4", "use": "sig"})),
        entry(Algorithm::Es256, json!({"kid": "5"})),
        entry(Algorithm::EdDsa, json!({"kid": "6", "use": "wit-svid"})),
        entry(Algorithm::EdDsa, json!({"kid": "7", "use": "wit-svid", "alg": null})),
        entry(Algorithm::Rs256, json!({"kid": "8", "use": "wit-svid"})),
        entry(Algorithm::Rs256, json!({"kid": "9", "use": "wit-svid", "alg": null})),
    ]});
    let wit = parse(&set, &SetRules::spiffe("wit-svid")).unwrap();
    assert_eq!(
        wit.iter()
            .map(|key| key.key_id().unwrap())
            .collect::<Vec<_>>(),
        ["1", "8"]
    );
    assert_eq!(
        reasons(&wit),
        [
            (1, "jwk.use"),
            (2, "jwk.use"),
            (3, "jwk.use"),
            (4, "jwk.use"),
            (5, "jwk.alg"),
            (6, "jwk.alg"),
            (8, "jwk.alg"),
        ]
    );
    let jwt = parse(&set, &SetRules::spiffe("jwt-svid")).unwrap();
    assert_eq!(jwt.keys().len(), 1);
    assert_ne!(jwt.keys()[0].thumbprint(), wit.keys()[0].thumbprint());
}

/// The rules determine the algorithms of an RSA key without `alg`; in OAuth sets it is every RSA
/// algorithm.
#[test]
fn rsa_without_alg_is_for_what_the_rules_name() {
    let set = json!({"keys": [entry(Algorithm::Rs256, json!({"kid": "1", "alg": null}))]});
    let algorithms = |rules: &SetRules| {
        parse(&set, rules)
            .unwrap()
            .keys()
            .first()
            .map(|key| key.algorithms())
    };
    assert_eq!(algorithms(&SetRules::oauth()), Some(AlgorithmSet::RSA));
    assert_eq!(algorithms(&SetRules::wimse()), None);
    let both = AlgorithmSet::of(&[Algorithm::Rs256, Algorithm::Ps256]);
    let more = AlgorithmSet::of(&[Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256]);
    assert_eq!(
        algorithms(&SetRules::wimse().with_rsa_algorithms(more)),
        Some(both)
    );

    let key = generate(Algorithm::Ps256);
    let jwk = Jwk::from_public_key(key.public_jwk().public_key().clone()).unwrap();
    let set = [jwk].into_iter().collect::<PublicJwkSet>().to_json();
    let rules = SetRules::oauth().with_rsa_algorithms(both);
    let set = JwkSet::parse(set.as_bytes(), &rules, provider()).unwrap();
    let signature = key.sign(b"message").unwrap();
    let found = |algorithm| {
        let key = set.select(None, algorithm)?;
        key.verify(algorithm, b"message", signature.as_ref())
    };
    assert!(found(Algorithm::Ps256).is_ok());
    assert_eq!(found(Algorithm::Rs256).unwrap_err().code(), "jws.signature");
    assert_eq!(found(Algorithm::Ps384).unwrap_err().code(), "key.unknown");
}

#[test]
fn a_published_set_comes_back() {
    let keys = [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256].map(|algorithm| {
        generate(algorithm)
            .with_key_id(algorithm.name())
            .public_jwk()
            .clone()
            .with_use("sig")
    });
    let published: PublicJwkSet = keys.iter().cloned().collect();
    let set = JwkSet::parse(
        published.to_json().as_bytes(),
        &SetRules::wimse(),
        provider(),
    );
    let set = set.unwrap();
    assert_eq!(set.skipped().len(), 0);
    assert_eq!(
        set.iter().map(|key| key.jwk().clone()).collect::<Vec<_>>(),
        keys
    );
    assert_eq!(set.to_json(), published.to_json());
    for member in ["\"use\":\"sig\"", "\"kid\":\"ES256\"", "\"alg\":\"ES256\""] {
        assert!(published.to_json().contains(member));
    }
}

/// Counts the public-key operations of the provider under test.
#[derive(Debug)]
struct Counting;

static OPERATIONS: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Counted(Box<dyn PreparedKey>);

impl PreparedKey for Counted {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        OPERATIONS.fetch_add(1, Ordering::SeqCst);
        self.0.verify(message, signature)
    }
}

impl Provider for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn supports(&self, algorithm: Algorithm) -> bool {
        provider().supports(algorithm)
    }

    fn prepare(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
    ) -> Result<Box<dyn PreparedKey>, Error> {
        Ok(Box::new(Counted(provider().prepare(algorithm, key)?)))
    }

    fn load(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, Error> {
        provider().load(algorithm, pkcs8)
    }

    fn generate_rsa(&self, bits: u16) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
        provider().generate_rsa(bits)
    }
}

/// T-021: a token costs at most one operation, for every set. A malformed token, or one with
/// another algorithm, costs none.
#[test]
fn t021_at_most_one_operation_per_token() {
    let signer = SigningKey::generate(Algorithm::Es256, &Counting)
        .unwrap()
        .with_key_id("49");
    let keys: Vec<Value> = (0..50)
        .map(|number| {
            if number == 49 {
                return serde_json::from_str(&signer.public_jwk().to_json()).unwrap();
            }
            entry(Algorithm::Es256, json!({"kid": number.to_string()}))
        })
        .collect();
    let set = json!({"keys": keys}).to_string();
    let set = JwkSet::parse(set.as_bytes(), &SetRules::oauth(), &Counting).unwrap();
    let signature = signer.sign(b"message").unwrap();
    let count = |key_id: Option<&str>, algorithm, signature: &[u8]| {
        let before = OPERATIONS.load(Ordering::SeqCst);
        let verified = set
            .select(key_id, algorithm)
            .and_then(|key| key.verify(algorithm, b"message", signature))
            .is_ok();
        (verified, OPERATIONS.load(Ordering::SeqCst) - before)
    };
    assert_eq!(
        count(Some("49"), Algorithm::Es256, signature.as_ref()),
        (true, 1)
    );
    assert_eq!(
        count(Some("48"), Algorithm::Es256, signature.as_ref()),
        (false, 1)
    );
    assert_eq!(
        count(None, Algorithm::Es256, signature.as_ref()),
        (false, 0)
    );
    assert_eq!(
        count(Some("50"), Algorithm::Es256, signature.as_ref()),
        (false, 0)
    );
    assert_eq!(
        count(Some("49"), Algorithm::Es384, signature.as_ref()),
        (false, 0)
    );
    assert_eq!(count(Some("49"), Algorithm::Es256, &[0; 64]), (false, 0));
    assert_eq!(
        count(Some("49"), Algorithm::Es256, &signature.as_ref()[1..]),
        (false, 0)
    );
}
