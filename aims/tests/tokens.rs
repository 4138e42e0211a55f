//! The guard with access tokens: each refusal by a token that differs in one thing from one that is
//! let in.

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use aims::guard::{BuildError, ProofMethod};
use aims::jose::alg::Algorithm;
use aims::jose::time::UnixTime;
use aims::oauth_rs::{AccessTokenRules, IssuerRules, JwtProfile, TokenCache};
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::revoked::{Credential, Revoked};
use aims::wpt::{Binding, Revision};
use aims::{Guard, Requirements};
use common::{Agent, CALL, ISSUER, NOW, TOOL, World, at, bare, key, proven, sign, told};
use http::request::Parts;
use serde_json::{Value, json};

const AGENT: &str = "spiffe://example.org/agent";

fn guard(world: &World) -> Guard {
    let metadata = ResourceMetadata::new(TOOL.parse().unwrap());
    let metadata = metadata.with_authorization_server(ISSUER.parse().unwrap());
    let scopes = Requirements::new().scopes("tools:call".parse().unwrap());
    let guard = world
        .guard()
        .issuers(Arc::clone(&world.issuers))
        .metadata(metadata);
    guard.require(scopes).build().unwrap()
}

fn code(guard: &Guard, request: &Parts) -> (&'static str, u16, String) {
    told(guard.check(request, at(NOW)))
}

/// The code for a token with one claim changed; `null` takes it away.
fn with(world: &World, agent: &Agent, claim: &str, value: Value) -> &'static str {
    let mut claims = World::claims(agent);
    claims.as_object_mut().unwrap().remove(claim);
    if !value.is_null() {
        claims
            .as_object_mut()
            .unwrap()
            .insert(claim.to_owned(), value);
    }
    code(&guard(world), &agent.call_with(&world.token(&claims))).0
}

#[test]
fn an_agent_with_its_token_is_let_in() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let mut claims = World::claims(&agent);
    claims["sub"] = json!("alice");
    claims["act"] = json!({"sub": AGENT, "act": {"sub": "spiffe://example.org/front"}});
    let who = guard(&world)
        .check(&agent.call_with(&world.token(&claims)), at(NOW))
        .unwrap();
    assert_eq!(
        (who.agent().unwrap().as_str(), who.subject()),
        (AGENT, "alice")
    );
    assert_eq!(
        (who.client(), common::methods(&who)),
        (Some(AGENT), vec![ProofMethod::Wpt])
    );
    assert!(who.scopes().unwrap().contains("tools:call"));
    assert_eq!(who.access_token().unwrap().actors().len(), 2);
    assert_eq!(who.expires(), at(NOW + 300));
}

