//! The rules of one issuer, and those of the resource.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use aims_jose::alg::{Algorithm, AlgorithmSet};
use aims_oauth_rs::{
    AccessToken, AccessTokenRules, IssuerRules, IssuerStore, JwtProfile, TokenCache,
};
use common::{ISSUER, NOW, RESOURCE, World, at, claims, code, key, laid_over, set, sign, sign_raw};
use serde_json::json;

const OTHER: &str = "https://other.example";

fn set_rules(world: &World, issuer: &str, rules: IssuerRules) -> &'static str {
    code(world.issuers.set_rules(&issuer.parse().unwrap(), rules))
}

/// Each issuer has its own rules; one without follows RFC 9068.
#[test]
fn rules_are_of_one_issuer() {
    let world = World::new();
    let other = key(Algorithm::Es256, "other");
    set(&world.issuers, OTHER, &[&other]);
    let rules = IssuerRules::new().profile(JwtProfile::auth0());
    assert_eq!(set_rules(&world, OTHER, rules), "ok");
    let plain = laid_over(
        claims(),
        &json!({"iss": OTHER, "azp": "c", "client_id": "-", "jti": "-"}),
    );
    assert_eq!(world.code(&sign("JWT", &other, &plain)), "ok");
    // The first issuer does not get the second one's profile or keys.
    assert_eq!(world.code(&sign("JWT", &world.key, &claims())), "token.typ");
    let forged = laid_over(claims(), &json!({"iss": OTHER}));
    assert_eq!(
        world.code(&sign("JWT", &world.key, &forged)),
        "token.unknown_key"
    );
    assert_eq!(world.code(&world.token()), "ok");
}

/// An issuer that names the resource in its own way; the resource's own identifiers are then
/// refused in its tokens.
#[test]
fn an_issuer_has_its_own_audiences() {
    let world = World::new();
    let guid = "0b0f3a1c-1111-4222-8333-444444444444";
    let rules = IssuerRules::new().audience(guid).audience("api://tool");
    assert_eq!(set_rules(&world, ISSUER, rules), "ok");
    for (aud, expected) in [
        (guid, "ok"),
        ("api://tool", "ok"),
        (RESOURCE, "token.audience"),
        ("api://tool/", "token.audience"),
    ] {
        assert_eq!(world.code_of(&json!({"aud": aud})), expected, "{aud}");
    }
}

/// ATJ-05: an issuer's rules restrict the algorithms of its keys and never extend those of the
/// resource.
#[test]
fn an_issuer_has_its_own_algorithms() {
    let mut world = World::new();
    let edwards = key(Algorithm::Ed25519, "edwards");
    set(&world.issuers, ISSUER, &[&world.key, &edwards]);
    let by_edwards = sign("at+jwt", &edwards, &claims());
    let only = AlgorithmSet::of(&[Algorithm::Ed25519]);
    assert_eq!(
        set_rules(&world, ISSUER, IssuerRules::new().algorithms(only)),
        "ok"
    );
    assert_eq!(world.code(&world.token()), "token.algorithm");
    assert_eq!(world.code(&by_edwards), "ok");
    let none_fits = AlgorithmSet::of(&[Algorithm::Es256]);
    world.rules = AccessTokenRules::new(RESOURCE).with_algorithms(none_fits);
    assert_eq!(world.code(&by_edwards), "token.algorithm");
}

/// The maximum lifetime counts from `iat` and from now.
#[test]
fn a_lifetime_is_bounded() {
    let world = World::new();
    let most = Duration::from_secs(300);
    assert_eq!(
        set_rules(&world, ISSUER, IssuerRules::new().max_lifetime(most)),
        "ok"
    );
    assert_eq!(world.code(&world.token()), "ok");
    assert_eq!(world.code_of(&json!({"exp": NOW + 301})), "token.lifetime");
    let early = json!({"iat": NOW - 200, "exp": NOW + 101});
    assert_eq!(world.code_of(&early), "token.lifetime");
}

