//! Requirements about the parties of a call: issuers of subjects, current actors, `may_act`, and a
//! policy that must permit both subject and actor.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims::decision::{Call, Decision, Denial, Party, Permission, Permit, Role};
use aims::jose::time::UnixTime;
use aims::oauth_rs::IssuerRules;
use aims::{Guard, Requirements};
use common::{Agent, Events, ISSUER, NOW, World, at, told};
use serde_json::{Value, json};

const AGENT: &str = "spiffe://example.org/team/agent";
const OTHER: &str = "spiffe://example.org/other";

struct Scene {
    world: World,
    agent: Agent,
    guard: Guard,
    events: Events,
}

impl Scene {
    fn new() -> Self {
        Self::with(IssuerRules::new())
    }

    fn with(rules: IssuerRules) -> Self {
        let world = World::new();
        let events = Events::default();
        let guard = world.guard().issuers(Arc::clone(&world.issuers));
        let guard = guard.issuer_rules(ISSUER.parse().unwrap(), rules);
        Self {
            guard: guard.record(events.clone()).build().unwrap(),
            agent: world.agent(AGENT),
            world,
            events,
        }
    }

    /// Claims of a token that acts for alice.
    fn claims(&self, changes: &Value) -> Value {
        let mut claims = World::claims(&self.agent);
        claims["sub"] = json!("alice");
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    /// Returns `ok`, or the code of the first reason in the record.
    fn reason(&self, route: &Requirements, changes: &Value) -> String {
        let call = self
            .agent
            .call_with(&self.world.token(&self.claims(changes)));
        self.reason_of(route, &call)
    }

    fn bearer(&self, route: &Requirements, changes: &Value) -> String {
        let mut claims = self.claims(changes);
        claims.as_object_mut().unwrap().remove("cnf");
        let mut call = common::bare();
        let token = format!("Bearer {}", self.world.token(&claims));
        call.headers.insert("authorization", token.parse().unwrap());
        self.reason_of(&route.clone().accept_bearer(), &call)
    }

    fn reason_of(&self, route: &Requirements, call: &http::request::Parts) -> String {
        let guard = self.guard.requiring(route.clone()).unwrap();
        let (code, status, _) = told(guard.check(call, at(NOW)));
        if code != "guard.forbidden" {
            return code.to_owned();
        }
        assert_eq!(status, 403);
        let event = self.events.0.lock().unwrap().last().unwrap().clone();
        let (_, reason) = event.split_once("reasons: [Reason { code: \"").unwrap();
        reason.split('"').next().unwrap().to_owned()
    }
}

/// A route may accept the subjects of some of the guard's issuers alone.
#[test]
fn subjects_are_of_the_routes_issuers() {
    let scene = Scene::new();
    let of = |issuer: &str| Requirements::new().issuer(issuer.parse().unwrap());
    let none = json!({});
    assert_eq!(scene.reason(&of(ISSUER), &none), "ok");
    let other = "https://other.example";
    assert_eq!(scene.reason(&of(other), &none), "guard.issuer");
    let both = of(other).issuer(ISSUER.parse().unwrap());
    assert_eq!(scene.reason(&both, &none), "ok");
    // A look-alike is another issuer.
    let slash = format!("{ISSUER}/");
    assert_eq!(scene.reason(&of(&slash), &none), "guard.issuer");
}

/// BCP-32: on a route for users, a token whose subject is a client is refused, also where the name
/// looks like that of a user.
#[test]
fn a_client_is_no_user() {
    let scene = Scene::new();
    let route = Requirements::new().user();
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"sub": AGENT}), "guard.user"),
        (json!({"sub": "web", "client_id": "web"}), "guard.user"),
        (json!({"sub": "web", "act": {"sub": AGENT}}), "ok"),
        // It was exchanged: the first client is in the history.
        (
            json!({"sub": "web", "act": {"sub": AGENT, "act": {"sub": "web"}}}),
            "guard.user",
        ),
    ] {
        assert_eq!(scene.reason(&route, &changes), expected, "{changes}");
        assert_eq!(scene.reason(&Requirements::new(), &changes), "ok");
    }
}

