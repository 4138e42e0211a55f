//! The cache of verified tokens: every returned token passed verification, and its entry ends with
//! the token.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../../jose/tests/twin/mod.rs"]
mod twin;

use aims_jose::alg::Algorithm;
use aims_jose::time::Skew;
use aims_oauth_rs::{AccessToken, AccessTokenRules, TokenCache};
use common::{
    ISSUER, NOW, RESOURCE, World, at, claims, code, document, key, provider, set, sign, store,
};
use serde_json::json;
use twin::twin;

fn cache() -> TokenCache {
    TokenCache::new(10, AccessTokenRules::new(RESOURCE))
}

fn is_same(one: &AccessToken, other: &AccessToken) -> bool {
    std::ptr::eq(one.subject(), other.subject())
}

/// T-038: a cached token is returned without reading it again.
#[test]
fn a_hit_gives_the_same_token() {
    let (world, cache) = (World::new(), cache());
    assert!(cache.is_empty());
    let text = world.token();
    let first = cache.verify(&text, &world.issuers, at(NOW)).unwrap();
    let again = cache.verify(&text, &world.issuers, at(NOW + 1)).unwrap();
    assert!(is_same(&first, &again));
    assert_eq!(cache.len(), 1);
    // Keys of another issuer do not affect the entry.
    let other = key(Algorithm::Es256, "other");
    set(&world.issuers, "https://other.example", &[&other]);
    let after = cache.verify(&text, &world.issuers, at(NOW)).unwrap();
    assert!(is_same(&first, &after));
    let fresh = world.verify(&text, NOW).unwrap();
    assert!(!is_same(&first, &fresh) && first.hash() == fresh.hash());
}

/// ATJ-03 to ATJ-07: a refused token is not cached, and is refused again.
#[test]
fn a_refusal_makes_no_entry() {
    let (world, cache) = (World::new(), cache());
    let forger = key(Algorithm::Es256, "as");
    for (text, expected) in [
        (sign("at+jwt", &forger, &claims()), "token.signature"),
        (
            world.token_with(&json!({"aud": "https://other.example"})),
            "token.audience",
        ),
        (
            world.token_with(&json!({"iat": NOW + 31})),
            "token.not_yet_valid",
        ),
        (world.token_with(&json!({"jti": ""})), "token.claim"),
        (sign("JWT", &world.key, &claims()), "token.typ"),
    ] {
        for _ in 0..2 {
            let refused = cache.verify(&text, &world.issuers, at(NOW));
            assert_eq!(code(refused), expected);
        }
    }
    assert!(cache.is_empty());
}

/// T-038: an entry ends exact to the second, with one skew, and is then removed.
#[test]
fn an_entry_expires() {
    let (world, cache) = (World::new(), cache());
    let text = world.token();
    let try_at = |now| code(cache.verify(&text, &world.issuers, at(now)));
    assert_eq!(try_at(NOW), "ok");
    assert_eq!(try_at(NOW + 329), "ok");
    assert_eq!(cache.len(), 1);
    assert_eq!(try_at(NOW + 330), "token.expired");
    assert!(cache.is_empty());
    let strict = AccessTokenRules::new(RESOURCE).with_skew(Skew::ZERO);
    let cache = TokenCache::new(10, strict);
    let try_at = |now| code(cache.verify(&text, &world.issuers, at(now)));
    assert_eq!(try_at(NOW + 299), "ok");
    assert_eq!(try_at(NOW + 300), "token.expired");
}

