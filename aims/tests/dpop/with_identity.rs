//! DPoP beside a workload identity: token and agent must name one workload.

use std::sync::Arc;

use aims::guard::{Dpop, ProofMethod};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::oauth_rs::IssuerRules;
use aims::wpt::{Binding, Revision, fields};
use aims::{Guard, Requirements};
use http::request::Parts;
use serde_json::{Value, json};

use crate::common::{Agent, CALL, ISSUER, NOW, World, at, key, methods};
use crate::{claims, code, proof, proof_claims, request, with};

const AGENT: &str = "spiffe://example.org/agent";

struct Meeting {
    world: World,
    agent: Agent,
    guard: Guard,
}

impl Meeting {
    fn new() -> Self {
        let world = World::new();
        let rules = IssuerRules::new().client_is("mapped", AGENT.parse().unwrap());
        let guard = world.guard();
        let guard = guard
            .issuers(Arc::clone(&world.issuers))
            .issuer_rules(ISSUER.parse().unwrap(), rules)
            .dpop(Dpop::new())
            .build()
            .unwrap();
        Self {
            agent: world.agent(AGENT),
            world,
            guard,
        }
    }

    /// A request of the agent with a DPoP proof by this key, and a token that is bound to it.
    fn call(&self, key: &SigningKey, changes: &Value) -> Parts {
        let token = self.world.token(&with(claims(key), changes));
        let proof_claims = with(proof_claims(&token), &json!({"jti": crate::hash(&token)}));
        let mut call = request(&token, &proof(key, &proof_claims));
        let wpt = self.agent.wpt(&Binding::to(CALL).access_token(&token));
        let wit = self.agent.wit.expose();
        let headers = &mut call.headers;
        fields::apply(headers, wit, &wpt, Revision::Draft01).unwrap();
        call
    }

    fn code(&self, call: &Parts) -> &'static str {
        code(self.guard.check(call, at(NOW)))
    }
}

/// The token is the agent's where it is bound to the agent's key, or was issued to the agent. One
/// that is bound to another key, for a client that nothing connects with the agent, is refused: the
/// request would name two callers.
#[test]
fn token_and_agent_are_one_workload() {
    let meeting = Meeting::new();
    let (own, other) = (&meeting.agent.key, &key(Algorithm::Es256));
    let mapped = json!({"client_id": "mapped"});
    let named = json!({"client_id": AGENT});
    let anothers = json!({"client_id": "spiffe://example.org/other"});
    for (key, changes, expected) in [
        (own, json!({}), "ok"),
        (own, mapped.clone(), "ok"),
        (other, mapped, "ok"),
        (other, named, "ok"),
        (own, anothers, "token.not_bound"),
        (other, json!({}), "token.not_bound"),
    ] {
        assert_eq!(
            meeting.code(&meeting.call(key, &changes)),
            expected,
            "{changes}"
        );
    }
    // Not even where bearer tokens are accepted.
    let lax = meeting.guard.requiring(Requirements::new().accept_bearer());
    let call = meeting.call(other, &json!({"jti": "t2"}));
    assert_eq!(code(lax.unwrap().check(&call, at(NOW))), "token.not_bound");
}

/// Each proof is accepted by its own method.
#[test]
fn both_proofs_are_told() {
    let meeting = Meeting::new();
    let call = meeting.call(&meeting.agent.key, &json!({}));
    let who = meeting.guard.check(&call, at(NOW)).unwrap();
    assert_eq!(methods(&who), [ProofMethod::Wpt, ProofMethod::Dpop]);
    assert_eq!(who.agent().unwrap().as_str(), AGENT);
    assert_eq!(who.subject(), "alice");
}

/// Several members of `cnf`: the WPT satisfies `jwk`, the DPoP proof `jkt`, and one does not stand
/// for the other.
#[test]
fn each_member_of_cnf_has_its_own_proof() {
    let meeting = Meeting::new();
    let own = &meeting.agent.key;
    let jwk = serde_json::to_value(own.public_jwk()).unwrap();
    let jkt = own.public_jwk().thumbprint().to_string();
    let both = json!({"cnf": {"jkt": jkt, "jwk": jwk}});
    let call = meeting.call(own, &both);
    assert_eq!(meeting.code(&call), "ok");
    // Without the identity, nothing proves `jwk`.
    let mut alone = meeting.call(own, &with(both.clone(), &json!({"jti": "t2"})));
    alone.headers.remove("workload-identity-token");
    alone.headers.remove("workload-proof-token");
    assert_eq!(meeting.code(&alone), "token.not_bound");
    // Without DPoP, nothing proves `jkt`.
    let mut bearer = meeting.call(own, &with(both, &json!({"jti": "t3"})));
    let value = bearer.headers["authorization"].to_str().unwrap();
    let value = value.replace("DPoP ", "Bearer ").parse().unwrap();
    bearer.headers.insert("authorization", value);
    bearer.headers.remove("dpop");
    assert_eq!(meeting.code(&bearer), "token.not_bound");
}

/// A DPoP proof by the key of a WIT is no proof of the WIT.
#[test]
fn a_wit_needs_its_own_proof() {
    let meeting = Meeting::new();
    let mut call = meeting.call(&meeting.agent.key, &json!({}));
    call.headers.remove("workload-proof-token");
    assert_eq!(meeting.code(&call), "wpt.field_missing");
}

/// Routes can ask for the method, and for agents, which DPoP names none of.
#[test]
fn routes_ask_for_methods_and_agents() {
    let meeting = Meeting::new();
    let on = |route: Requirements| meeting.guard.requiring(route).unwrap();
    let dpop = || Requirements::new().proof(ProofMethod::Dpop);
    let wpt = || Requirements::new().proof(ProofMethod::Wpt);
    let agents = || Requirements::new().agents("spiffe://example.org/*".parse().unwrap());
    for (index, (route, expected)) in [
        (dpop(), "ok"),
        (wpt(), "guard.forbidden"),
        (agents(), "guard.forbidden"),
        (dpop().proof(ProofMethod::Wpt), "ok"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut alone = meeting.call(&meeting.agent.key, &json!({"jti": index.to_string()}));
        alone.headers.remove("workload-identity-token");
        alone.headers.remove("workload-proof-token");
        let found = code(on(route.clone()).check(&alone, at(NOW)));
        assert_eq!(found, expected, "{route:?}");
    }
    // With the identity beside it, a route for agents is satisfied.
    let call = meeting.call(&meeting.agent.key, &json!({"jti": "t9"}));
    assert_eq!(code(on(agents()).check(&call, at(NOW))), "ok");
}

/// The proof of an agent alone does not satisfy a route that asks for DPoP.
#[test]
fn a_route_for_dpop_refuses_other_proofs() {
    let meeting = Meeting::new();
    let route = Requirements::new().proof(ProofMethod::Dpop);
    let guard = meeting.guard.requiring(route).unwrap();
    let token = meeting.world.token(&World::claims(&meeting.agent));
    let call = meeting.agent.call_with(&token);
    assert_eq!(code(guard.check(&call, at(NOW))), "guard.forbidden");
}
