//! Tests of the cache: a second signature over the same WIT, other stores, and well-formed garbage.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../../jose/tests/twin/mod.rs"]
mod twin;

use aims_jose::alg::Algorithm;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use aims_wimse_cred::{Bundle, TrustStore, Wit, WitCache, WitRules};
use common::{AGENT, NOW, at, claims, code, document, key, origin, sign, trust};
use twin::twin;

fn is_same(one: &Wit, other: &Wit) -> bool {
    std::ptr::eq(one.id(), other.id())
}

/// T-038: a cached WIT is returned without parsing.
#[test]
fn a_hit_gives_the_same_wit() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let (store, text) = (trust(&[&ca]), sign("wit+jwt", &ca, &claims(&agent)));
    let cache = WitCache::new(10, WitRules::wit());
    assert!(cache.is_empty());
    let first = cache.verify(&text, &store, at(NOW)).unwrap();
    let again = cache.verify(&text, &store, at(NOW + 1)).unwrap();
    assert!(is_same(&first, &again) && again.id().as_str() == AGENT);
    // A change of another origin does not drop the entry.
    let other = Bundle::parse(&origin("spiffe://other"), br#"{"keys":[]}"#, AWS_LC).unwrap();
    store.set(other).unwrap();
    let after = cache.verify(&text, &store, at(NOW)).unwrap();
    assert!(is_same(&first, &after) && cache.len() == 1);
    // Another cache does not have the entry.
    let fresh = WitCache::new(10, WitRules::wit());
    let fresh = fresh.verify(&text, &store, at(NOW)).unwrap();
    assert!(!is_same(&first, &fresh));
}

/// T-032, T-038: a WIT that one store trusts is not trusted by another store of the same epoch.
#[test]
fn another_store_is_asked_anew() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let text = sign("wit+jwt", &ca, &claims(&agent));
    for (other, expected) in [
        (key(Algorithm::Es256, "other"), "trust.unknown_key"),
        (key(Algorithm::Es256, "ca"), "wit.signature"),
    ] {
        let (one, two) = (trust(&[&ca]), trust(&[&other]));
        assert_eq!(one.epoch(), two.epoch());
        let cache = WitCache::new(10, WitRules::wit());
        assert_eq!(code(cache.verify(&text, &one, at(NOW))), "ok");
        assert_eq!(code(cache.verify(&text, &two, at(NOW))), expected);
    }
}

/// T-029, T-142: the second signature (r, n − s) verifies, is another text, and has the hash by
/// which it is revoked.
#[test]
fn a_twin_has_the_same_signed_hash() {
    for provider in [AWS_LC, RUSTCRYPTO] {
        let provider: &'static dyn Provider = provider;
        let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
        let document = document(&[&ca], "wit-svid", 1);
        let bundle = Bundle::parse(
            &origin("spiffe://example.org"),
            document.as_bytes(),
            provider,
        );
        let store = TrustStore::of([bundle.unwrap()]);
        let text = sign("wit+jwt", &ca, &claims(&agent));
        let twin = twin(&text);
        let cache = WitCache::new(10, WitRules::wit());
        let wit = cache.verify(&text, &store, at(NOW)).unwrap();
        let other = cache.verify(&twin, &store, at(NOW)).unwrap();
        assert_ne!(wit.hash(), other.hash());
        assert_eq!(wit.signed_hash(), other.signed_hash());
    }
}

/// T-039: with 90 % well-formed garbage from untrusted signers, no garbage is cached and every
/// valid WIT stays cached.
#[test]
fn garbage_does_not_displace() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let (store, stranger) = (trust(&[&ca]), key(Algorithm::Es256, "ca"));
    let cache = WitCache::new(64, WitRules::wit());
    let number = |jti: u32| {
        let mut claims = claims(&agent);
        claims
            .as_object_mut()
            .unwrap()
            .insert("jti".to_owned(), jti.to_string().into());
        claims.to_string()
    };
    let good: Vec<_> = (0..10)
        .map(|_| sign("wit+jwt", &ca, &claims(&agent)))
        .collect();
    let first: Vec<_> = good
        .iter()
        .map(|text| cache.verify(text, &store, at(NOW)).unwrap())
        .collect();
    for bad in 0..90 {
        let header = r#"{"alg":"ES256","typ":"wit+jwt","kid":"ca"}"#;
        let text = common::sign_raw(header, &number(bad), &stranger);
        assert_eq!(code(cache.verify(&text, &store, at(NOW))), "wit.signature");
    }
    assert_eq!(cache.len(), good.len());
    for (text, first) in good.iter().zip(&first) {
        let again = cache.verify(text, &store, at(NOW)).unwrap();
        assert!(is_same(first, &again));
    }
}

/// T-039: the cache has a limit, and uses the rules of the verifier.
#[test]
fn the_cache_is_bounded() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let (store, text) = (trust(&[&ca]), sign("wit+jwt", &ca, &claims(&agent)));
    let cache = WitCache::new(4, WitRules::wit());
    for _ in 0..50 {
        let text = sign("wit+jwt", &ca, &claims(&agent));
        assert_eq!(code(cache.verify(&text, &store, at(NOW))), "ok");
    }
    assert!((1..=4).contains(&cache.len()), "{}", cache.len());
    let rules = WitRules::wit().with_max_len(text.len() - 1);
    let short = WitCache::new(4, rules);
    assert_eq!(code(short.verify(&text, &store, at(NOW))), "jws.too_long");
    assert_eq!(short.rules().skew().as_secs(), 30);
}
