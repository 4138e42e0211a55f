//! Access tokens that are bound to no key, beside a valid proof.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims::guard::ProofMethod;
use aims::oauth_rs::IssuerRules;
use aims::{Guard, Requirements};
use common::{Agent, ISSUER, NOW, World, at, told};
use serde_json::{Value, json};

const VICTIM: &str = "spiffe://example.org/agent";
const THIEF: &str = "spiffe://example.org/thief";

struct Scene {
    world: World,
    thief: Agent,
    guard: Guard,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let guard = world
            .guard()
            .issuers(Arc::clone(&world.issuers))
            .issuer_rules(
                ISSUER.parse().unwrap(),
                IssuerRules::new().client_is("app-1", VICTIM.parse().unwrap()),
            )
            .build()
            .unwrap();
        let thief = world.agent(THIEF);
        Self {
            world,
            thief,
            guard,
        }
    }

    /// Returns a token of alice for a client, bound to nothing.
    fn unbound(&self, client: &str) -> String {
        let mut claims: Value = World::claims(&self.thief);
        claims.as_object_mut().unwrap().remove("cnf");
        claims["sub"] = json!("alice");
        claims["client_id"] = json!(client);
        self.world.token(&claims)
    }

    fn code(&self, route: Requirements, who: &Agent, token: &str) -> &'static str {
        let guard = self.guard.requiring(route).unwrap();
        told(guard.check(&who.call_with(token), at(NOW))).0
    }
}

fn bearer() -> Requirements {
    Requirements::new().accept_bearer()
}

/// The thief has its own identity, its own valid proof, and a stolen token.
#[test]
fn a_stolen_unbound_token_with_the_thiefs_own_proof() {
    let scene = Scene::new();
    let stolen = scene.unbound("web-client");
    let asks_agent = bearer().agents("spiffe://example.org/*".parse().unwrap());
    let asks_proof = bearer().proof(ProofMethod::Wpt);
    let asks_actor = bearer().actor();
    let asks_actors = bearer().actors(
        ISSUER.parse().unwrap(),
        "spiffe://example.org/*".parse().unwrap(),
    );
    let asks_permitted = bearer().permitted_actor();
    for (route, code) in [
        (Requirements::new(), "token.not_bound"),
        (bearer(), "ok"),
        (bearer().scopes("tools:call".parse().unwrap()), "ok"),
        (asks_agent, "token.not_bound"),
        (asks_proof, "token.not_bound"),
        (asks_actor, "token.not_bound"),
        (asks_actors, "token.not_bound"),
        (asks_permitted, "token.not_bound"),
    ] {
        let found = scene.code(route.clone(), &scene.thief, &stolen);
        assert_eq!(found, code, "{route:?}");
    }
    // On routes that accept it, the token also passes alone, and the thief is never taken for the
    // token's client.
    let guard = scene.guard.requiring(bearer()).unwrap();
    let who = guard
        .check(&scene.thief.call_with(&stolen), at(NOW))
        .unwrap();
    assert!(who.is_unbound());
    assert_eq!(who.agent().unwrap().as_str(), THIEF);
    assert_eq!((who.client(), who.subject()), (Some("web-client"), "alice"));
    // A token that names another workload is refused on every route.
    let victims = scene.unbound(VICTIM);
    for route in [Requirements::new(), bearer()] {
        assert_eq!(scene.code(route, &scene.thief, &victims), "token.not_bound");
    }
}

/// The refusal says what the token lacks, only in the record.
#[test]
fn the_refusal_says_what_is_missing() {
    let scene = Scene::new();
    let call = scene.thief.call_with(&scene.unbound("web-client"));
    let refusal = scene.guard.check(&call, at(NOW)).unwrap_err();
    assert!(refusal.detail().contains("carries no `cnf`"), "{refusal}");
    assert_eq!(refusal.kind(), aims::ErrorKind::Mismatch);
    assert_eq!(refusal.to_string().matches("token.not_bound").count(), 1);
}