/// Added rules replace none that were set, with either spelling of the issuer, and all are added or
/// none.
#[test]
fn added_rules_replace_none() {
    let world = World::new();
    let issuer = |it: &str| -> aims_oauth_wire::names::Issuer { it.parse().unwrap() };
    let of = |audience: &str| IssuerRules::new().audience(audience);
    let slash = format!("{ISSUER}/");
    let add = |rules: &[_]| world.issuers.add_rules(rules).map_err(|it| it.code());
    let (first, other) = (issuer(ISSUER), issuer(OTHER));
    assert_eq!(add(&[(first.clone(), of("a"))]), Ok(()));
    assert_eq!(world.code_of(&json!({"aud": "a"})), "ok");
    let both = [(other.clone(), of("c")), (first.clone(), of("b"))];
    assert_eq!(add(&both), Err("token.issuer_rules"));
    assert_eq!(world.code_of(&json!({"aud": "b"})), "token.audience");
    assert_eq!(add(&[(other, of("d"))]), Ok(()), "`c` was not added");
    assert_eq!(add(&[(first.clone(), of("a"))]), Ok(()), "the same");
    world.issuers.respell(&first, &issuer(&slash)).unwrap();
    assert_eq!(add(&[(first, of("b"))]), Err("token.issuer_rules"));
}

/// A client is the workload that the rules name, or the one that its identifier is.
#[test]
fn a_client_is_a_workload_by_name_alone() {
    let world = World::new();
    let workload = |name: &str| {
        let id = format!("spiffe://example.org/{name}");
        aims_wimse_id::WorkloadId::parse(&id).unwrap()
    };
    let rules = IssuerRules::new().client_is("s6BhdRkqt3", workload("agent"));
    assert_eq!(rules.workloads_of("s6BhdRkqt3").count(), 1);
    let token = world.verify(&world.token(), NOW).unwrap();
    assert!(!token.issued_to(&workload("agent")) && token.workloads().count() == 0);
    assert_eq!(set_rules(&world, ISSUER, rules), "ok");
    let token = world.verify(&world.token(), NOW).unwrap();
    assert!(token.issued_to(&workload("agent")) && !token.issued_to(&workload("other")));
    for client in ["S6BhdRkqt3", "s6BhdRkqt3 ", "other"] {
        let text = world.token_with(&json!({"client_id": client}));
        let token = world.verify(&text, NOW).unwrap();
        assert!(!token.issued_to(&workload("agent")), "{client}");
    }
    let text = world.token_with(&json!({"client_id": "spiffe://example.org/own"}));
    let token = world.verify(&text, NOW).unwrap();
    assert!(token.issued_to(&workload("own")) && !token.issued_to(&workload("agent")));
    // The same client of another issuer is not a workload.
    let other = key(Algorithm::Es256, "other");
    set(&world.issuers, OTHER, &[&other]);
    let text = sign(
        "at+jwt",
        &other,
        &laid_over(claims(), &json!({"iss": OTHER})),
    );
    assert!(
        !world
            .verify(&text, NOW)
            .unwrap()
            .issued_to(&workload("agent"))
    );
}

/// T-038: a token that was verified by other rules is verified again.
#[test]
fn new_rules_end_cached_tokens() {
    let world = World::new();
    let cache = TokenCache::new(10, AccessTokenRules::new(RESOURCE));
    let text = world.token();
    let try_it = || code(cache.verify(&text, &world.issuers, at(NOW)));
    assert_eq!(try_it(), "ok");
    let only = AlgorithmSet::of(&[Algorithm::Ed25519]);
    set_rules(&world, ISSUER, IssuerRules::new().algorithms(only));
    assert_eq!(try_it(), "token.algorithm");
    set_rules(&world, ISSUER, IssuerRules::new().audience("api://tool"));
    assert_eq!(try_it(), "token.audience");
    set_rules(&world, ISSUER, IssuerRules::new());
    assert_eq!(try_it(), "ok");
    // New keys do not change the rules.
    set(&world.issuers, ISSUER, &[&world.key]);
    assert_eq!(try_it(), "ok");
    // After a removal and a new configuration, an issuer has the rules of RFC 9068.
    set_rules(&world, ISSUER, IssuerRules::new().audience("api://tool"));
    assert!(world.issuers.remove(&ISSUER.parse().unwrap()));
    world.issuers.name(&ISSUER.parse().unwrap());
    set(&world.issuers, ISSUER, &[&world.key]);
    assert_eq!(try_it(), "ok");
}