/// T-038: an entry ends with its key, even if another key takes its name, and with its issuer.
#[test]
fn an_entry_ends_with_its_key() {
    let (world, cache) = (World::new(), cache());
    let text = world.token();
    let try_it = || code(cache.verify(&text, &world.issuers, at(NOW)));
    assert_eq!(try_it(), "ok");
    let next = key(Algorithm::Es256, "next");
    set(&world.issuers, ISSUER, &[&next, &world.key]);
    assert_eq!(try_it(), "ok");
    set(&world.issuers, ISSUER, &[&next]);
    assert_eq!(try_it(), "token.unknown_key");
    assert!(cache.is_empty());
    set(&world.issuers, ISSUER, &[&world.key]);
    assert_eq!(try_it(), "ok");
    set(&world.issuers, ISSUER, &[&key(Algorithm::Es256, "as")]);
    assert_eq!(try_it(), "token.signature");
    set(&world.issuers, ISSUER, &[&world.key]);
    assert_eq!(try_it(), "ok");
    let issuer = ISSUER.parse().unwrap();
    assert!(world.issuers.remove(&issuer));
    assert_eq!(try_it(), "token.unknown_issuer");
    assert!(!world.issuers.remove(&issuer));
    world.issuers.name(&issuer);
    assert_eq!(try_it(), "token.unknown_key");
}

/// T-038, T-085: an entry ends when its issuer's keys are no longer trusted, and is valid again
/// with them.
#[test]
fn an_entry_ends_with_stale_keys() {
    let (world, cache) = (World::new(), cache());
    let (issuer, text) = (ISSUER.parse().unwrap(), world.token());
    let set_until = |until| {
        let keys = document(&[&world.key]);
        let issuers = &world.issuers;
        code(issuers.set_until(&issuer, keys.as_bytes(), provider(), at(until)))
    };
    let try_at = |now| code(cache.verify(&text, &world.issuers, at(now)));
    assert_eq!(set_until(NOW + 10), "ok");
    assert_eq!(try_at(NOW), "ok");
    assert_eq!(try_at(NOW + 10), "ok");
    assert_eq!(cache.len(), 1);
    assert_eq!(try_at(NOW + 11), "token.keys_stale");
    assert!(cache.is_empty());
    assert_eq!(set_until(NOW + 20), "ok");
    assert_eq!(try_at(NOW + 11), "ok");
}

/// T-132: an entry is only for the store that it was verified with.
#[test]
fn another_store_is_asked_anew() {
    let (world, cache) = (World::new(), cache());
    let text = world.token();
    assert!(cache.verify(&text, &world.issuers, at(NOW)).is_ok());
    let other = store(ISSUER, &[&key(Algorithm::Es256, "other")]);
    assert_eq!(
        code(cache.verify(&text, &other, at(NOW))),
        "token.unknown_key"
    );
    let other = store("https://other.example", &[&world.key]);
    assert_eq!(
        code(cache.verify(&text, &other, at(NOW))),
        "token.unknown_issuer"
    );
}

/// T-029, T-142: a second encoding of the signature, (r, n − s), verifies. Its text differs, and it
/// has the same hash for revocation.
#[test]
fn a_twin_has_the_same_signed_hash() {
    let world = World::new();
    let text = world.token();
    let (token, other) = (world.verify(&text, NOW), world.verify(&twin(&text), NOW));
    let (token, other) = (token.unwrap(), other.unwrap());
    assert_ne!(token.hash(), other.hash());
    assert_eq!(token.signed_hash(), other.signed_hash());
}

/// The rules belong to the cache, including the limit of the length; the number of entries is
/// limited.
#[test]
fn the_cache_is_bounded() {
    let world = World::new();
    let text = world.token();
    let rules = AccessTokenRules::new(RESOURCE).with_max_len(text.len() - 1);
    let refused = TokenCache::new(10, rules).verify(&text, &world.issuers, at(NOW));
    assert_eq!(code(refused), "token.too_long");
    let cache = TokenCache::new(2, AccessTokenRules::new(RESOURCE));
    for number in 0..10 {
        let text = world.token_with(&json!({"jti": format!("t{number}")}));
        assert!(cache.verify(&text, &world.issuers, at(NOW)).is_ok());
    }
    assert!(cache.len() <= 2, "{}", cache.len());
}
