//! One layer: bodies that no proof covers stream, and a request that cannot be answered is refused
//! first.

#![cfg(all(feature = "agent", feature = "axum"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aims::guard::HttpSignatures;
use aims::guard::layer::RequestBody;
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::{Guard, Principal, Requirements};
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use bytes::Bytes;
use common::{CALL, TOOL, World};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full};
use signed::{Meeting, TOOL_ID, received};
use tower::{Layer as _, ServiceExt as _};

/// A body that never ends, and is not `Unpin`.
struct Endless(std::marker::PhantomPinned);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more ")))))
    }
}

/// A body that never yields anything.
struct Stuck;

impl http_body::Body for Stuck {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// A request and a response without end pass through if no accepted proof covers the content.
#[tokio::test]
async fn bodies_that_no_proof_covers_stream() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let service = tower::service_fn(|request: Request<RequestBody<Endless>>| async {
        let who = request.extensions().get::<Principal>().unwrap().clone();
        assert!(!who.covers_content());
        let mut body = Box::pin(request.into_body());
        for _ in 0..3 {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(data, "more ");
        }
        Ok::<_, Infallible>(Response::new(Endless(std::marker::PhantomPinned)))
    });
    let mut head = meeting.me.call();
    // A digest that nothing covers is not a proof and is no reason to refuse the request.
    let digest = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
    head.headers
        .insert("content-digest", digest.parse().unwrap());
    let request = Request::from_parts(head, Endless(std::marker::PhantomPinned));
    let answer = meeting.guard.layer().layer(service).oneshot(request).await;
    let mut body = Box::pin(answer.unwrap().into_body());
    for _ in 0..3 {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, "more ");
    }
}

fn signed_head(meeting: &Meeting, ask: bool, content: &[u8]) -> http::request::Parts {
    let agent = meeting.agent_with(|it| {
        if ask {
            it.signed_responses(meeting.tools())
        } else {
            it
        }
    });
    let mut request = Request::post(CALL).body(content.to_vec()).unwrap();
    drop(agent.sign(&mut request).unwrap());
    received(request).0
}

/// The layer waits for a content up to a deadline, and then refuses without spending the proof.
#[tokio::test(start_paused = true)]
async fn a_signed_content_has_its_deadline() {
    let seconds = Duration::from_secs(3);
    let signatures = HttpSignatures::new().with_content_deadline(seconds);
    let meeting = Meeting::taking(signatures);
    let head = signed_head(&meeting, false, b"{}");
    let never = tower::service_fn(|_: Request<RequestBody<Stuck>>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let began = tokio::time::Instant::now();
    let request = Request::from_parts(head.clone(), Stuck);
    let answer = meeting.guard.layer().layer(never).oneshot(request).await;
    assert_eq!(answer.unwrap().status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(began.elapsed(), seconds);
    let now = common::at(common::NOW);
    assert!(meeting.guard.check((&head, b"{}"), now).is_ok());
}

/// If responses stream, a demand for a signed one is refused before the handler is called.
#[tokio::test]
async fn a_route_that_streams_signs_nothing() {
    let meeting = Meeting::answering();
    let streams = Requirements::new().streams();
    let streaming = meeting.guard.requiring(streams.clone()).unwrap();
    let status = async |guard: &Guard, ask| {
        let service = tower::service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("data")))
        });
        let head = signed_head(&meeting, ask, b"{}");
        let request = Request::from_parts(head, Full::<Bytes>::from("{}"));
        let answer = guard.layer().layer(service).oneshot(request).await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(status(&streaming, true).await, 501);
    assert_eq!(status(&streaming, false).await, 200);
    assert_eq!(status(&meeting.guard, true).await, 200);
    let now = common::at(common::NOW);
    let head = signed_head(&meeting, true, b"{}");
    let refusal = streaming.check((&head, b"{}"), now).unwrap_err();
    assert_eq!(refusal.code(), "guard.streams");
    let source = signed::source(&meeting.world.agent(TOOL_ID));
    let every = HttpSignatures::new().answering_as(source);
    let guard = meeting.world.guard().require(streams);
    let built = guard
        .http_signatures(every.signing_every_response())
        .build();
    assert!(built.is_err());
}

async fn get(router: Router, method: &str, path: &str) -> (u16, Bytes) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("host", "tools.example").body(Body::empty());
    let answer = router.oneshot(request.unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        answer.into_body().collect().await.unwrap().to_bytes(),
    )
}

/// The layer serves the metadata to every client, and `metadata_routes` does if the layer is
/// nested.
#[tokio::test]
async fn the_metadata_is_served() {
    let world = World::new();
    let metadata = ResourceMetadata::new(TOOL.parse().unwrap());
    let guard = world.guard().metadata(metadata).build().unwrap();
    let path = "/.well-known/oauth-protected-resource/mcp";
    let call = || Router::new().route("/call", post(async || "done"));
    let outer = Router::new().nest("/mcp", call()).layer(guard.layer());
    let nested = Router::new()
        .nest("/mcp", call().layer(guard.layer()))
        .merge(guard.metadata_routes());
    for router in [outer, nested] {
        let (status, document) = get(router.clone(), "GET", path).await;
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!((status, &document["resource"]), (200, &TOOL.into()));
        assert_eq!(get(router.clone(), "HEAD", path).await, (200, Bytes::new()));
        assert_eq!(get(router.clone(), "POST", path).await.0, 405);
        assert_eq!(get(router, "POST", "/mcp/call").await.0, 400);
    }
    let none = world.guard().build().unwrap();
    let router = Router::new().merge(none.metadata_routes());
    assert_eq!(get(router, "GET", path).await.0, 404);
}