/// Accepts the agents of the team, as this issuer names them.
fn team_of(issuer: &str) -> Requirements {
    let pattern = "spiffe://example.org/team/*".parse().unwrap();
    Requirements::new().actors(issuer.parse().unwrap(), pattern)
}

/// The current actor is the outermost `act`, or the client where there is no `act`: both forms of
/// delegation give the same decision.
#[test]
fn the_current_actor_matches_a_pattern() {
    let scene = Scene::new();
    let team = team_of(ISSUER);
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"act": {"sub": AGENT}}), "ok"),
        (json!({"act": {"sub": "orchestrator"}}), "guard.actor"),
        // The history plays no part.
        (json!({"act": {"sub": AGENT, "act": {"sub": OTHER}}}), "ok"),
        (
            json!({"act": {"sub": "orchestrator", "act": {"sub": AGENT}}}),
            "guard.actor",
        ),
        (json!({"client_id": "web"}), "guard.actor"),
        // The client counts only without `act`.
        (
            json!({"client_id": AGENT, "act": {"sub": "orchestrator"}}),
            "guard.actor",
        ),
    ] {
        assert_eq!(scene.reason(&team, &changes), expected, "{changes}");
    }
    // By the issuer's rules, a client is a workload.
    let rules = IssuerRules::new().client_is("agent-7", AGENT.parse().unwrap());
    let scene = Scene::with(rules);
    let client = json!({"client_id": "agent-7"});
    assert_eq!(scene.reason(&team, &client), "ok");
    let act = json!({"client_id": "agent-7", "act": {"sub": "agent-7"}});
    assert_eq!(scene.reason(&team, &act), "guard.actor");
}