/// BEAR-02, PRM-02, PRM-20: no token: 401 without `error`, with the place of the metadata and the
/// scope.
#[test]
fn no_token_is_told_where_to_get_one() {
    let world = World::new();
    let (code, status, challenge) = code(&guard(&world), &world.agent(AGENT).call());
    assert_eq!((code, status), ("token.missing", 401));
    assert!(!challenge.contains("error"), "{challenge}");
    let url =
        r#"resource_metadata="https://tools.example/.well-known/oauth-protected-resource/mcp""#;
    assert!(
        challenge.starts_with("Bearer ") && challenge.contains(url),
        "{challenge}"
    );
    assert!(challenge.contains(r#"scope="tools:call""#), "{challenge}");
}

/// ATJ-03 to ATJ-07, ATJ-10: each claim.
#[test]
fn each_claim_is_checked() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let with = |claim, value| with(&world, &agent, claim, value);
    assert_eq!(with("x", json!(1)), "ok");
    for claim in ["iss", "aud", "exp", "iat", "sub", "client_id", "jti"] {
        assert_eq!(with(claim, Value::Null), "token.claim", "{claim}");
    }
    for claim in ["sub", "client_id", "jti"] {
        assert_eq!(with(claim, json!("")), "token.claim", "{claim}");
    }
    assert_eq!(
        with("iss", json!("https://as.example/")),
        "token.unknown_issuer"
    );
    assert_eq!(
        with("aud", json!("https://tools.example")),
        "token.audience"
    );
    assert_eq!(with("aud", json!(["https://other.example", TOOL])), "ok");
    assert_eq!(with("exp", json!(NOW - 1)), "token.claim"); // before `iat`
    for (expires, expected) in [(NOW - 30, "token.expired"), (NOW - 29, "ok")] {
        let mut claims = World::claims(&agent);
        claims["iat"] = json!(NOW - 600);
        claims["exp"] = json!(expires);
        let request = agent.call_with(&world.token(&claims));
        assert_eq!(code(&guard(&world), &request).0, expected);
    }
    assert_eq!(with("iat", json!(NOW + 31)), "token.not_yet_valid");
    assert_eq!(with("nbf", json!(NOW + 31)), "token.not_yet_valid");
    assert_eq!(with("scope", json!("")), "token.claim");
    assert_eq!(with("scope", json!(["tools:call"])), "ok");
    assert_eq!(with("scope", json!(["tools:call a"])), "token.claim");
    assert_eq!(with("scope", json!("tools:read")), "guard.scope");
    assert_eq!(with("scope", Value::Null), "guard.scope");
    let deep = (0..9).fold(
        json!({"sub": "a"}),
        |act, _| json!({"sub": "a", "act": act}),
    );
    assert_eq!(with("act", deep), "token.claim"); // T-117
}

/// ATJ-01, ATJ-05, ATJ-12, T-132: the header, the algorithm, the keys of this issuer alone.
#[test]
fn type_algorithm_and_key_are_checked() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = guard(&world);
    let claims = World::claims(&agent);
    for typ in ["JWT", "jwt", "wit+jwt"] {
        let token = sign(typ, &world.server, &claims);
        assert_eq!(
            code(&guard, &agent.call_with(&token)).0,
            "token.typ",
            "{typ}"
        );
    }
    let token = sign("application/AT+JWT", &world.server, &claims);
    assert_eq!(code(&guard, &agent.call_with(&token)).0, "ok");
    let stranger = key(Algorithm::Es256).with_key_id("other");
    let (refused, status, challenge) = code(
        &guard,
        &agent.call_with(&sign("at+jwt", &stranger, &claims)),
    );
    assert_eq!((refused, status), ("token.unknown_key", 401));
    assert!(
        challenge.contains(r#"error="invalid_token""#),
        "{challenge}"
    );
    let forger = key(Algorithm::Es256).with_key_id("as");
    assert_eq!(
        code(&guard, &agent.call_with(&sign("at+jwt", &forger, &claims))).0,
        "token.signature"
    );
    let other = key(Algorithm::Ed25519).with_key_id("as");
    assert_eq!(
        code(&guard, &agent.call_with(&sign("at+jwt", &other, &claims))).0,
        "token.algorithm"
    );
}

/// T-130: a token of another agent, bound to another key, or bound to none and issued to somebody
/// else.
#[test]
fn token_and_proof_name_one_agent() {
    let world = World::new();
    let (agent, other) = (
        world.agent(AGENT),
        world.agent("spiffe://example.org/other"),
    );
    let guard = guard(&world);
    let try_with = |claims: &Value| code(&guard, &agent.call_with(&world.token(claims)));
    let (refused, status, _) = try_with(&World::claims(&other));
    assert_eq!((refused, status), ("token.not_bound", 401));
    let mut claims = World::claims(&agent);
    claims["cnf"] = World::claims(&other)["cnf"].clone();
    assert_eq!(try_with(&claims).0, "token.not_bound");
    claims["cnf"] = json!({"jwk": serde_json::to_value(other.key.public_jwk()).unwrap()});
    assert_eq!(try_with(&claims).0, "token.not_bound");
    claims["cnf"] = json!({"jwk": serde_json::to_value(agent.key.public_jwk()).unwrap()});
    assert_eq!(try_with(&claims).0, "ok");
    claims["client_id"] = json!("s6BhdRkqt3");
    assert_eq!(try_with(&claims).0, "ok");
    claims["client_id"] = json!("spiffe://example.org/other");
    assert_eq!(try_with(&claims).0, "token.not_bound");
    claims.as_object_mut().unwrap().remove("cnf");
    claims["client_id"] = json!("s6BhdRkqt3");
    assert_eq!(try_with(&claims).0, "token.not_bound");
    claims["client_id"] = json!(AGENT);
    assert_eq!(try_with(&claims).0, "ok");
    for cnf in [
        json!({}),
        json!({"x5t#S256": "a"}),
        json!({"jkt": "a"}),
        json!({"jkt": 1}),
        json!("a"),
        json!({"kid": "1"}),
    ] {
        claims["cnf"] = cnf;
        assert_eq!(
            try_with(&claims).0,
            "token.confirmation",
            "{}",
            claims["cnf"]
        );
    }
}

/// WPT-06: the proof covers the very token that came.
#[test]
fn the_proof_covers_the_token() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = guard(&world);
    let token = world.token(&World::claims(&agent));
    let wit = agent.wit.expose();
    let uncovered = proven(wit, &agent.wpt(&Binding::to(CALL)), Some(&token));
    assert_eq!(code(&guard, &uncovered), ("wpt.ath", 400, String::new()));
    let another = agent.wpt(&Binding::to(CALL).access_token("another"));
    assert_eq!(
        code(&guard, &proven(wit, &another, Some(&token))).0,
        "wpt.ath"
    );
}

