//! The issuers of a store: removals are final, and each issuer has one entry with its own rules.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use aims_oauth_rs::{AccessToken, AccessTokenRules, IssuerRules, IssuerStore};
use aims_oauth_wire::names::Issuer;
use common::{ISSUER, NOW, RESOURCE, World, at, code, document, provider};
use serde_json::json;

const SLASH: &str = "https://as.example/";
const THIRD: &str = "https://third.example";

fn issuer(text: &str) -> Issuer {
    text.parse().unwrap()
}

/// Sets the keys of the test environment for an issuer, like a task that refreshes them.
fn refresh(world: &World, name: &str) -> &'static str {
    let (name, keys) = (issuer(name), document(&[&world.key]));
    let (keys, until) = (keys.as_bytes(), at(NOW + 60));
    let until = code(world.issuers.set_until(&name, keys, provider(), until));
    let set = code(world.issuers.set(&name, keys, provider()));
    assert_eq!(set, until);
    set
}

fn names(store: &IssuerStore) -> Vec<String> {
    store.snapshot().names().map(str::to_owned).collect()
}

fn lifetime(secs: u64) -> IssuerRules {
    IssuerRules::new().max_lifetime(Duration::from_secs(secs))
}

/// T-038: keys that arrive after a removal do not add the issuer again; the program can.
#[test]
fn a_removal_is_final() {
    let world = World::new();
    assert!(world.issuers.remove(&issuer(ISSUER)));
    assert_eq!(world.code(&world.token()), "token.unknown_issuer");
    for _ in 0..2 {
        assert_eq!(refresh(&world, ISSUER), "token.not_configured");
        assert_eq!(world.code(&world.token()), "token.unknown_issuer");
        assert!(!world.issuers.remove(&issuer(ISSUER)), "it is not there");
    }
    // Other issuers are unaffected.
    assert_eq!(refresh(&world, THIRD), "ok");
    world.issuers.name(&issuer(ISSUER));
    assert_eq!(world.code(&world.token()), "token.unknown_key");
    assert_eq!(refresh(&world, ISSUER), "ok");
    assert_eq!(world.code(&world.token()), "ok");
}

/// A removal before there are keys is final as well.
#[test]
fn a_removal_before_the_keys_is_final() {
    for is_named in [false, true] {
        let world = World::new();
        if is_named {
            world.issuers.name(&issuer(THIRD));
        }
        assert_eq!(world.issuers.remove(&issuer(THIRD)), is_named);
        assert_eq!(refresh(&world, THIRD), "token.not_configured");
    }
}

/// An issuer that is added again has the rules that were configured for it.
#[test]
fn an_issuer_comes_back_with_its_rules() {
    let world = World::new();
    let strict = || lifetime(299);
    let set = |rules| world.issuers.set_rules(&issuer(ISSUER), rules).unwrap();
    set(strict());
    assert_eq!(world.code(&world.token()), "token.lifetime");
    assert!(world.issuers.remove(&issuer(ISSUER)));
    assert_eq!(refresh(&world, ISSUER), "token.not_configured");
    assert_eq!(world.code(&world.token()), "token.unknown_issuer");
    set(strict());
    assert_eq!(refresh(&world, ISSUER), "ok");
    assert_eq!(world.code(&world.token()), "token.lifetime");
    // Rules that a resource brings itself survive the removal.
    let own = AccessTokenRules::new(RESOURCE).with_issuer_rules([(issuer(ISSUER), strict())]);
    assert!(world.issuers.remove(&issuer(ISSUER)));
    world.issuers.name(&issuer(ISSUER));
    assert_eq!(refresh(&world, ISSUER), "ok");
    assert_eq!(world.code(&world.token()), "ok");
    let token = AccessToken::verify(&world.token(), &world.issuers.snapshot(), &own, at(NOW));
    assert_eq!(code(token), "token.lifetime");
}

/// Keys and names for the replaced spelling are those of the issuer.
#[test]
fn a_spelling_makes_no_second_entry() {
    let world = World::new();
    let (first, own) = (issuer(ISSUER), issuer(SLASH));
    world.issuers.set_rules(&first, lifetime(299)).unwrap();
    world.issuers.respell(&first, &own).unwrap();
    let good = json!({"iss": SLASH, "exp": NOW + 299});
    let long = json!({"iss": SLASH});
    let check = || {
        assert_eq!(names(&world.issuers), [SLASH]);
        assert_eq!(world.code_of(&good), "ok");
        assert_eq!(world.code_of(&long), "token.lifetime");
        assert_eq!(world.code(&world.token()), "token.unknown_issuer");
    };
    check();
    assert_eq!(refresh(&world, ISSUER), "ok");
    check();
    world.issuers.name(&first);
    world.issuers.name_undiscovered(&first);
    check();
    // The same call again changes nothing.
    world.issuers.respell(&first, &own).unwrap();
    world.issuers.respell(&own, &own).unwrap();
    check();
}

