//! The issuers of a guard: their rules, and settings that cannot be built.

#![cfg(feature = "tool")]
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use aims::guard::BuildError;
use aims::oauth_rs::{IssuerRules, JwtProfile};
use aims::wpt::Revision;
use aims::{Guard, Requirements};
use common::{Agent, ISSUER, NOW, TOOL, World, at, sign, told};
use http::request::Parts;
use serde_json::json;

const AGENT: &str = "spiffe://example.org/agent";

/// A request with a token for this audience.
fn call_for(world: &World, agent: &Agent, audience: &str) -> Parts {
    let mut claims = World::claims(agent);
    claims["aud"] = json!(audience);
    agent.call_with(&world.token(&claims))
}

fn code(guard: &Guard, request: &Parts) -> (&'static str, u16, String) {
    told(guard.check(request, at(NOW)))
}

/// A token by its server's own profile is accepted, and one of another issuer is not.
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

/// A token for another resource: the detail says how to add an identifier of the resource, and the
/// answer to the caller does not.
#[test]
fn another_audience_is_told() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let mut claims = World::claims(&agent);
    claims["aud"] = json!("api://tools");
    let request = agent.call_with(&world.token(&claims));
    let refused = world
        .guard_of_tokens()
        .check(&request, at(NOW))
        .unwrap_err();
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

/// Guards over one store have one set of rules: the last one that is built changes nothing for the
/// others.
#[test]
fn guards_over_one_store_do_not_change_each_other() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let issuer = || ISSUER.parse().unwrap();
    let builder = || world.guard().issuers(Arc::clone(&world.issuers));
    let of = |audience: &str| IssuerRules::new().audience(audience);
    let token_for = |audience: &str| call_for(&world, &agent, audience);
    let guard = builder().issuer_rules(issuer(), of("a")).build().unwrap();
    let refused = builder().issuer_rules(issuer(), of("b")).build();
    let other = |why: &BuildError| matches!(why, BuildError::IssuerRules(it) if it.code() == "token.issuer_rules");
    assert!(refused.is_err_and(|why| other(&why)));
    assert_eq!(code(&guard, &token_for("b")).0, "token.audience");
    assert_eq!(code(&guard, &token_for("a")).0, "ok");
    // The same rules do not contradict each other.
    let same = builder().issuer_rules(issuer(), of("a")).build().unwrap();
    assert_eq!(code(&same, &token_for("a")).0, "ok");
}

/// A guard without rules for an issuer does not use those of another guard over the same store, in
/// either order. Rules that the program set in the store apply to both.
#[test]
fn a_guard_takes_no_rules_of_another_guard() {
    for is_first in [true, false] {
        let world = World::new();
        let agent = world.agent(AGENT);
        let issuer = || ISSUER.parse().unwrap();
        let builder = || world.guard().issuers(Arc::clone(&world.issuers));
        let of = |audience: &str| IssuerRules::new().audience(audience);
        let token_for = |audience: &str| call_for(&world, &agent, audience);
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
            // Each guard has its own cache, and this is the second time.
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

/// The detail of a refusal names the configured issuers, for the log; the answer does not.
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
    let refused = world
        .guard_of_tokens()
        .check(&request, at(NOW))
        .unwrap_err();
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

/// A failed build leaves the rules of the store unchanged.
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

/// RFC 3986 §6.2.3: a tool without a path accepts both spellings of its URL in `aud`.
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

/// Settings that contradict each other, or are empty, are errors of `build`.
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

/// An empty `aud` names no resource, even if rules name an empty one.
#[test]
fn an_empty_audience_names_no_resource() {
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