/// BEAR-01, T-131: one `Authorization` field with one `Bearer` token.
#[test]
fn the_token_comes_in_one_field() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = guard(&world);
    let token = world.token(&World::claims(&agent));
    let try_with = |value: &str| {
        let mut request = agent.call_with(&token);
        request
            .headers
            .insert("authorization", value.parse().unwrap());
        let (code, status, _) = code(&guard, &request);
        (code, status)
    };
    for value in [
        "Bearer",
        "Bearer ",
        "Bearer  a",
        "Bearer\ta",
        "Bearer a b",
        "Bearer a,b",
        "Bearer =",
        "a.b.c",
    ] {
        assert_eq!(try_with(value), ("token.authorization", 400), "{value}");
    }
    for value in ["Basic YTpi", "DPoP a", "Bearer2 a"] {
        assert_eq!(try_with(value), ("token.scheme", 401), "{value}");
    }
    assert_eq!(
        try_with(&format!("Bearer {}", "a".repeat(8_193))),
        ("token.too_long", 431)
    );
    let mut twice = agent.call_with(&token);
    let value = twice.headers["authorization"].clone();
    twice.headers.append("authorization", value);
    assert_eq!(code(&guard, &twice).0, "token.authorization");
}

/// Requirements: a bearer token alone only where it was named, and then only one that is bound to
/// nothing.
#[test]
fn bearer_alone_is_refused_unless_named() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let bearer = |claims: &Value| {
        let mut request = bare();
        let value = format!("Bearer {}", world.token(claims));
        request
            .headers
            .insert("authorization", value.parse().unwrap());
        request
    };
    let mut claims = World::claims(&agent);
    assert_eq!(code(&guard(&world), &bearer(&claims)).0, "guard.proof");
    let lax = guard(&world).requiring(Requirements::new().accept_bearer());
    let lax = lax.unwrap();
    assert_eq!(code(&lax, &bearer(&claims)).0, "token.not_bound");
    claims.as_object_mut().unwrap().remove("cnf");
    assert_eq!(code(&lax, &bearer(&claims)).0, "ok");
    let patterned = Requirements::new()
        .accept_bearer()
        .agents("spiffe://example.org/*".parse().unwrap());
    assert_eq!(
        code(&lax.requiring(patterned).unwrap(), &bearer(&claims)).0,
        "guard.forbidden"
    );
}

/// T-038: what was cached ends with its time and with its key; T-085: good keys are not replaced by
/// none.
#[test]
fn a_cached_token_ends() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = guard(&world);
    let token = world.token(&World::claims(&agent));
    let issuer = ISSUER.parse().unwrap();
    assert_eq!(code(&guard, &agent.call_with(&token)).0, "ok");
    for (keys, expected) in [(r#"{"keys":[]}"#, "token.no_keys"), ("{", "token.key_set")] {
        let refused = world
            .issuers
            .set(&issuer, keys.as_bytes(), common::provider());
        assert_eq!(refused.unwrap_err().code(), expected);
        assert_eq!(code(&guard, &agent.call_with(&token)).0, "ok");
    }
    world.set_issuer(&key(Algorithm::Es256).with_key_id("next"));
    assert_eq!(
        code(&guard, &agent.call_with(&token)).0,
        "token.unknown_key"
    );
    world.set_issuer(&key(Algorithm::Es256).with_key_id("as"));
    assert_eq!(code(&guard, &agent.call_with(&token)).0, "token.signature");
    world.set_issuer(&world.server);
    assert_eq!(code(&guard, &agent.call_with(&token)).0, "ok");
    assert!(world.issuers.remove(&issuer));
    assert_eq!(
        code(&guard, &agent.call_with(&token)).0,
        "token.unknown_issuer"
    );
}

