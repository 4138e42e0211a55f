//! Workload proof tokens of draft-ietf-wimse-wpt-02: in `Authorization: WPT`, the default.

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use aims::Requirements;
use aims::guard::{BuildError, HttpSignatures};
use aims::wpt::{Binding, Revision, Revisions, fields};
use common::{Agent, CALL, NOW, World, at, bare, told};
use http::request::Parts;

const AGENT: &str = "spiffe://example.org/agent";

fn call(agent: &Agent) -> Parts {
    let wpt = agent.wpt_of(&Binding::to(CALL));
    let mut request = bare();
    let wit = agent.wit.expose();
    fields::apply(&mut request.headers, wit, &wpt, Revision::Draft02).unwrap();
    request
}

/// A valid proof is accepted once. Each refusal of a proof requests a new one; the refusal of a WIT
/// does not.
#[test]
fn a_proof_in_authorization_is_the_default() {
    let world = World::new();
    let guard = world.guard_by_default().build().unwrap();
    let agent = world.agent(AGENT);
    let good = call(&agent);
    let code = |request: &Parts| told(guard.check(request, at(NOW)));
    assert_eq!(code(&good).0, "ok");
    let asked = |code| (code, 401, "WPT".to_owned());
    assert_eq!(code(&good), asked("replay.replayed"));
    let mut bad = call(&agent);
    bad.uri = "/mcp/other".parse().unwrap();
    assert_eq!(code(&bad), asked("wpt.audience"));
    let mut bad = call(&agent);
    bad.headers.remove("authorization");
    assert_eq!(code(&bad), asked("wpt.field_missing"));
    assert_eq!(code(&bare()), asked("guard.proof"));
    let mut bad = call(&agent);
    let other = World::new().agent(AGENT);
    let wit = other.wit.expose().parse().unwrap();
    bad.headers.insert("workload-identity-token", wit);
    assert_eq!(code(&bad), ("wit.signature", 400, String::new()));
}

/// Revision -01 is accepted only if it is configured, and a request with both forms never.
#[test]
fn the_older_form_is_accepted_by_name() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = |accepted: Revisions| world.guard().wpt_revisions(accepted).build().unwrap();
    let mut both = call(&agent);
    let older = agent.wpt(&Binding::to(CALL)).parse().unwrap();
    both.headers.insert("workload-proof-token", older);
    for (accepted, first, second) in [
        // If -02 is not accepted, `Authorization: WPT` counts as another scheme.
        (Revisions::DRAFT_01, "ok", "token.scheme"),
        (Revisions::DRAFT_02, "wpt.revision", "ok"),
        (Revisions::BOTH, "ok", "ok"),
    ] {
        let guard = guard(accepted);
        let code = |request: &Parts| told(guard.check(request, at(NOW))).0;
        assert_eq!(code(&agent.call()), first);
        assert_eq!(code(&call(&agent)), second);
        assert_eq!(code(&both), "wpt.both_forms");
    }
}

/// The proof uses the header field of the access token: a tool that requires both needs an HTTP
/// signature.
#[test]
fn a_token_and_a_proof_do_not_share_the_field() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let issuers = Arc::clone(&world.issuers);
    let guard = world.guard_by_default().issuers(issuers);
    let guard = guard.http_signatures(HttpSignatures::new());
    let guard = guard.build().unwrap();
    let verdict = told(guard.check(&call(&agent), at(NOW)));
    assert_eq!((verdict.0, verdict.1), ("token.missing", 401));
    let alone = Requirements::new().identity_alone();
    let alone = guard.requiring(alone).unwrap();
    assert_eq!(told(alone.check(&call(&agent), at(NOW))).0, "ok");
}

/// A guard or a route that no request can satisfy is an error of `build`.
#[test]
fn a_token_beside_a_proof_needs_a_proof_that_can_travel_with_it() {
    let world = World::new();
    let guard = || {
        let issuers = Arc::clone(&world.issuers);
        world.guard_by_default().issuers(issuers)
    };
    let refused = guard().build().unwrap_err();
    assert!(matches!(refused, BuildError::Unsatisfiable), "{refused}");
    for call in [".http_signatures(", ".accept_bearer()", "identity_alone"] {
        assert!(refused.to_string().contains(call), "{refused}");
    }
    let alone = Requirements::new().identity_alone();
    for satisfiable in [
        guard().http_signatures(HttpSignatures::new()),
        guard().wpt_revisions(Revisions::BOTH),
        guard().accept_bearer(),
        guard().require(alone),
        world.guard_by_default(),
    ] {
        assert!(satisfiable.build().is_ok());
    }
    let bearer = guard().accept_bearer().build().unwrap();
    let route = bearer.requiring(Requirements::new());
    assert!(matches!(route, Err(BuildError::Unsatisfiable)));
}