/// A client that is mapped to the proven agent, or named by its identifier, owns its token.
#[test]
fn the_token_of_the_agents_own_client_is_accepted() {
    let scene = Scene::new();
    let victim = scene.world.agent(VICTIM);
    let mapped = scene.unbound("app-1");
    let named = scene.unbound(VICTIM);
    for token in [&mapped, &named] {
        for route in [
            Requirements::new(),
            bearer(),
            Requirements::new().agents(VICTIM.parse().unwrap()),
            Requirements::new().proof(ProofMethod::Wpt),
        ] {
            assert_eq!(scene.code(route, &victim, token), "ok");
        }
        let who = scene.guard.check(&victim.call_with(token), at(NOW));
        assert!(!who.unwrap().is_unbound());
    }
    assert_eq!(
        scene.code(Requirements::new(), &scene.thief, &mapped),
        "token.not_bound"
    );
}

/// The issuer's rules can name the workload of a client, like its identifier.
#[test]
fn the_token_of_another_workloads_client_is_refused_on_every_route() {
    let scene = Scene::new();
    let victims = scene.unbound("app-1");
    let mut claims: Value = World::claims(&scene.thief);
    claims["client_id"] = json!("app-1");
    let bound_to_the_thief = scene.world.token(&claims);
    for token in [&victims, &bound_to_the_thief] {
        for route in [Requirements::new(), bearer()] {
            assert_eq!(scene.code(route, &scene.thief, token), "token.not_bound");
        }
    }
    // A client that the rules do not name is not a workload.
    let others = scene.unbound("app-2");
    assert_eq!(scene.code(bearer(), &scene.thief, &others), "ok");
}

/// A route can require only the identity, even if the guard has issuers.
#[test]
fn an_identity_alone_is_accepted_by_name() {
    let scene = Scene::new();
    let me = scene.world.agent(VICTIM);
    let alone = scene
        .guard
        .requiring(Requirements::new().identity_alone())
        .unwrap();
    assert_eq!(told(alone.check(&me.call(), at(NOW))).0, "ok");
    assert_eq!(
        told(scene.guard.check(&me.call(), at(NOW))).0,
        "token.missing"
    );
    assert_eq!(
        told(alone.check(&common::bare(), at(NOW))).0,
        "token.missing"
    );
}

/// Contradictory requirements are an error.
#[test]
fn requirements_are_validated() {
    let scene = Scene::new();
    let scope = || "tools:call".parse().unwrap();
    for route in [
        Requirements::new().identity_alone().scopes(scope()),
        Requirements::new().identity_alone().actor(),
        Requirements::new().roles([""]),
    ] {
        assert!(scene.guard.requiring(route).is_err());
    }
    let without = scene.world.guard().build().unwrap();
    for route in [
        Requirements::new().scopes(scope()),
        Requirements::new().roles(["admin"]),
        Requirements::new().actor(),
    ] {
        let refused = without.requiring(route);
        assert!(matches!(refused, Err(aims::guard::BuildError::NoIssuer)));
    }
}

/// Roles are not scopes: a role with the name of a scope does not grant it, and the reverse.
#[test]
fn scopes_and_roles_are_two_sets() {
    let scene = Scene::new();
    let mut claims: Value = World::claims(&scene.thief);
    claims["scope"] = json!("read");
    claims["roles"] = json!(["admin"]);
    let token = scene.world.token(&claims);
    let scope = |it: &str| Requirements::new().scopes(it.parse().unwrap());
    for (route, code) in [
        (scope("read"), "ok"),
        (scope("admin"), "guard.scope"),
        (Requirements::new().roles(["admin"]), "ok"),
        (Requirements::new().roles(["read"]), "guard.forbidden"),
        (
            Requirements::new().roles(["admin", "other"]),
            "guard.forbidden",
        ),
        (scope("read").roles(["admin"]), "ok"),
    ] {
        assert_eq!(
            scene.code(route.clone(), &scene.thief, &token),
            code,
            "{route:?}"
        );
    }
}