#[derive(Debug)]
struct TokenRevoked;

impl Revoked for TokenRevoked {
    fn is_revoked(&self, credential: Credential<'_>, _: UnixTime) -> bool {
        matches!(credential, Credential::AccessToken(_))
    }
}

/// T-142: revoked by the seam.
#[test]
fn a_revoked_token_is_refused() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let token = world.token(&World::claims(&agent));
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let guard = guard.revoked(TokenRevoked).build().unwrap();
    let (refused, status, _) = code(&guard, &agent.call_with(&token));
    assert_eq!((refused, status), ("token.revoked", 401));
}

/// A token where none is expected is not ignored.
#[test]
fn a_token_without_an_issuer_is_refused() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard().build().unwrap();
    let token = world.token(&World::claims(&agent));
    let (refused, status, _) = code(&guard, &agent.call_with(&token));
    assert_eq!((refused, status), ("guard.token_unexpected", 403));
}

/// RFC 6750 §3.1: a good token with too little scope is told what it lacks.
#[test]
fn too_little_scope_is_told() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let mut claims = World::claims(&agent);
    claims["scope"] = json!("other");
    let (refused, status, challenge) =
        code(&guard(&world), &agent.call_with(&world.token(&claims)));
    assert_eq!((refused, status), ("guard.scope", 403));
    assert!(
        challenge.contains(r#"error="insufficient_scope""#)
            && challenge.contains(r#"scope="tools:call""#)
    );
}

/// T-132: a cache that is asked about another store believes that store, even of the same age.
#[test]
fn a_cached_token_is_of_the_store_at_hand() {
    let (world, other) = (World::new(), World::new());
    let token = world.token(&World::claims(&world.agent(AGENT)));
    let cache = TokenCache::new(2, AccessTokenRules::new(TOOL));
    assert!(cache.verify(&token, &world.issuers, at(NOW)).is_ok());
    let refused = cache.verify(&token, &other.issuers, at(NOW)).unwrap_err();
    assert_eq!(refused.code(), "token.signature");
}

/// Rules of an issuer: a token by its server's own profile is accepted, and one of another issuer
/// is not.
#[test]
fn an_issuer_has_its_own_profile() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let mut claims = World::claims(&agent);
    claims["azp"] = claims["client_id"].take();
    claims.as_object_mut().unwrap().remove("client_id");
    claims["typ"] = json!("Bearer");
    let token = sign("JWT", &world.server, &claims);
    let builder = || world.guard().issuers(Arc::clone(&world.issuers));
    let plain = builder().build().unwrap();
    assert_eq!(code(&plain, &agent.call_with(&token)).0, "token.typ");
    let keycloak = IssuerRules::new().profile(JwtProfile::keycloak("tool"));
    let guard = builder().issuer_rules(ISSUER.parse().unwrap(), keycloak.clone());
    let guard = guard.build().unwrap();
    assert_eq!(code(&guard, &agent.call_with(&token)).0, "ok");
    claims["typ"] = json!("ID");
    let id_token = sign("JWT", &world.server, &claims);
    let refused = code(&guard, &agent.call_with(&id_token));
    assert_eq!((refused.0, refused.1), ("token.not_access_token", 401));
    let without = world
        .guard()
        .issuer_rules(ISSUER.parse().unwrap(), keycloak);
    let refused = without.build().unwrap_err();
    assert!(matches!(refused, BuildError::NoIssuer));
    assert!(
        refused
            .to_string()
            .contains("`.issuer(..)` and end with `.start().await`")
    );
}

