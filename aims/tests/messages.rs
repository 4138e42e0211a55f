//! The messages that the operator of a tool reads about a refusal: what was expected, what was
//! found, what to do. The caller gets none of it.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use std::sync::Arc;

use aims::guard::{HttpSignatures, ProofMethod};
use aims::{Guard, Refusal, Requirements};
use common::{CALL, NOW, World, at};
use http::Request;
use http::request::Parts;
use serde_json::json;
use signed::{AGENT, Meeting, received};

/// Checks that the refusal has this code, its detail these parts, and its answer none of them.
fn says(refusal: Refusal, code: &str, parts: &[&str]) {
    assert_eq!(refusal.code(), code);
    for part in parts {
        assert!(refusal.detail().contains(part), "{part:?} in {refusal}");
    }
    let answer = refusal.into_response::<Vec<u8>>();
    let told = format!("{:?}", answer.headers()) + &String::from_utf8_lossy(answer.body());
    for part in parts {
        assert!(!told.contains(part), "{part:?} in {told}");
    }
}

fn refused(guard: &Guard, request: &Parts) -> Refusal {
    guard.check(request, at(NOW)).unwrap_err()
}

/// Three causes of one code.
#[test]
fn which_host_is_wrong() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let hosts = |values: &[&str], uri: &str| {
        let mut request = world.agent(AGENT).call();
        request.uri = uri.parse().unwrap();
        request.headers.remove("host");
        for value in values {
            request.headers.append("host", value.parse().unwrap());
        }
        refused(&guard, &request)
    };
    let none = hosts(&[], "/mcp/call");
    says(none, "guard.host", &["names no host", "`Host` field"]);
    let two = hosts(&["a.example", "a.example"], "/mcp/call");
    says(two, "guard.host", &["2 `Host` fields", "expected one"]);
    let other = hosts(&["a.example"], CALL);
    let parts = ["\"a.example\"", "\"tools.example\"", "expected the same"];
    says(other, "guard.host", &parts);
    let malformed = hosts(&["a,b"], "/mcp/call");
    says(malformed, "guard.host", &["\"a,b\"", "expected a name"]);
}

/// Required and granted rights, and rights of another kind with the same name.
#[test]
fn which_rights_are_missing() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let guard = guard.build().unwrap();
    let mut claims = World::claims(&agent);
    claims["scope"] = json!("tools:list");
    claims["roles"] = json!(["tools:call"]);
    let token = world.token(&claims);
    let on = |route: Requirements| {
        let guard = guard.requiring(route).unwrap();
        refused(&guard, &agent.call_with(&token))
    };
    let scoped = on(Requirements::new().scopes("tools:call tools:list".parse().unwrap()));
    let parts = [
        "expected \"tools:call\", \"tools:list\"",
        "found \"tools:list\"",
        "Requirements::roles",
    ];
    says(scoped, "guard.scope", &parts);
    let parts = [
        "expected \"tools:list\"",
        "found \"tools:call\"",
        "Requirements::scopes",
    ];
    let role = on(Requirements::new().roles(["tools:list"]));
    says(role, "guard.forbidden", &parts);
    let agents = on(Requirements::new().agents("spiffe://example.org/x/*".parse().unwrap()));
    let parts = ["spiffe://example.org/x/*", AGENT];
    says(agents, "guard.forbidden", &parts);
    let proof = on(Requirements::new().proof(ProofMethod::HttpSignature));
    says(proof, "guard.forbidden", &["\"http-signature\"", "\"wpt\""]);
    says(
        on(Requirements::new().actor()),
        "guard.forbidden",
        &["`act`", "RFC 8693"],
    );
}

/// The message names the expected owner of the token.
#[test]
fn what_a_token_lacks() {
    let world = World::new();
    let (agent, other) = (
        world.agent(AGENT),
        world.agent("spiffe://example.org/other"),
    );
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let guard = guard.build().unwrap();
    let bound = World::claims(&agent);
    let mut unbound = bound.clone();
    unbound.as_object_mut().unwrap().remove("cnf");
    unbound["client_id"] = json!("web-client");
    let call = agent.call_with(&world.token(&unbound));
    let parts = ["carries no `cnf`", "client_is"];
    says(refused(&guard, &call), "token.not_bound", &parts);
    let mut dpop = bound.clone();
    dpop["cnf"] = json!({"jkt": agent.key.public_jwk().thumbprint().to_string()});
    let call = agent.call_with(&world.token(&dpop));
    says(
        refused(&guard, &call),
        "token.not_bound",
        &["cnf.jkt", "DPoP"],
    );
    let call = other.call_with(&world.token(&bound));
    says(
        refused(&guard, &call),
        "token.not_bound",
        &["cnf.jwk", "this request's proof"],
    );
    let mut foreign = bound;
    foreign["client_id"] = json!("spiffe://example.org/other");
    let call = agent.call_with(&world.token(&foreign));
    says(
        refused(&guard, &call),
        "token.not_bound",
        &["another workload", "client_is"],
    );
    // No proof shows the sender of the token.
    unbound["client_id"] = json!("web-client");
    let mut alone = common::bare();
    let token = format!("Bearer {}", world.token(&unbound));
    alone
        .headers
        .insert("authorization", token.parse().unwrap());
    says(
        refused(&guard, &alone),
        "guard.proof",
        &["no proof;", "accept_bearer"],
    );
    let long = format!("Bearer {}", "a".repeat(9_000));
    alone.headers.insert("authorization", long.parse().unwrap());
    says(
        refused(&guard, &alone),
        "token.too_long",
        &["8192", "max_token_len"],
    );
}

/// The message names the accepted proofs.
#[test]
fn which_proof_is_missing() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard_by_default().build().unwrap();
    let parts = ["-01", "-02", "GuardBuilder::wpt_revisions"];
    says(refused(&guard, &agent.call()), "wpt.revision", &parts);
    let parts = ["draft-ietf-wimse-wpt-02", "no credential"];
    says(refused(&guard, &common::bare()), "guard.proof", &parts);
}

/// A guard that does not verify signatures: the answer says so, and not that a proof is missing.
#[test]
fn why_a_signature_is_not_accepted() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let mut request = Request::post(CALL).body(b"{}".to_vec()).unwrap();
    drop(meeting.agent.sign(&mut request).unwrap());
    let (head, _) = received(request);
    let none = meeting.world.guard().build().unwrap();
    for (guard, part) in [
        (&none, "GuardBuilder::http_signatures"),
        (&meeting.guard, "`Guard::layer`"),
    ] {
        let refusal = refused(guard, &head);
        says(refusal, "guard.signature_not_accepted", &[part]);
        let answer = refused(guard, &head).into_response::<Vec<u8>>().into_body();
        let told = String::from_utf8(answer).unwrap();
        assert!(told.contains("an HTTP signature is not accepted"), "{told}");
    }
}

/// The target of a request that the agent must prove.
#[test]
fn which_target_is_wrong() {
    let meeting = Meeting::taking(HttpSignatures::new());
    for (uri, part) in [
        ("/mcp/call", "is relative"),
        ("https://user@tools.example/mcp", "has user information"),
    ] {
        let mut request = Request::post(uri).body(()).unwrap();
        let agent = meeting.agent_with(|it| it.proof(aims::agent::RequestAuth::Wpt));
        let error = agent.prove(&mut request).unwrap_err();
        assert_eq!(error.code(), "wpt.target");
        let told = aims::jose::Chain(&error).to_string();
        assert!(
            told.contains(part) && told.contains("absolute URL"),
            "{told}"
        );
    }
}