/// A second issuer of the guard writes the same text as the actor. It is another party, whether the
/// issuer names itself, nothing or the first issuer beside the text.
#[test]
fn an_actor_is_named_with_its_issuer() {
    const OTHER_ISSUER: &str = "https://other.example";
    let scene = Scene::new();
    let keys = common::key(aims::jose::alg::Algorithm::Es256).with_key_id("other");
    let set = format!(r#"{{"keys":[{}]}}"#, keys.public_jwk().to_json());
    let other: aims::oauth_wire::names::Issuer = OTHER_ISSUER.parse().unwrap();
    let issuers = &scene.world.issuers;
    issuers
        .set(&other, set.as_bytes(), common::provider())
        .unwrap();
    // A token of the second issuer differs in `iss` and key from one of the first.
    let of_other = |route: &Requirements, changes: &Value| {
        let mut claims = scene.claims(changes);
        claims["iss"] = json!(OTHER_ISSUER);
        let token = common::sign("at+jwt", &keys, &claims);
        scene.reason_of(route, &scene.agent.call_with(&token))
    };
    let (team, others) = (team_of(ISSUER), team_of(OTHER_ISSUER));
    let both = {
        let pattern = "spiffe://example.org/team/*".parse().unwrap();
        team.clone().actors(other, pattern)
    };
    let [client, plain, own, foreign] = [
        json!({}),
        json!({"act": {"sub": AGENT}}),
        json!({"act": {"sub": AGENT, "iss": ISSUER}}),
        json!({"act": {"sub": AGENT, "iss": OTHER_ISSUER}}),
    ];
    for (changes, by_first, by_second) in [
        (&client, ["ok", "guard.actor"], ["guard.actor", "ok"]),
        (&plain, ["ok", "guard.actor"], ["guard.actor", "ok"]),
        (&own, ["ok", "guard.actor"], ["guard.actor", "guard.actor"]),
        (
            &foreign,
            ["guard.actor", "guard.actor"],
            ["guard.actor", "ok"],
        ),
    ] {
        let first = [&team, &others].map(|route| scene.reason(route, changes));
        assert_eq!(first, by_first, "{changes}");
        let second = [&team, &others].map(|route| of_other(route, changes));
        assert_eq!(second, by_second, "{changes}");
    }
    for changes in [&client, &plain] {
        assert_eq!(scene.reason(&both, changes), "ok");
        assert_eq!(of_other(&both, changes), "ok");
    }
    // An issuer with a root slash is another one.
    let slash = json!({"act": {"sub": AGENT, "iss": format!("{ISSUER}/")}});
    assert_eq!(scene.reason(&team, &slash), "guard.actor");
    // Subjects: a route for those of the first issuer refuses the same `sub` of the second.
    let of_first = Requirements::new().issuer(ISSUER.parse().unwrap());
    assert_eq!(scene.reason(&of_first, &client), "ok");
    assert_eq!(of_other(&of_first, &client), "guard.issuer");
    assert_eq!(of_other(&Requirements::new(), &client), "ok");
    let policy = Requirements::new().subject_and_actor(Rules);
    assert_eq!(scene.reason(&policy, &client), "ok");
    assert_eq!(of_other(&policy, &client), "guard.subject_denied");
}

/// All members of `may_act` are those of the current actor, where the route asks for it.
#[test]
fn may_act_names_the_current_actor() {
    let scene = Scene::new();
    let route = Requirements::new().permitted_actor();
    for (may_act, expected) in [
        (json!({"sub": AGENT}), "ok"),
        (json!({"sub": AGENT, "iss": ISSUER}), "ok"),
        (json!({"client_id": AGENT}), "ok"),
        (json!({"sub": OTHER}), "guard.actor"),
        (
            json!({"sub": AGENT, "iss": "https://other.example"}),
            "guard.actor",
        ),
        (json!({"iss": ISSUER}), "guard.actor"),
        (
            json!({"sub": AGENT, "email": "a@example.org"}),
            "guard.actor",
        ),
        (json!({}), "guard.actor"),
        (json!("spiffe://example.org/team/agent"), "guard.actor"),
        (json!([AGENT]), "guard.actor"),
    ] {
        let changes = json!({"may_act": may_act});
        assert_eq!(scene.reason(&route, &changes), expected, "{changes}");
        // Without the requirement it is the issuer's matter, at the next exchange.
        assert_eq!(scene.reason(&Requirements::new(), &changes), "ok");
    }
    assert_eq!(scene.reason(&route, &json!({})), "ok");
    let acted = json!({"may_act": {"sub": AGENT}, "act": {"sub": "orchestrator"}});
    assert_eq!(scene.reason(&route, &acted), "guard.actor");
    // Without `iss`, the claim permits a party of the token's issuer.
    let foreign = json!({"sub": AGENT, "iss": "https://other.example"});
    let acted = json!({"may_act": {"sub": AGENT}, "act": foreign});
    assert_eq!(scene.reason(&route, &acted), "guard.actor");
    let acted = json!({"may_act": {"sub": AGENT}, "act": {"sub": AGENT, "iss": ISSUER}});
    assert_eq!(scene.reason(&route, &acted), "ok");
}

/// Alice may do everything, the agent may call, and mallory is denied.
#[derive(Clone, Debug)]
struct Rules;

impl Permit for Rules {
    fn may(&self, party: &Party<'_>, call: &Call<'_>, _: UnixTime) -> Permission {
        assert_eq!(call.path, "/mcp/call");
        match (party.role, party.name, party.issuer) {
            (Role::Subject, "alice", Some(ISSUER))
            | (Role::Actor, AGENT, None)
            | (Role::Actor, "web" | "agent-7", Some(ISSUER)) => Permission::Allowed,
            (_, "mallory", _) => Permission::Denied,
            _ => Permission::NoRule,
        }
    }
}

/// A call is allowed only if the subject and every acting party may make it; without a rule it is
/// denied.
#[test]
fn subject_and_actor_may() {
    let scene = Scene::new();
    let route = Requirements::new().subject_and_actor(Rules);
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"sub": "mallory"}), "guard.subject_denied"),
        (json!({"sub": "bob"}), "guard.subject_denied"),
        (json!({"act": {"sub": AGENT}}), "ok"),
        (json!({"act": {"sub": "mallory"}}), "guard.actor_denied"),
        (json!({"act": {"sub": "unknown"}}), "guard.actor_denied"),
        // The history plays no part.
        (
            json!({"act": {"sub": AGENT, "act": {"sub": "mallory"}}}),
            "ok",
        ),
        (json!({"client_id": "web"}), "ok"),
        (json!({"client_id": "unknown"}), "guard.actor_denied"),
        // The name of another issuer is another party.
        (
            json!({"act": {"sub": "web", "iss": "https://other.example"}}),
            "guard.actor_denied",
        ),
    ] {
        assert_eq!(scene.reason(&route, &changes), expected, "{changes}");
    }
    // The name of the proven agent, of another issuer, is another party as well.
    let same_name = json!({"act": {"sub": AGENT, "iss": "https://other.example"}});
    assert_eq!(scene.reason(&route, &same_name), "guard.actor_denied");
    let own = json!({"act": {"sub": AGENT, "iss": ISSUER}});
    assert_eq!(scene.reason(&route, &own), "ok");
    // A client that acts for itself is no user with the same name.
    let own = json!({"sub": AGENT});
    assert_eq!(scene.reason(&route, &own), "ok");
    let alice = json!({"sub": "alice", "client_id": "alice"});
    assert_eq!(scene.reason(&route, &alice), "guard.actor_denied");
    // An agent that is not permitted gets nothing for a user who may.
    let scene = Scene {
        agent: scene.world.agent("spiffe://example.org/team/second"),
        ..scene
    };
    assert_eq!(scene.reason(&route, &json!({})), "guard.actor_denied");
}

