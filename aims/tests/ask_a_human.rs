//! The tool of the guide's page "Ask a human", as the page has it.

#![cfg(all(feature = "axum", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

/// The code of the page.
mod page {
    include!("guide/ask_a_human.rs");

    pub(crate) fn tool(guard: &Guard) -> Router {
        router(guard).unwrap()
    }
}

use aims::guard::CallReader;
use aims::oauth_wire::call::ToolCall;
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::wpt::Binding;
use axum::Router;
use axum::body::{Body, to_bytes};
use common::{Events, ISSUER, Scene, TOOL, Then, World};
use http::Request;
use serde_json::{Value, json};
use tower::Service as _;

const TRANSFER: &str = "https://tools.example/mcp/transfer";
const METADATA: &str = "/.well-known/oauth-protected-resource/mcp";
const MESSAGE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"transfer","arguments":{"to":"bob"}}}"#;

async fn send(router: &Router, request: Request<Body>) -> (u16, String) {
    let answer = router.clone().call(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 64 * 1024).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn scene(events: &Events) -> Scene {
    let metadata = ResourceMetadata::new(TOOL.parse().unwrap());
    let metadata = metadata.with_authorization_server(ISSUER.parse().unwrap());
    let events = events.clone();
    Scene::of(|guard| guard.clock(Then).metadata(metadata).record(events))
}

#[test]
fn the_page_has_this_code() {
    let page = include_str!("../guide/ask_a_human.md");
    assert!(page.contains(include_str!("guide/ask_a_human.rs")));
}

/// RFC 9728 §3.1: a client finds the metadata, which it reads by a request without content.
#[tokio::test]
async fn the_metadata_is_found() {
    let scene = scene(&Events::default());
    let layer = scene.guard.call_layer(CallReader::mcp());
    for router in [page::tool(&scene.guard), Router::new().layer(layer)] {
        let request = Request::get(METADATA).header("host", "tools.example");
        let (status, body) = send(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, 200, "{body}");
        let metadata: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(metadata["resource"], TOOL);
    }
}

/// Content that has no call, or several, is never that of the approved call.
#[tokio::test]
async fn the_content_has_the_approved_call() {
    let events = Events::default();
    let scene = scene(&events);
    let router = page::tool(&scene.guard);
    let call = ToolCall::from_mcp(MESSAGE.as_bytes()).unwrap().unwrap();
    let details: Value = serde_json::from_str(&call.details(TOOL).to_json()).unwrap();
    let other = MESSAGE.replace("bob", "eve");
    let batch = format!("[{MESSAGE}]");
    for (details, content, expected) in [
        (&details, "", (403, "guard.call")),
        (
            &details,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            (403, "guard.call"),
        ),
        (&details, "{", (400, "guard.call_malformed")),
        (&details, &batch, (400, "guard.call_malformed")),
        (&details, &other, (403, "guard.approval_call")),
        (&json!([]), MESSAGE, (403, "guard.approval")),
        (&details, MESSAGE, (200, "")),
        (&details, MESSAGE, (403, "guard.approval_used")),
    ] {
        let mut claims = World::claims(&scene.agent);
        claims["authorization_details"] = details.clone();
        let token = scene.world.token(&claims);
        let wpt = scene.agent.wpt(&Binding::to(TRANSFER).access_token(&token));
        let mut head = common::proven(scene.agent.wit.expose(), &wpt, Some(&token));
        head.uri = "/mcp/transfer".parse().unwrap();
        let request = Request::from_parts(head, Body::from(content.to_owned()));
        let (status, body) = send(&router, request).await;
        let event = events.0.lock().unwrap().pop().unwrap_or_default();
        events.0.lock().unwrap().clear();
        assert_eq!(status, expected.0, "{content} {event}");
        let code = format!("\"{}\"", expected.1);
        assert!(
            expected.1.is_empty() || event.contains(&code),
            "{content} {event}"
        );
        if status == 200 {
            assert!(body.starts_with(r#"transfer {"to":"bob"} for "#), "{body}");
        }
    }
}
