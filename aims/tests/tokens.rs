//! The guard with access tokens. Each refused token differs in one thing from an accepted one.

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use aims::guard::ProofMethod;
use aims::jose::alg::Algorithm;
use aims::jose::time::UnixTime;
use aims::oauth_rs::{AccessTokenRules, TokenCache};
use aims::revoked::{Credential, Revoked};
use aims::wpt::Binding;
use aims::{Guard, Requirements};
use common::{Agent, CALL, ISSUER, NOW, TOOL, World, at, bare, key, proven, sign, told};
use http::request::Parts;
use serde_json::{Value, json};

const AGENT: &str = "spiffe://example.org/agent";

fn code(guard: &Guard, request: &Parts) -> (&'static str, u16, String) {
    told(guard.check(request, at(NOW)))
}

/// Returns the code for a token with one claim changed. `null` removes it.
fn with(world: &World, agent: &Agent, claim: &str, value: Value) -> &'static str {
    let mut claims = World::claims(agent);
    claims.as_object_mut().unwrap().remove(claim);
    if !value.is_null() {
        claims
            .as_object_mut()
            .unwrap()
            .insert(claim.to_owned(), value);
    }
    code(
        &world.guard_of_tokens(),
        &agent.call_with(&world.token(&claims)),
    )
    .0
}

#[test]
fn an_agent_with_its_token_is_let_in() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let mut claims = World::claims(&agent);
    claims["sub"] = json!("alice");
    claims["act"] = json!({"sub": AGENT, "act": {"sub": "spiffe://example.org/front"}});
    let who = world
        .guard_of_tokens()
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

/// BEAR-02, PRM-02, PRM-20: without a token the answer is 401 without `error`, with the URL of the
/// metadata and the scope.
#[test]
fn no_token_is_told_where_to_get_one() {
    let world = World::new();
    let (code, status, challenge) = code(&world.guard_of_tokens(), &world.agent(AGENT).call());
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

/// ATJ-03 to ATJ-07, ATJ-10: each claim is checked.
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
        assert_eq!(code(&world.guard_of_tokens(), &request).0, expected);
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

/// ATJ-01, ATJ-05, ATJ-12, T-132: the header, the algorithm, and that the key is one of this
/// issuer.
#[test]
fn type_algorithm_and_key_are_checked() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard_of_tokens();
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

/// T-130: a token of another agent, bound to another key, or bound to none and issued to another
/// client.
#[test]
fn token_and_proof_name_one_agent() {
    let world = World::new();
    let (agent, other) = (
        world.agent(AGENT),
        world.agent("spiffe://example.org/other"),
    );
    let guard = world.guard_of_tokens();
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

/// WPT-06: the proof covers exactly the token of the request.
#[test]
fn the_proof_covers_the_token() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard_of_tokens();
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

/// BEAR-01, T-131: exactly one `Authorization` field with one `Bearer` token.
#[test]
fn the_token_comes_in_one_field() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard_of_tokens();
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

/// A bearer token alone is accepted only if the route allows it, and only if it is bound to
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
    assert_eq!(
        code(&world.guard_of_tokens(), &bearer(&claims)).0,
        "guard.proof"
    );
    let lax = world
        .guard_of_tokens()
        .requiring(Requirements::new().accept_bearer());
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

/// T-038: a cached token ends with its lifetime and with its key. T-085: an empty set does not
/// replace keys.
#[test]
fn a_cached_token_ends() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard_of_tokens();
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

/// T-142: the token is revoked by the hook.
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

/// A token is refused if none is expected.
#[test]
fn a_token_without_an_issuer_is_refused() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard().build().unwrap();
    let token = world.token(&World::claims(&agent));
    let (refused, status, _) = code(&guard, &agent.call_with(&token));
    assert_eq!((refused, status), ("guard.token_unexpected", 403));
}

/// RFC 6750 §3.1: the answer for a valid token with too little scope names the required scope.
#[test]
fn too_little_scope_is_told() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let mut claims = World::claims(&agent);
    claims["scope"] = json!("other");
    let (refused, status, challenge) = code(
        &world.guard_of_tokens(),
        &agent.call_with(&world.token(&claims)),
    );
    assert_eq!((refused, status), ("guard.scope", 403));
    assert!(
        challenge.contains(r#"error="insufficient_scope""#)
            && challenge.contains(r#"scope="tools:call""#)
    );
}

/// T-132: a cache that is used with another store trusts only that store, even of the same age.
#[test]
fn a_cached_token_is_of_the_store_at_hand() {
    let (world, other) = (World::new(), World::new());
    let token = world.token(&World::claims(&world.agent(AGENT)));
    let cache = TokenCache::new(2, AccessTokenRules::new(TOOL));
    assert!(cache.verify(&token, &world.issuers, at(NOW)).is_ok());
    let refused = cache.verify(&token, &other.issuers, at(NOW)).unwrap_err();
    assert_eq!(refused.code(), "token.signature");
}
