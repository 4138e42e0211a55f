//! A guard's layer within a nested router: proofs are about the original URI.

#![cfg(all(feature = "agent", feature = "axum"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use aims::agent::{PendingResponse, RequestAuth};
use aims::guard::HttpSignatures;
use aims::wpt::Binding;
use aims::{Guard, Principal};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::post;
use common::{Events, NOW};
use http::request::Parts;
use http::{Request, Response, Uri};
use signed::{Meeting, TOOL_ID, Then, received, source};
use tower::ServiceExt as _;

/// Two nested routers, with the layer in the inner one.
fn nested(guard: &Guard) -> Router {
    let call = async |who: Principal, uri: Uri, content: String| {
        format!("{} sent {} to {uri}", who.subject(), content.len())
    };
    let plain = Router::new()
        .route("/plain", post(call))
        .layer(guard.layer());
    let whole = Router::new()
        .route("/whole", post(call))
        .layer(guard.layer());
    let tool = Router::new().merge(plain).merge(whole);
    Router::new().nest("/mcp", Router::new().nest("/v1", tool))
}

fn meeting(events: &Events) -> Meeting {
    let mut meeting = Meeting::taking(HttpSignatures::new());
    let tool = source(&meeting.world.agent(TOOL_ID));
    let signatures = HttpSignatures::new().answering_as(tool);
    let guard = meeting
        .world
        .guard()
        .clock(Then(NOW))
        .record(events.clone());
    meeting.guard = guard.http_signatures(signatures).build().unwrap();
    meeting
}

async fn send(router: Router, head: Parts, content: Vec<u8>) -> Response<Vec<u8>> {
    let request = Request::from_parts(head, Body::from(content));
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let content = to_bytes(body, 10_000).await.unwrap().to_vec();
    Response::from_parts(head, content)
}

fn with_wpt(meeting: &Meeting, uri: &str) -> (Parts, Vec<u8>) {
    let mut request = Request::post(uri).body(b"{}".to_vec()).unwrap();
    let audience = uri.split('?').next().unwrap();
    let wpt = meeting.me.wpt(&Binding::to(audience));
    let headers = request.headers_mut();
    let wit = meeting.me.wit.expose();
    aims::wpt::fields::apply(headers, wit, &wpt, aims::wpt::Revision::Draft01).unwrap();
    received(request)
}

fn with_signature(meeting: &Meeting, uri: &str) -> (Parts, Vec<u8>, PendingResponse) {
    let agent = meeting.agent_with(|it| {
        it.proof(RequestAuth::HttpSignature)
            .signed_responses(meeting.tools())
    });
    let mut request = Request::post(uri).body(b"{}".to_vec()).unwrap();
    let pending = agent.sign(&mut request).unwrap();
    let (head, content) = received(request);
    (head, content, pending)
}

fn last_code(events: &Events) -> String {
    let event = events.0.lock().unwrap().pop().unwrap();
    let code = event.split("code: Some(\"").nth(1);
    code.map_or("ok", |it| it.split('"').next().unwrap())
        .to_owned()
}

/// WPT-02, SIG-08: the prefix of the nest is a part of the target, and the handler gets the
/// shortened path.
#[tokio::test]
async fn proofs_are_about_the_uri_that_came() {
    let events = Events::default();
    let meeting = meeting(&events);
    let told = |path: &str| format!("spiffe://example.org/agent sent 2 to {path}").into_bytes();
    for path in ["/plain", "/plain?x=/mcp", "/whole", "/whole?x=/mcp"] {
        let uri = format!("https://tools.example/mcp/v1{path}");
        let (head, content) = with_wpt(&meeting, &uri);
        let answer = send(nested(&meeting.guard), head, content).await;
        assert_eq!(
            (answer.status().as_u16(), answer.body()),
            (200, &told(path))
        );
    }
    let uri = "https://tools.example/mcp/v1/whole?x=%2F";
    let (head, content, pending) = with_signature(&meeting, uri);
    let answer = send(nested(&meeting.guard), head, content).await;
    assert_eq!(answer.body(), &told("/whole?x=%2F"));
    // The signed answer is about the request as it was sent.
    assert!(answer.headers().contains_key("signature"));
    pending.finish(answer).unwrap();
    assert!(last_code(&events) == "ok");
}

/// Each request differs from a valid call in the path of its proof.
#[tokio::test]
async fn a_proof_for_the_shorter_path_is_refused() {
    let events = Events::default();
    let meeting = meeting(&events);
    for (path, code) in [("/plain", "wpt.audience"), ("/whole", "wpt.audience")] {
        let (mut head, content) = with_wpt(&meeting, &format!("https://tools.example{path}"));
        head.uri = format!("/mcp/v1{path}").parse().unwrap();
        let answer = send(nested(&meeting.guard), head, content).await;
        assert_eq!(answer.status().as_u16(), 400);
        assert_eq!(last_code(&events), code);
    }
    let (mut head, content, _pending) = with_signature(&meeting, "https://tools.example/whole");
    head.uri = "/mcp/v1/whole".parse().unwrap();
    let answer = send(nested(&meeting.guard), head, content).await;
    assert_eq!(answer.status().as_u16(), 400);
    assert_eq!(last_code(&events), "sig.audience");
}

/// A prefix that was removed before axum got the request is not known, so the proof is refused.
#[tokio::test]
async fn a_prefix_that_went_before_is_missed() {
    let events = Events::default();
    let meeting = meeting(&events);
    let uri = "https://tools.example/api/mcp/v1/whole";
    let (mut head, content) = with_wpt(&meeting, uri);
    head.uri = "/mcp/v1/whole".parse().unwrap();
    send(nested(&meeting.guard), head, content).await;
    assert_eq!(last_code(&events), "wpt.audience");
}