/// Two spellings of one server are found; no other spelling is treated as equal.
#[test]
fn issuers_that_differ_in_the_root_slash_are_found() {
    let found = |issuers: &[&str]| {
        let store = IssuerStore::new();
        for issuer in issuers {
            store.name(&issuer.parse().unwrap());
        }
        let snapshot = store.snapshot();
        snapshot
            .root_slash_twins()
            .map(|(bare, slash)| (bare.to_owned(), slash.to_owned()))
    };
    let twins = (
        "https://as.example".to_owned(),
        "https://as.example/".to_owned(),
    );
    assert_eq!(
        found(&["https://as.example/", "https://as.example"]),
        Some(twins)
    );
    assert_eq!(
        found(&["https://as.example", "https://other.example/"]),
        None
    );
    assert_eq!(
        found(&["https://as.example/a", "https://as.example/a/"]),
        None
    );
    assert_eq!(
        found(&["https://as.example", "https://as.example:8443/"]),
        None
    );
    // Tokens are still compared byte by byte.
    let world = World::new();
    assert_eq!(
        world.code_of(&json!({"iss": format!("{ISSUER}/")})),
        "token.unknown_issuer"
    );
}

/// A resource without a path is the same with and without its root slash; no other spelling is
/// treated as equal.
#[test]
fn a_resource_without_a_path_has_two_spellings() {
    let mut world = World::new();
    for url in ["https://tools.example", "https://tools.example/"] {
        world.rules = AccessTokenRules::for_url(url);
        for (aud, expected) in [
            ("https://tools.example", "ok"),
            ("https://tools.example/", "ok"),
            ("https://tools.example//", "token.audience"),
            ("https://TOOLS.example", "token.audience"),
            ("https://tools.example:443", "token.audience"),
            ("http://tools.example", "token.audience"),
            ("https://tools.example/mcp", "token.audience"),
        ] {
            assert_eq!(world.code_of(&json!({"aud": aud})), expected, "{url} {aud}");
        }
        world.rules = AccessTokenRules::new(url);
        let other = url
            .strip_suffix('/')
            .map_or_else(|| format!("{url}/"), str::to_owned);
        assert_eq!(world.code_of(&json!({"aud": other})), "token.audience");
    }
    world.rules = AccessTokenRules::for_url(RESOURCE);
    assert_eq!(world.code_of(&json!({"aud": RESOURCE})), "ok");
    assert_eq!(
        world.code_of(&json!({"aud": format!("{RESOURCE}/")})),
        "token.audience"
    );
    for url in [
        "https://tools.example?a",
        "https://tools.example/?a",
        "urn:tool",
        "https://",
    ] {
        world.rules = AccessTokenRules::for_url(url);
        assert_eq!(world.code_of(&json!({"aud": url})), "ok", "{url}");
        assert_eq!(
            world.code_of(&json!({"aud": format!("{url}/")})),
            "token.audience",
            "{url}"
        );
    }
}

/// RFC 7515 §4.1.2 to §4.1.8: references to keys are ignored with every profile, so they select no
/// key; `jwk`, which is a key, is refused.
#[test]
fn references_to_keys_are_ignored() {
    let world = World::new();
    let thief = key(Algorithm::Es256, "as");
    let jwk: serde_json::Value = serde_json::from_str(&thief.public_jwk().to_json()).unwrap();
    let with =
        |typ: &str, name: &str, value: &serde_json::Value, by: &aims_jose::key::SigningKey| {
            let mut header = json!({"alg": "ES256", "typ": typ, "kid": "as"});
            header[name] = value.clone();
            world.code(&sign_raw(&header.to_string(), &claims().to_string(), by))
        };
    for (rules, typ) in [
        (IssuerRules::new(), "at+jwt"),
        (IssuerRules::new().profile(JwtProfile::auth0()), "JWT"),
    ] {
        set_rules(&world, ISSUER, rules);
        for (name, value) in [
            ("jku", json!("https://thief.example/jwks")),
            ("x5u", json!("https://thief.example/cert")),
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("dGhpZWY")),
            ("x5t#S256", json!("dGhpZWY")),
        ] {
            assert_eq!(with(typ, name, &value, &world.key), "ok", "{name}");
            // The attacker's key, which they refer to, is not used.
            assert_eq!(with(typ, name, &value, &thief), "token.signature", "{name}");
        }
        for value in [jwk.clone(), json!(null)] {
            assert_eq!(with(typ, "jwk", &value, &world.key), "jws.key_in_header");
        }
        assert_eq!(with(typ, "jwk", &jwk, &thief), "jws.key_in_header");
        assert_eq!(with(typ, "crit", &json!(["exp"]), &world.key), "jws.crit");
    }
}

/// White space that RFC 8259 allows is accepted, a byte order mark is not.
#[test]
fn blanks_are_read() {
    let world = World::new();
    let header = "\n {\"alg\":\"ES256\", \"typ\":\"at+jwt\",\t\"kid\":\"as\"} \r\n";
    let payload = format!(" \t\r\n{} \n", claims());
    assert_eq!(world.code(&sign_raw(header, &payload, &world.key)), "ok");
    let marked = format!("\u{feff}{}", claims());
    let refused = world.code(&sign_raw(header, &marked, &world.key));
    assert_eq!(refused, "jws.not_an_object");
}