/// A token for another resource: the detail says how the resource is given another identifier, and
/// the answer to the caller does not.
#[test]
fn another_audience_is_told() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let mut claims = World::claims(&agent);
    claims["aud"] = json!("api://tools");
    let request = agent.call_with(&world.token(&claims));
    let refused = guard(&world).check(&request, at(NOW)).unwrap_err();
    assert_eq!(refused.code(), "token.audience");
    let told = refused.detail();
    assert!(
        told.contains("api://tools") && told.contains("`.token_audience(..)`"),
        "{told}"
    );
    let (head, body) = refused.into_response::<Vec<u8>>().into_parts();
    let answer = format!("{head:?} {}", String::from_utf8_lossy(&body));
    assert!(
        !answer.contains("audience") && !answer.contains("api://"),
        "{answer}"
    );
}

/// Rules that do not fit their issuer, and one issuer in two spellings, are errors of `build`.
#[test]
fn issuers_that_cannot_be_are_build_errors() {
    let world = World::new();
    let builder = || world.guard().issuers(Arc::clone(&world.issuers));
    let tenant = "11111111-2222-4333-8444-555555555555";
    let entra = IssuerRules::new().profile(JwtProfile::entra_v2(tenant).unwrap());
    let refused = builder()
        .issuer_rules(ISSUER.parse().unwrap(), entra)
        .build();
    assert!(matches!(refused, Err(BuildError::IssuerRules(_))));
    world.issuers.name(&format!("{ISSUER}/").parse().unwrap());
    let refused = builder().build().unwrap_err();
    assert!(
        matches!(refused, BuildError::IssuerTwice { .. }),
        "{refused}"
    );
}

/// Guards over one store have one set of rules: the last that is built changes nothing of the
/// others.
#[test]
fn guards_over_one_store_do_not_change_each_other() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let issuer = || ISSUER.parse().unwrap();
    let builder = || world.guard().issuers(Arc::clone(&world.issuers));
    let of = |audience: &str| IssuerRules::new().audience(audience);
    let token_for = |audience: &str| {
        let mut claims = World::claims(&agent);
        claims["aud"] = json!(audience);
        agent.call_with(&world.token(&claims))
    };
    let guard = builder().issuer_rules(issuer(), of("a")).build().unwrap();
    let refused = builder().issuer_rules(issuer(), of("b")).build();
    let other = |why: &BuildError| matches!(why, BuildError::IssuerRules(it) if it.code() == "token.issuer_rules");
    assert!(refused.is_err_and(|why| other(&why)));
    assert_eq!(code(&guard, &token_for("b")).0, "token.audience");
    assert_eq!(code(&guard, &token_for("a")).0, "ok");
    // The same rules are no contradiction.
    let same = builder().issuer_rules(issuer(), of("a")).build().unwrap();
    assert_eq!(code(&same, &token_for("a")).0, "ok");
}

/// A guard without rules for an issuer does not take those of another guard over the same store,
/// whichever was built first; what the program set for the store holds for both.
#[test]
fn a_guard_takes_no_rules_of_another_guard() {
    for is_first in [true, false] {
        let world = World::new();
        let agent = world.agent(AGENT);
        let issuer = || ISSUER.parse().unwrap();
        let builder = || world.guard().issuers(Arc::clone(&world.issuers));
        let of = |audience: &str| IssuerRules::new().audience(audience);
        let token_for = |audience: &str| {
            let mut claims = World::claims(&agent);
            claims["aud"] = json!(audience);
            agent.call_with(&world.token(&claims))
        };
        let build = |has_rules: bool| match has_rules {
            true => builder().issuer_rules(issuer(), of("a")).build().unwrap(),
            false => builder().build().unwrap(),
        };
        let guards = [build(is_first), build(!is_first)];
        let [with, without] = match (guards, is_first) {
            ([with, without], true) | ([without, with], false) => [with, without],
        };
        for (guard, audience, expected) in [
            (&with, "a", "ok"),
            (&with, TOOL, "token.audience"),
            (&without, "a", "token.audience"),
            (&without, TOOL, "ok"),
            // Each has a cache of its own, and this is the second time.
            (&without, "a", "token.audience"),
            (&with, TOOL, "token.audience"),
        ] {
            assert_eq!(code(guard, &token_for(audience)).0, expected, "{audience}");
        }
        world.issuers.set_rules(&issuer(), of("b")).unwrap();
        for guard in [&with, &without] {
            assert_eq!(code(guard, &token_for("b")).0, "ok");
            assert_eq!(code(guard, &token_for("a")).0, "token.audience");
            assert_eq!(code(guard, &token_for(TOOL)).0, "token.audience");
        }
    }
}