/// Requirements about a call, which only a guard knows, are not met outside of one.
#[test]
fn requirements_about_a_call_need_a_guard() {
    let scene = Scene::new();
    let claims = scene.claims(&json!({}));
    let call = scene.agent.call_with(&scene.world.token(&claims));
    let who = scene.guard.check(&call, at(NOW)).unwrap();
    let route = Requirements::new;
    for (route, expected) in [
        (route(), "guard.requirements"),
        (route().approved_call(), "guard.call"),
        (route().transaction(), "guard.transaction"),
        (route().transaction_call(), "guard.call"),
        (route().subject_and_actor(Rules), "guard.call"),
    ] {
        let (is_allowed, reasons) = match route.decide(&who, at(NOW)) {
            Decision::Allow(reasons) => (true, reasons),
            Decision::Deny(denial, reasons) => {
                assert!(matches!(denial, Denial::Forbidden), "{denial:?}");
                (false, reasons)
            }
        };
        assert_eq!(is_allowed, expected == "guard.requirements");
        assert_eq!(reasons[0].code, expected);
    }
}

/// Without a proven agent, the client of the token acts.
#[test]
fn the_client_of_a_bearer_token_is_the_actor() {
    let scene = Scene::new();
    let route = Requirements::new().subject_and_actor(Rules);
    for (changes, expected) in [
        (json!({"client_id": "web"}), "ok"),
        (json!({"client_id": "unknown"}), "guard.actor_denied"),
        (
            json!({"client_id": "web", "sub": "bob"}),
            "guard.subject_denied",
        ),
        (json!({"client_id": "web", "sub": "web"}), "ok"),
    ] {
        assert_eq!(scene.bearer(&route, &changes), expected, "{changes}");
    }
}

/// The two accessors: who acts now, and who acted before.
#[test]
fn current_actor_and_history() {
    let scene = Scene::new();
    let check = |changes: &Value| {
        let call = scene
            .agent
            .call_with(&scene.world.token(&scene.claims(changes)));
        scene.guard.check(&call, at(NOW)).unwrap()
    };
    let who = check(&json!({}));
    assert_eq!(who.current_actor().unwrap().subject, AGENT);
    assert!(who.history().is_empty());
    assert!(who.access_token().unwrap().actors().is_empty());
    let act = json!({"act": {"sub": AGENT, "act": {"sub": "b", "iss": "https://b.example"}}});
    let who = check(&act);
    assert_eq!(who.current_actor().unwrap().subject, AGENT);
    let history: Vec<_> = who.history().iter().map(|it| it.subject.as_str()).collect();
    assert_eq!(history, ["b"]);
    assert_eq!(
        who.history()[0].issuer.as_deref(),
        Some("https://b.example")
    );
}
