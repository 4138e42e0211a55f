//! A token is accepted only at its resource: its path, and paths beneath it.

#![cfg(feature = "axum")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use aims::guard::{GuardBuilder, Trusting};
use aims::{Guard, Requirements};
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use common::{CALL, NOW, Then, World, at, told};
use http::Request;
use http::request::Parts;
use tower::ServiceExt as _;

const AGENT: &str = "spiffe://example.org/agent";

fn builder(world: &World) -> GuardBuilder<Trusting> {
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    guard.require(Requirements::new().accept_bearer())
}

fn bearer(world: &World, uri: &str) -> Parts {
    let mut claims = World::claims(&world.agent(AGENT));
    claims.as_object_mut().unwrap().remove("cnf");
    let token = world.token(&claims);
    let request = Request::post(uri).header("host", "tools.example");
    let request = request.header("authorization", format!("Bearer {token}"));
    request.body(()).unwrap().into_parts().0
}

fn code(guard: &Guard, request: &Parts) -> &'static str {
    told(guard.check(request, at(NOW))).0
}

/// Each request differs from a valid call in its path.
#[test]
fn a_token_is_for_its_resource_alone() {
    let world = World::new();
    let guard = builder(&world).build().unwrap();
    for (path, expected) in [
        ("/mcp/call", "ok"),
        ("/mcp", "ok"),
        ("/mcp/", "ok"),
        ("/mcp?x=/call", "ok"),
        ("https://tools.example/mcp/call", "ok"),
        ("/call", "guard.target"),
        ("/", "guard.target"),
        ("/mcp2", "guard.target"),
        ("/call?x=/mcp", "guard.target"),
        ("https://tools.example/call", "guard.target"),
        ("/mcp/../call", "guard.target"),
        ("/mcp/%2e%2e/call", "guard.target"),
        ("/other/mcp", "guard.target"),
    ] {
        assert_eq!(code(&guard, &bearer(&world, path)), expected, "{path}");
    }
    let refusal = guard.check(&bearer(&world, "/call"), at(NOW)).unwrap_err();
    assert_eq!(
        (refusal.kind(), refusal.status().as_u16()),
        (aims::ErrorKind::Mismatch, 400)
    );
    for part in [
        "\"/call\"",
        "`https://tools.example/mcp`",
        "accept_any_path",
    ] {
        assert!(refusal.detail().contains(part), "{refusal}");
    }
    // The sender learns no more than that.
    let answer = refusal.into_response::<Vec<u8>>().into_body();
    assert!(!String::from_utf8(answer).unwrap().contains("tools.example"));
}

/// A proof is about the path, but a valid proof does not make the path one of the resource. Its
/// proof is not spent.
#[test]
fn a_good_proof_for_another_path_is_refused() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard().build().unwrap();
    let elsewhere = "https://tools.example/call";
    let wpt = agent.wpt(&aims::wpt::Binding::to(elsewhere));
    let mut request = common::proven(agent.wit.expose(), &wpt, None);
    request.uri = "/call".parse().unwrap();
    assert_eq!(code(&guard, &request), "guard.target");
    let any = world.guard().accept_any_path().build().unwrap();
    assert_eq!(code(&any, &request), "ok");
    // A caller without credentials is asked for one first.
    request.headers.remove("workload-identity-token");
    request.headers.remove("workload-proof-token");
    assert_eq!(code(&guard, &request), "guard.proof");
}

/// An explicit setting accepts any path, because a proxy changes the paths that callers use.
#[test]
fn any_path_is_accepted_by_name() {
    let world = World::new();
    let any = builder(&world).accept_any_path().build().unwrap();
    assert_eq!(code(&any, &bearer(&world, "/call")), "ok");
    let named = builder(&world).proof_audience("tool").build().unwrap();
    assert_eq!(code(&named, &bearer(&world, "/call")), "ok");
    // A proof must still name the path that the guard sees.
    let agent = world.agent(AGENT);
    let mut request = agent.call_with(&world.token(&World::claims(&agent)));
    assert_eq!(request.uri.path(), "/mcp/call");
    request.uri = "/call".parse().unwrap();
    assert_eq!(code(&any, &request), "wpt.audience");
}

/// A resource without a path is the whole host.
#[test]
fn a_host_is_all_of_its_paths() {
    let world = World::new();
    let guard = Guard::builder("https://tools.example")
        .trust(Arc::clone(&world.trust))
        .issuers(Arc::clone(&world.issuers))
        .token_audience("https://tools.example/mcp")
        .accept_bearer()
        .build()
        .unwrap();
    for path in ["/", "/call", "/mcp/call", CALL] {
        assert_eq!(code(&guard, &bearer(&world, path)), "ok", "{path}");
    }
}

/// Within a nest, the layer checks the original path.
#[tokio::test]
async fn nested_routers_keep_their_prefix() {
    let world = World::new();
    let guard = builder(&world).clock(Then).build().unwrap();
    let tool = || Router::new().route("/call", post(async || "done"));
    let router = Router::new()
        .nest("/mcp", tool().layer(guard.layer()))
        .nest("/other", tool().layer(guard.layer()));
    for (path, status) in [("/mcp/call", 200), ("/other/call", 400)] {
        let request = Request::from_parts(bearer(&world, path), Body::empty());
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
}