/// The detail of a refusal names what is configured, for the log; the answer does not.
#[test]
fn the_answer_names_no_configured_issuer() {
    let world = World::new();
    let agent = world.agent(AGENT);
    world
        .issuers
        .name(&"https://hidden.example".parse().unwrap());
    let mut claims = World::claims(&agent);
    claims["iss"] = json!("https://other.example");
    let request = agent.call_with(&world.token(&claims));
    let refused = guard(&world).check(&request, at(NOW)).unwrap_err();
    assert_eq!(refused.code(), "token.unknown_issuer");
    let detail = refused.detail().to_owned();
    assert!(
        detail.contains("found \"https://other.example\""),
        "{detail}"
    );
    assert!(detail.contains("or \"https://hidden.example\""), "{detail}");
    let (head, body) = refused.into_response::<Vec<u8>>().into_parts();
    let answer = format!("{head:?} {}", String::from_utf8_lossy(&body));
    for hidden in ["hidden.example", "other.example"] {
        assert!(!answer.contains(hidden), "{answer}");
    }
}

/// A guard that is not built leaves the rules of the store as they were.
#[test]
fn a_build_error_changes_no_rules() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let builder = || world.guard().issuers(Arc::clone(&world.issuers));
    let guard = builder().build().unwrap();
    let call = || agent.call_with(&world.token(&World::claims(&agent)));
    assert_eq!(code(&guard, &call()).0, "ok");
    let other = builder()
        .issuer_rules(ISSUER.parse().unwrap(), IssuerRules::new().audience("b"))
        .require(Requirements::new().roles([""]));
    assert!(matches!(
        other.build(),
        Err(BuildError::Requirements { .. })
    ));
    assert_eq!(code(&guard, &call()).0, "ok");
}

/// RFC 3986 §6.2.3: a tool without a path takes both spellings of itself in `aud`.
#[test]
fn a_tool_without_a_path_has_two_spellings() {
    let world = World::new();
    let agent = world.agent(AGENT);
    for url in ["https://tools.example", "https://tools.example/"] {
        let guard = Guard::builder(url).trust(Arc::clone(&world.trust));
        let guard = guard.wpt_revisions(Revision::Draft01);
        let guard = guard.issuers(Arc::clone(&world.issuers)).build().unwrap();
        for (aud, expected) in [
            ("https://tools.example", "ok"),
            ("https://tools.example/", "ok"),
            ("https://tools.example/mcp", "token.audience"),
            ("https://tools.example.evil/", "token.audience"),
        ] {
            let mut claims = World::claims(&agent);
            claims["aud"] = json!(aud);
            let request = agent.call_with(&world.token(&claims));
            assert_eq!(code(&guard, &request).0, expected, "{url} {aud}");
        }
    }
}

/// What contradicts itself, or says nothing, is an error of the build.
#[test]
fn an_empty_audience_and_two_profiles_are_build_errors() {
    let world = World::new();
    let builder = || world.guard().issuers(Arc::clone(&world.issuers));
    let refused = builder().token_audience("").build().unwrap_err();
    assert!(matches!(refused, BuildError::TokenAudience), "{refused}");
    let issuer = || ISSUER.parse().unwrap();
    let of = |audience: &str| IssuerRules::new().audience(audience);
    let two = builder().issuer_rules(issuer(), of("a"));
    let refused = two.issuer_rules(issuer(), of("b")).build().unwrap_err();
    assert!(
        matches!(refused, BuildError::RulesTwice { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains(ISSUER), "{refused}");
    let same = builder().issuer_rules(issuer(), of("a"));
    assert!(same.issuer_rules(issuer(), of("a")).build().is_ok());
}

/// An empty `aud` names no resource, also where rules name an empty one.
#[test]
fn an_empty_audience_is_nobodys() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let builder = world.guard().issuers(Arc::clone(&world.issuers));
    let rules = IssuerRules::new().audience("");
    let guard = builder.issuer_rules(ISSUER.parse().unwrap(), rules);
    let guard = guard.build().unwrap();
    let mut claims = World::claims(&agent);
    claims["aud"] = json!("");
    let call = agent.call_with(&world.token(&claims));
    assert_eq!(code(&guard, &call).0, "token.audience");
}
