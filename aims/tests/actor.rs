//! Access tokens that name who acts for their subject (RFC 8693 §4.1).

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims::Requirements;
use common::{NOW, Scene, World, at, told};
use serde_json::{Value, json};

const AGENT: &str = "spiffe://example.org/agent";
const OTHER: &str = "spiffe://example.org/other";

impl Scene {
    /// Returns the claims of a bound token of alice with this actor in `act`.
    fn claims(&self, act: Option<Value>) -> Value {
        let mut claims = World::claims(&self.agent);
        claims["sub"] = json!("alice");
        if let Some(act) = act {
            claims["act"] = act;
        }
        claims
    }

    fn code(&self, route: Requirements, claims: &Value) -> &'static str {
        let call = self.agent.call_with(&self.world.token(claims));
        let guard = self.guard.requiring(route).unwrap();
        told(guard.check(&call, at(NOW))).0
    }
}

/// A route that requires an actor refuses a token without one, and one of an unproven client.
#[test]
fn a_route_can_ask_for_an_actor() {
    let scene = Scene::new();
    let asks = || Requirements::new().actor();
    let acted = scene.claims(Some(json!({"sub": AGENT})));
    assert_eq!(scene.code(asks(), &acted), "ok");
    assert_eq!(scene.code(asks(), &scene.claims(None)), "guard.forbidden");
    assert_eq!(scene.code(Requirements::new(), &scene.claims(None)), "ok");
    // An unbound token of a client that is not a workload.
    let mut unbound = acted;
    unbound["client_id"] = json!("web-client");
    assert_eq!(scene.code(asks().accept_bearer(), &unbound), "ok");
    unbound.as_object_mut().unwrap().remove("cnf");
    let bearer = Requirements::new().accept_bearer();
    assert_eq!(scene.code(bearer.clone(), &unbound), "ok");
    assert_eq!(
        scene.code(bearer.clone().actor(), &unbound),
        "token.not_bound"
    );
    // The same token without a proof.
    let alone = |route: Requirements| {
        let mut call = common::bare();
        let token = format!("Bearer {}", scene.world.token(&unbound));
        call.headers.insert("authorization", token.parse().unwrap());
        told(scene.guard.requiring(route).unwrap().check(&call, at(NOW))).0
    };
    assert_eq!(alone(bearer.clone()), "ok");
    assert_eq!(alone(bearer.actor()), "token.not_bound");
}

/// On every route, the current actor must be the proven agent if it is a workload. Earlier actors
/// do not count.
#[test]
fn the_actor_is_the_proven_agent() {
    let scene = Scene::new();
    for (act, expected) in [
        (json!({"sub": AGENT}), "ok"),
        (json!({"sub": OTHER}), "token.not_bound"),
        (json!({"sub": "orchestrator"}), "ok"),
        (json!({"sub": AGENT, "act": {"sub": OTHER}}), "ok"),
        (
            json!({"sub": OTHER, "act": {"sub": AGENT}}),
            "token.not_bound",
        ),
    ] {
        let mut claims = scene.claims(Some(act));
        for route in [Requirements::new(), Requirements::new().actor()] {
            assert_eq!(scene.code(route, &claims), expected, "{claims}");
        }
        // Bound to nothing, on a route that accepts the token alone.
        claims.as_object_mut().unwrap().remove("cnf");
        let bearer = Requirements::new().accept_bearer();
        assert_eq!(scene.code(bearer, &claims), expected, "{claims}");
    }
}

/// A client or an actor that has the scheme of a workload identifier and cannot be parsed is
/// refused: another reader may accept it as the proven agent, or as a different one.
#[test]
fn a_malformed_workload_identifier_is_refused() {
    let scene = Scene::new();
    for (name, expected) in [
        (AGENT, "ok"),
        ("orchestrator", "ok"),
        ("https://example.org/agent", "ok"),
        ("spiffe-agent", "ok"),
        ("spiffe://example.org/agent/", "token.claim"),
        ("spiffe://example.org/agent?x", "token.claim"),
        ("spiffe://example.org//agent", "token.claim"),
        ("SPIFFE://example.org/agent", "token.claim"),
        ("spiffe:example.org/agent", "token.claim"),
        ("wimse://example.org", "token.claim"),
    ] {
        let acted = scene.claims(Some(json!({"sub": name})));
        let mut issued = scene.claims(None);
        issued["client_id"] = json!(name);
        for mut claims in [acted, issued] {
            assert_eq!(scene.code(Requirements::new(), &claims), expected, "{name}");
            // Bound to nothing: with the proof, and alone.
            claims.as_object_mut().unwrap().remove("cnf");
            let bearer = Requirements::new().accept_bearer();
            assert_eq!(scene.code(bearer.clone(), &claims), expected, "{name}");
            let mut alone = common::bare();
            let token = format!("Bearer {}", scene.world.token(&claims));
            alone
                .headers
                .insert("authorization", token.parse().unwrap());
            let guard = scene.guard.requiring(bearer).unwrap();
            assert_eq!(told(guard.check(&alone, at(NOW))).0, expected, "{name}");
        }
    }
    // Earlier actors do not count.
    let history = json!({"sub": AGENT, "act": {"sub": "spiffe://example.org//other"}});
    let claims = scene.claims(Some(history));
    assert_eq!(scene.code(Requirements::new(), &claims), "ok");
}