/// A server that changes its spelling, also back, and a sequence of spellings.
#[test]
fn respelled_twice() {
    let world = World::new();
    let (first, own, third) = (issuer(ISSUER), issuer(SLASH), issuer(THIRD));
    world.issuers.set_rules(&first, lifetime(299)).unwrap();
    world.issuers.respell(&first, &own).unwrap();
    world.issuers.respell(&own, &first).unwrap();
    assert_eq!(names(&world.issuers), [ISSUER]);
    assert_eq!(world.code(&world.token()), "token.lifetime");
    world.issuers.respell(&first, &own).unwrap();
    world.issuers.respell(&own, &third).unwrap();
    for name in [ISSUER, SLASH, THIRD] {
        assert_eq!(refresh(&world, name), "ok", "{name}");
        assert!(world.issuers.snapshot().is_configured(&issuer(name)));
    }
    assert_eq!(names(&world.issuers), [THIRD]);
    assert_eq!(world.code_of(&json!({"iss": THIRD})), "token.lifetime");
    assert!(world.issuers.remove(&first));
    assert_eq!(names(&world.issuers), [""; 0]);
}

/// Two issuers that turn out to be one have the rules that were set for either; contradicting rules
/// stay unchanged.
#[test]
fn respelled_to_a_configured_issuer() {
    let own_rules = [None, Some(lifetime(299)), Some(lifetime(100))];
    for own_rules in own_rules {
        for is_first in [false, true] {
            let world = World::new();
            let (first, own) = (issuer(ISSUER), issuer(SLASH));
            world.issuers.name(&own);
            let named = if is_first {
                (&first, &own)
            } else {
                (&own, &first)
            };
            world.issuers.set_rules(named.0, lifetime(299)).unwrap();
            if let Some(rules) = &own_rules {
                world.issuers.set_rules(named.1, rules.clone()).unwrap();
            }
            let respelled = code(world.issuers.respell(&first, &own));
            if own_rules == Some(lifetime(100)) {
                assert_eq!(respelled, "token.issuer_rules");
                assert_eq!(names(&world.issuers), [ISSUER, SLASH]);
                continue;
            }
            assert_eq!(respelled, "ok");
            assert_eq!(names(&world.issuers), [SLASH]);
            assert_eq!(world.code_of(&json!({"iss": SLASH})), "token.lifetime");
            assert_eq!(
                world.code_of(&json!({"iss": SLASH, "exp": NOW + 299})),
                "ok"
            );
        }
    }
}

/// Either spelling removes the issuer, and either adds it again as one.
#[test]
fn removed_by_either_spelling() {
    for by in [ISSUER, SLASH] {
        for back in [ISSUER, SLASH] {
            let world = World::new();
            let (first, own) = (issuer(ISSUER), issuer(SLASH));
            world.issuers.respell(&first, &own).unwrap();
            assert!(world.issuers.remove(&issuer(by)));
            world.issuers.respell(&first, &own).unwrap();
            for name in [ISSUER, SLASH] {
                assert_eq!(refresh(&world, name), "token.not_configured", "{by} {name}");
            }
            assert_eq!(names(&world.issuers), [""; 0], "{by}");
            world.issuers.name(&issuer(back));
            assert_eq!(refresh(&world, SLASH), "ok");
            assert_eq!(names(&world.issuers), [SLASH], "{by} {back}");
            assert_eq!(world.code_of(&json!({"iss": SLASH})), "ok");
        }
    }
}

/// A spelling that the program removed does not come back by discovery.
#[test]
fn a_removed_spelling_is_not_taken() {
    let world = World::new();
    let (first, own) = (issuer(ISSUER), issuer(SLASH));
    assert!(!world.issuers.remove(&own));
    let refused = world.issuers.respell(&first, &own);
    assert_eq!(code(refused), "token.not_configured");
    assert_eq!(names(&world.issuers), [ISSUER]);
    assert_eq!(
        world.code_of(&json!({"iss": SLASH})),
        "token.unknown_issuer"
    );
}