/// A claim that is `null` has the wrong type, and the error names it.
#[test]
fn a_claim_of_the_wrong_type_is_named() {
    let world = World::new();
    for claim in [
        "iss",
        "aud",
        "exp",
        "iat",
        "nbf",
        "sub",
        "client_id",
        "jti",
        "scope",
        "roles",
    ] {
        for value in [json!(null), json!({}), json!(true)] {
            let text = world.token_with(&json!({claim: value}));
            let refused = world.verify(&text, NOW).unwrap_err();
            assert_eq!(refused.code(), "token.claim", "{claim} {value}");
            let told = aims_jose::Chain(&refused).to_string();
            assert!(told.contains(&format!("`{claim}`")), "{told}");
        }
    }
}

/// The other registered claims may be anything except `null`.
#[test]
fn a_registered_claim_that_is_null_is_named() {
    let world = World::new();
    for claim in [
        "acr",
        "amr",
        "auth_time",
        "authorization_details",
        "azp",
        "entitlements",
        "groups",
        "may_act",
        "sid",
        "txn",
    ] {
        let text = world.token_with(&json!({claim: "a"}));
        assert!(world.verify(&text, NOW).is_ok(), "{claim}");
        let text = world.token_with(&json!({claim: null}));
        let refused = world.verify(&text, NOW).unwrap_err();
        assert_eq!(refused.code(), "token.claim", "{claim}");
        let told = aims_jose::Chain(&refused).to_string();
        assert!(told.contains(&format!("`{claim}`")), "{told}");
    }
}

/// `sid` is a text, by which sessions are revoked.
#[test]
fn a_session_is_a_text() {
    let world = World::new();
    for sid in [json!(1), json!({}), json!(["a"])] {
        let text = world.token_with(&json!({"sid": sid}));
        let refused = world.verify(&text, NOW).unwrap_err();
        assert_eq!(refused.code(), "token.claim", "{sid}");
    }
}

/// Only the resource's rules limit the length.
#[test]
fn long_tokens_need_a_greater_limit() {
    let mut world = World::new();
    let groups: Vec<String> = (0..300).map(|it| format!("{it:036}")).collect();
    let text = world.token_with(&json!({"groups": groups}));
    assert!(text.len() > 8 * 1024);
    assert_eq!(world.code(&text), "token.too_long");
    world.rules = AccessTokenRules::new(RESOURCE).with_max_len(32 * 1024);
    assert_eq!(world.rules.max_len(), 32 * 1024);
    assert_eq!(world.code(&text), "ok");
    let snapshot = world.issuers.snapshot();
    assert!(AccessToken::verify(&text, &snapshot, &world.rules, at(NOW)).is_ok());
}

/// RFC 3986 §6.2.3: the configuration for one spelling of the root applies to the server's own
/// spelling, and to nothing else.
#[test]
fn rules_move_with_the_spelling() {
    const OWN: &str = "https://as.example/";
    let world = World::new();
    let (configured, own) = (ISSUER.parse().unwrap(), OWN.parse().unwrap());
    let lifetime = |secs| IssuerRules::new().max_lifetime(Duration::from_secs(secs));
    assert_eq!(set_rules(&world, ISSUER, lifetime(300)), "ok");
    let longer = json!({"iss": OWN, "exp": NOW + 301});
    let good = json!({"iss": OWN});
    assert_eq!(world.code_of(&good), "token.unknown_issuer");
    world.issuers.respell(&configured, &own).unwrap();
    assert_eq!(world.code_of(&good), "ok");
    assert_eq!(world.code_of(&longer), "token.lifetime");
    assert_eq!(world.code(&world.token()), "token.unknown_issuer");
    // Later rules, with either spelling, are those of the same issuer.
    assert_eq!(set_rules(&world, ISSUER, lifetime(301)), "ok");
    assert_eq!(world.code_of(&longer), "ok");
    assert_eq!(set_rules(&world, OWN, lifetime(300)), "ok");
    assert_eq!(world.code_of(&longer), "token.lifetime");
    // The configured spelling removes the issuer.
    assert!(world.issuers.remove(&configured));
    assert_eq!(world.code_of(&good), "token.unknown_issuer");
    assert!(!world.issuers.remove(&own));
}
