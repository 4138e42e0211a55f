//! The key that signed a token must be the one matching key of its issuer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use aims_jose::alg::{Algorithm, AlgorithmSet};
use aims_jose::key::SigningKey;
use aims_oauth_rs::{AccessToken, AccessTokenRules, Error, IssuerStore, Issuers};
use common::{
    ISSUER, NOW, RESOURCE, World, at, claims, code, document, key, laid_over, provider, providers,
    set, sign, sign_raw, store,
};
use serde_json::json;

fn unnamed() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, provider()).unwrap()
}

/// ATJ-05, ATJ-12, T-132: the signature is by the one matching key, with either provider.
#[test]
fn the_signature_is_the_issuers() {
    for provider in providers() {
        let own = SigningKey::generate(Algorithm::Es256, provider).unwrap();
        let own = own.with_key_id("as");
        let issuers = IssuerStore::new();
        let issuer = ISSUER.parse().unwrap();
        issuers
            .set(&issuer, document(&[&own]).as_bytes(), provider)
            .unwrap();
        let rules = AccessTokenRules::new(RESOURCE);
        let try_with = |text: &str| {
            let issuers = issuers.snapshot();
            code(AccessToken::verify(text, &issuers, &rules, at(NOW)))
        };
        let good = sign("at+jwt", &own, &claims());
        assert_eq!(try_with(&good), "ok", "{}", provider.name());
        let forged = sign("at+jwt", &key(Algorithm::Es256, "as"), &claims());
        assert_eq!(try_with(&forged), "token.signature");
        let changed = sign(
            "at+jwt",
            &own,
            &laid_over(claims(), &json!({"sub": "mallory"})),
        );
        let parts: Vec<_> = good.split('.').zip(changed.split('.')).collect();
        let mixed = format!("{}.{}.{}", parts[0].0, parts[1].1, parts[2].0);
        assert_eq!(try_with(&mixed), "token.signature");
        let unknown = sign("at+jwt", &own.clone().with_key_id("other"), &claims());
        assert_eq!(try_with(&unknown), "token.unknown_key");
        let edwards = sign("at+jwt", &key(Algorithm::Ed25519, "as"), &claims());
        assert_eq!(try_with(&edwards), "token.algorithm");
    }
}

/// T-132: the keys of one issuer do not verify tokens of another.
#[test]
fn keys_belong_to_one_issuer() {
    let mut world = World::new();
    let other = key(Algorithm::Es256, "other");
    set(&world.issuers, "https://other.example", &[&other]);
    let text = sign("at+jwt", &other, &claims());
    assert_eq!(world.code(&text), "token.unknown_key");
    let claims = laid_over(claims(), &json!({"iss": "https://other.example"}));
    assert_eq!(world.code(&sign("at+jwt", &other, &claims)), "ok");
    let text = sign("at+jwt", &world.key, &claims);
    assert_eq!(world.code(&text), "token.unknown_key");
    // Even if both issuers have a key with the same name.
    let twin = key(Algorithm::Es256, "as");
    world.issuers = store(ISSUER, &[&world.key]);
    set(&world.issuers, "https://other.example", &[&twin]);
    let text = sign("at+jwt", &world.key, &claims);
    assert_eq!(world.code(&text), "token.signature");
}

/// ATJ-11: an unknown key has its own code, so that a refresh can help; several matching keys are
/// not tried in turn.
#[test]
fn the_key_is_one() {
    let mut world = World::new();
    let (one, other) = (unnamed(), unnamed());
    world.issuers = store(ISSUER, &[&one, &other]);
    let text = sign("at+jwt", &one, &claims());
    let ambiguous = world.verify(&text, NOW).unwrap_err();
    assert_eq!(ambiguous.code(), "token.ambiguous_key");
    world.issuers = store(ISSUER, &[&one]);
    assert_eq!(world.code(&text), "ok");
    world.issuers = IssuerStore::new();
    world.issuers.name(&ISSUER.parse().unwrap());
    let unknown = world.verify(&text, NOW).unwrap_err();
    assert_eq!(unknown.code(), "token.unknown_key");
    let Error::UnknownKey { issuer, key_id, .. } = unknown else {
        unreachable!("by its code");
    };
    assert_eq!((issuer.as_str(), key_id), (ISSUER, None));
}