/// RFC 3986 §6.2.3: before discovery has decided, both spellings are known and neither has keys.
#[test]
fn both_spellings_are_known_before_discovery() {
    for (own, other) in [(ISSUER, SLASH), (SLASH, ISSUER)] {
        let mut world = World::new();
        world.issuers = IssuerStore::new();
        let first = issuer(ISSUER);
        world.issuers.name_undiscovered(&first);
        let (good, bad) = (json!({"iss": own}), json!({"iss": other}));
        assert_eq!(world.code_of(&good), "token.unknown_key");
        assert_eq!(world.code_of(&bad), "token.unknown_key");
        for iss in [
            "https://as.example//",
            "https://AS.example",
            "https://as.example/a",
        ] {
            assert_eq!(world.code_of(&json!({"iss": iss})), "token.unknown_issuer");
        }
        assert_eq!(refresh(&world, SLASH), "token.not_configured");
        assert_eq!(names(&world.issuers), [ISSUER]);
        // Rules for either spelling are those of the issuer.
        let rules = [(issuer(SLASH), lifetime(299))];
        world.issuers.add_rules(&rules).unwrap();
        assert_eq!(names(&world.issuers), [ISSUER]);
        world.issuers.respell(&first, &issuer(own)).unwrap();
        assert_eq!(refresh(&world, own), "ok");
        assert_eq!(names(&world.issuers), [own]);
        assert_eq!(world.code_of(&good), "token.lifetime");
        assert_eq!(world.code_of(&json!({"iss": own, "exp": NOW + 299})), "ok");
        assert_eq!(world.code_of(&bad), "token.unknown_issuer");
        assert!(world.issuers.remove(&issuer(other)));
    }
    let store = IssuerStore::new();
    store.name_undiscovered(&issuer(ISSUER));
    assert!(store.remove(&issuer(SLASH)));
    store.respell(&issuer(ISSUER), &issuer(SLASH)).unwrap();
    assert_eq!(names(&store), [""; 0]);
}

/// Rules that others added to the store do not apply to a resource with its own; those that the
/// program set do.
#[test]
fn a_resource_with_its_own_rules_takes_no_added_ones() {
    let world = World::new();
    let none = || AccessTokenRules::new(RESOURCE).with_issuer_rules([]);
    let judge = |rules: &AccessTokenRules| {
        let token = AccessToken::verify(&world.token(), &world.issuers.snapshot(), rules, at(NOW));
        code(token)
    };
    let strict = [(issuer(ISSUER), lifetime(299))];
    world.issuers.add_rules(&strict).unwrap();
    assert_eq!(judge(&none()), "ok");
    let own = AccessTokenRules::new(RESOURCE).with_issuer_rules(strict);
    assert_eq!(judge(&own), "token.lifetime");
    let other = AccessTokenRules::new(RESOURCE).with_issuer_rules([(issuer(THIRD), lifetime(1))]);
    assert_eq!(judge(&other), "ok");
    world
        .issuers
        .set_rules(&issuer(ISSUER), lifetime(299))
        .unwrap();
    assert_eq!(judge(&none()), "token.lifetime");
    // Rules that the program set stay so if another guard requests the same.
    let same = [(issuer(ISSUER), lifetime(299))];
    world.issuers.add_rules(&same).unwrap();
    assert_eq!(judge(&none()), "token.lifetime");
}

/// Keys that arrive before discovery has decided are for the spelling that they are set for.
#[test]
fn keys_before_discovery_are_of_one_spelling() {
    let mut world = World::new();
    world.issuers = IssuerStore::new();
    world.issuers.name_undiscovered(&issuer(ISSUER));
    assert_eq!(refresh(&world, ISSUER), "ok");
    assert_eq!(world.code_of(&json!({"iss": ISSUER})), "ok");
    assert_eq!(world.code_of(&json!({"iss": SLASH})), "token.unknown_key");
}

/// When too many removals are stored, only keys of issuers that the store names are accepted.
#[test]
fn too_many_removals_close_the_store() {
    let world = World::new();
    for number in 0..1_001 {
        world
            .issuers
            .remove(&issuer(&format!("https://{number}.example")));
    }
    assert_eq!(refresh(&world, ISSUER), "ok");
    assert_eq!(
        refresh(&world, "https://1000.example"),
        "token.not_configured"
    );
    assert_eq!(refresh(&world, THIRD), "token.not_configured");
    world.issuers.name(&issuer(THIRD));
    assert_eq!(refresh(&world, THIRD), "ok");
}