/// ATJ-05: an algorithm outside the rules is refused, though the issuer has such a key; `none` is
/// not an algorithm.
#[test]
fn the_algorithm_is_allowed() {
    let mut world = World::new();
    let text = world.token();
    world.rules =
        AccessTokenRules::new(RESOURCE).with_algorithms(AlgorithmSet::of(&[Algorithm::Ed25519]));
    assert_eq!(world.code(&text), "token.algorithm");
    let edwards = key(Algorithm::Ed25519, "edwards");
    set(&world.issuers, ISSUER, &[&world.key, &edwards]);
    assert_eq!(world.code(&sign("at+jwt", &edwards, &claims())), "ok");
    world.rules = AccessTokenRules::new(RESOURCE);
    assert_eq!(world.code(&text), "ok");
    let payload = claims().to_string();
    for alg in ["none", "HS256", "es256"] {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": "as"}).to_string();
        let text = sign_raw(&header, &payload, &world.key);
        assert_eq!(world.code(&text), "token.algorithm", "{alg}");
    }
}

/// T-085: a key set that is malformed or has no usable key replaces nothing.
#[test]
fn good_keys_are_not_replaced_by_none() {
    let world = World::new();
    let issuer = ISSUER.parse().unwrap();
    for (document, expected) in [
        (r#"{"keys":[]}"#, "token.no_keys"),
        (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, "token.no_keys"),
        ("{}", "token.key_set"),
        ("", "token.key_set"),
    ] {
        let refused = world.issuers.set(&issuer, document.as_bytes(), provider());
        assert_eq!(code(refused), expected, "{document}");
    }
    world.issuers.name(&issuer);
    assert_eq!(world.code(&world.token()), "ok");
    assert!(world.issuers.snapshot().keys(ISSUER).is_some());
}

/// BND-02 for issuers, T-085: keys that could not be confirmed are trusted up to and including the
/// stated second; then only a refresh helps.
#[test]
fn stale_keys_fail_closed() {
    let world = World::new();
    let (issuer, text) = (ISSUER.parse().unwrap(), world.token());
    let keys = document(&[&world.key]);
    let set_until = |until| {
        let issuers = &world.issuers;
        code(issuers.set_until(&issuer, keys.as_bytes(), provider(), at(until)))
    };
    assert_eq!(set_until(NOW + 10), "ok");
    assert!(world.verify(&text, NOW + 10).is_ok());
    let stale = world.verify(&text, NOW + 11).unwrap_err();
    assert_eq!(stale.code(), "token.keys_stale");
    assert_eq!(set_until(NOW + 20), "ok");
    assert!(world.verify(&text, NOW + 11).is_ok());
    // A refused document does not extend the trust.
    let none = world
        .issuers
        .set_until(&issuer, b"{\"keys\":[]}", provider(), at(NOW + 99));
    assert_eq!(code(none), "token.no_keys");
    let stale = world.verify(&text, NOW + 21).unwrap_err();
    assert_eq!(stale.code(), "token.keys_stale");
    set(&world.issuers, ISSUER, &[&world.key]);
    assert!(world.verify(&text, NOW + 21).is_ok());
}

/// An issuer without a usable key: the error lists the skipped entries and the reasons, and the
/// limit of their number can be set.
#[test]
fn the_reasons_of_skipped_keys_are_told() {
    let world = World::new();
    let issuer = ISSUER.parse().unwrap();
    let short = br#"{"keys":[{"kty":"RSA","kid":"planted","n":"AAEAAQ","e":"AQAB"}]}"#;
    let refused = world.issuers.set(&issuer, short, provider()).unwrap_err();
    assert_eq!(refused.code(), "token.no_keys");
    let told = refused.to_string();
    assert!(
        told.contains("(entry 0 is skipped: the RSA modulus must be"),
        "{told}"
    );
    assert!(!told.contains("planted"), "{told}");
    let mut keys: serde_json::Value = serde_json::from_str(&document(&[&world.key])).unwrap();
    keys["keys"][0]["kid"] = "other".into();
    keys["keys"]
        .as_array_mut()
        .unwrap()
        .push(json!({"kty": "oct"}));
    let keys = keys.to_string();
    world
        .issuers
        .set(&issuer, keys.as_bytes(), provider())
        .unwrap();
    let unknown = world.verify(&world.token(), NOW).unwrap_err();
    assert_eq!(unknown.code(), "token.unknown_key");
    let told = unknown.to_string();
    assert!(told.contains("(entry 1 is skipped: `kty` is not"), "{told}");
    let narrow = IssuerStore::new().with_max_keys(1);
    let refused = narrow.set(&issuer, keys.as_bytes(), provider());
    assert_eq!(code(refused), "token.key_set");
    let null = world.issuers.set(&issuer, br#"{"keys":null}"#, provider());
    assert_eq!(code(null), "token.no_keys");
}

/// The error has the found and the expected value, escaped and shortened: for an issuer, a key and
/// a time.
#[test]
fn errors_say_what_was_expected() {
    let world = World::new();
    let told = |text: &str, now| world.verify(text, now).unwrap_err().to_string();
    let other = world.token_with(&json!({"iss": "https://other\n.example"}));
    let wrong =
        "the access token is not of a configured issuer: found \"https://other\\n.example\"";
    let remedy = "if it is your server, configure the issuer byte for byte as its tokens have it";
    let expected = format!("{wrong}, expected {ISSUER:?}; {remedy}");
    assert_eq!(told(&other, NOW), expected);
    for number in 0..9 {
        let name = format!("https://bs.example/{number}");
        world.issuers.name(&name.parse().unwrap());
    }
    let many = told(&other, NOW);
    assert!(
        many.starts_with(&format!("{wrong}, expected {ISSUER:?} or ")),
        "{many}"
    );
    assert!(
        many.ends_with(&format!(" or one of 6 more; {remedy}")),
        "{many}"
    );
    let none = AccessToken::verify(&other, &Issuers::default(), &world.rules, at(NOW));
    let none = none.unwrap_err().to_string();
    assert_eq!(none, format!("{wrong}, expected nothing; {remedy}"));

    let by = |id: &str| sign("at+jwt", &world.key.clone().with_key_id(id), &claims());
    let unknown = format!("the issuer `{ISSUER}` has no key for ");
    let told_id = told(&by("a\u{1b}[1m"), NOW);
    let known = "its keys have the `kid` \"as\"";
    assert_eq!(
        told_id,
        format!("{unknown}the `kid` \"a\\u{{1b}}[1m\": {known}")
    );
    let long = told(&by(&"k".repeat(256)), NOW);
    assert!(long.starts_with(&unknown) && long.len() < 300, "{long}");

    let late = world.verify(&world.token(), NOW + 330).unwrap_err();
    assert_eq!(late.code(), "token.expired");
    let chain = aims_jose::Chain(&late).to_string();
    let (until, now) = (NOW + 300, NOW + 330);
    let expected = format!(
        "expired at {until}, and it is {now}, with a skew of 30 s; get a new one, or check both clocks"
    );
    assert_eq!(chain, format!("access token: {expected}"));
    let early = world.token_with(&json!({"iat": NOW + 31}));
    let early = world.verify(&early, NOW).unwrap_err();
    assert_eq!(early.code(), "token.not_yet_valid");
    let chain = aims_jose::Chain(&early).to_string();
    let from = NOW + 31;
    let expected = format!("from {from}, and it is {NOW}, with a skew of 30 s; check both clocks");
    assert_eq!(chain, format!("access token: not yet valid: {expected}"));
}
