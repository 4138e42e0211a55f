//! A streamed response ends with the credentials of its request: by a revocation, and on routes
//! that require rights when they expire.

#![cfg(all(feature = "tool", feature = "tower"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aims::guard::layer::StreamEnded;
use aims::jose::time::UnixTime;
use aims::oauth_wire::authorization_details::ToolDetail;
use aims::revoked::{Credential, RevocationList, Revoked, RevokedBy};
use aims::{Guard, Requirements};
use bytes::Bytes;
use common::{Events, ISSUER, ManualClock, NOW, World, at, bare};
use http::{HeaderMap, Request, Response};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt as _, Full};
use tower::ServiceExt as _;
use tower_layer::Layer as _;

/// A list that may be a stale copy.
#[derive(Debug)]
struct Copied(RevocationList, AtomicBool);

impl Revoked for Copied {
    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool {
        self.0.is_revoked(credential, now)
    }

    fn is_current(&self) -> bool {
        self.1.load(Ordering::SeqCst)
    }
}

struct Scene {
    world: World,
    guard: Guard,
    clock: ManualClock,
    revoked: Arc<Copied>,
    events: Events,
}

type Answer = (
    Sender<Bytes>,
    std::pin::Pin<Box<aims::guard::layer::ResponseBody<Channel<Bytes, Infallible>>>>,
);

impl Scene {
    fn new(route: Requirements) -> Self {
        let world = World::new();
        let clock = ManualClock::default();
        let list = RevocationList::new(100).with_clock(clock.clone());
        let revoked = Arc::new(Copied(list, AtomicBool::new(true)));
        let events = Events::default();
        let guard = world
            .guard()
            .issuers(Arc::clone(&world.issuers))
            .require(route)
            .revoked(Arc::clone(&revoked))
            .record(events.clone())
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            world,
            guard,
            clock,
            revoked,
            events,
        }
    }

    /// Makes a call with a token that ends in five minutes, and returns the response's two ends.
    async fn call(&self, content_type: &'static str) -> Answer {
        self.answered(content_type, content_type).await
    }

    /// The same, with another content type in the response.
    async fn answered(&self, content_type: &'static str, answered: &'static str) -> Answer {
        let agent = self.world.agent("spiffe://example.org/agent");
        let mut claims = World::claims(&agent);
        claims["client_id"] = "web".into();
        claims["sub"] = "alice".into();
        claims.as_object_mut().unwrap().remove("cnf");
        claims["roles"] = serde_json::json!(["operator"]);
        claims["authorization_details"] =
            serde_json::json!([{"type": "aims_tool", "actions": ["read"]}]);
        let mut head = bare();
        let token = format!("Bearer {}", self.world.token(&claims));
        head.headers.insert("authorization", token.parse().unwrap());
        head.headers
            .insert("content-type", content_type.parse().unwrap());
        let (sender, body) = Channel::<Bytes, Infallible>::new(4);
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        let handler = move |_| {
            let body = body.lock().unwrap().take().unwrap();
            let response = Response::builder().header("content-type", answered);
            async move { Ok::<_, Infallible>(response.body(body).unwrap()) }
        };
        let service = self.guard.layer().layer(tower::service_fn(handler));
        head.version = http::Version::HTTP_2;
        let request = Request::from_parts(head, Full::<Bytes>::default());
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        (sender, Box::pin(response.into_body()))
    }

    fn at(&self, seconds: u64) {
        self.clock.set(seconds);
    }

    fn last_event(&self) -> String {
        self.events.0.lock().unwrap().last().unwrap().clone()
    }
}

fn scopes() -> Requirements {
    let scopes = "tools:call".parse().unwrap();
    Requirements::new().accept_bearer().scopes(scopes)
}

fn code(error: &(dyn std::error::Error + 'static)) -> &'static str {
    error.downcast_ref::<StreamEnded>().unwrap().code()
}

/// The last second is `exp` and the clock skew. An idle response ends as well.
#[tokio::test(start_paused = true)]
async fn a_response_ends_with_its_token() {
    let scene = Scene::new(scopes());
    let (mut sender, mut body) = scene.call("application/json").await;
    sender.send_data("one".into()).await.unwrap();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "one");
    scene.at(NOW + 329);
    sender.send_data("two".into()).await.unwrap();
    let second = body.frame().await.unwrap().unwrap();
    assert_eq!(second.into_data().unwrap(), "two");
    // What the service sends from then on is not passed on.
    scene.at(NOW + 331);
    sender.send_data("three".into()).await.unwrap();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(code(&*error), "guard.stream_expired");
    assert!(body.frame().await.is_none());
    let event = scene.last_event();
    assert!(
        event.contains(r#"code: Some("guard.stream_expired")"#),
        "{event}"
    );
    assert!(event.contains("alice"), "{event}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_response_ends_as_well() {
    let scene = Scene::new(scopes());
    let (_sender, mut body) = scene.call("text/event-stream").await;
    let clock = scene.clock.clone();
    let waiting = tokio::spawn(async move { body.frame().await.unwrap().unwrap_err() });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!waiting.is_finished());
    clock.set(NOW + 331);
    let error = waiting.await.unwrap();
    assert_eq!(code(&*error), "guard.stream_expired");
}

/// A revocation ends a response, idle or not.
#[tokio::test(start_paused = true)]
async fn a_response_ends_with_a_revocation() {
    let scene = Scene::new(scopes());
    let (mut sender, mut busy) = scene.call("application/json").await;
    let (_idle_sender, mut idle) = scene.call("application/json").await;
    let waiting = tokio::spawn(async move { idle.frame().await.unwrap().unwrap_err() });
    sender.send_data("one".into()).await.unwrap();
    assert!(busy.frame().await.unwrap().is_ok());
    let alice = |issuer: &str| RevokedBy::Subject {
        issuer: issuer.to_owned(),
        subject: "alice".to_owned(),
    };
    let list = &scene.revoked.0;
    list.revoke(alice("https://other.example"), at(NOW));
    sender.send_data("two".into()).await.unwrap();
    assert!(busy.frame().await.unwrap().is_ok());
    assert!(!waiting.is_finished());
    list.revoke(alice(ISSUER), at(NOW));
    sender.send_data("three".into()).await.unwrap();
    let error = busy.frame().await.unwrap().unwrap_err();
    assert_eq!(code(&*error), "guard.stream_revoked");
    let error = waiting.await.unwrap();
    assert_eq!(code(&*error), "guard.stream_revoked");
}

/// A response ends when revocations may be missing.
#[tokio::test(start_paused = true)]
async fn a_response_ends_with_a_stale_list() {
    let scene = Scene::new(scopes());
    let (mut sender, mut body) = scene.call("application/json").await;
    let (_sender, mut grpc) = scene.call("application/grpc").await;
    scene.revoked.1.store(false, Ordering::SeqCst);
    sender.send_data("one".into()).await.unwrap();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(code(&*error), "guard.stream_stale");
    assert!(scene.last_event().contains("guard.stream_stale"));
    let last = grpc.frame().await.unwrap().unwrap();
    assert_eq!(last.into_trailers().unwrap()["grpc-status"], "14");
}

/// A call of gRPC ends with a status.
#[tokio::test(start_paused = true)]
async fn a_call_of_grpc_ends_with_a_status() {
    let scene = Scene::new(scopes());
    let (_sender, mut body) = scene.call("application/grpc").await;
    scene.at(NOW + 331);
    let last = body.frame().await.unwrap().unwrap();
    let status: HeaderMap = last.into_trailers().unwrap();
    assert_eq!(status["grpc-status"], "16");
    assert!(body.frame().await.is_none());
    // Only a response of gRPC has trailers of gRPC.
    let scene = Scene::new(scopes());
    let (_sender, mut body) = scene
        .answered("application/grpc", "text/event-stream")
        .await;
    scene.at(NOW + 331);
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(code(&*error), "guard.stream_expired");
}

/// A route may let responses stream on by name.
#[tokio::test(start_paused = true)]
async fn a_route_may_let_responses_stream_on() {
    for route in [
        scopes().outlive_credentials(),
        Requirements::new().accept_bearer().outlive_credentials(),
    ] {
        let scene = Scene::new(route);
        let (mut sender, mut body) = scene.call("application/json").await;
        scene.at(NOW + 86_400);
        let list = &scene.revoked.0;
        list.revoke(RevokedBy::Issuer(ISSUER.to_owned()), at(NOW));
        scene.revoked.1.store(false, Ordering::SeqCst);
        sender.send_data("late".into()).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "late");
        drop(sender);
        assert!(body.frame().await.is_none());
    }
}

/// On a route that requires no rights, a response goes on when its token expires, and ends with a
/// revocation, or when that is not known.
#[tokio::test(start_paused = true)]
async fn a_revocation_ends_every_response() {
    for (is_stale, expected) in [
        (false, "guard.stream_revoked"),
        (true, "guard.stream_stale"),
    ] {
        let scene = Scene::new(Requirements::new().accept_bearer());
        let (mut sender, mut body) = scene.call("application/json").await;
        scene.at(NOW + 86_400);
        sender.send_data("late".into()).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "late");
        if is_stale {
            scene.revoked.1.store(false, Ordering::SeqCst);
        } else {
            let list = &scene.revoked.0;
            list.revoke(RevokedBy::Issuer(ISSUER.to_owned()), at(NOW));
        }
        sender.send_data("later".into()).await.unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(code(&*error), expected);
    }
}

/// Roles and authorization details are rights like scopes.
#[tokio::test(start_paused = true)]
async fn every_right_ends_with_its_token() {
    let bearer = || Requirements::new().accept_bearer();
    let detail = || ToolDetail::new().actions(["read"]);
    for (route, expected) in [
        (bearer().roles(["operator"]), Some("guard.stream_expired")),
        (bearer().details(detail()), Some("guard.stream_expired")),
        (bearer().issuer(ISSUER.parse().unwrap()), None),
    ] {
        let scene = Scene::new(route);
        let (mut sender, mut body) = scene.call("application/json").await;
        scene.at(NOW + 331);
        sender.send_data("late".into()).await.unwrap();
        let frame = body.frame().await.unwrap();
        let found = frame.as_ref().err().map(|error| code(&**error));
        assert_eq!(found, expected);
    }
}

/// A response that is complete in time is not touched.
#[tokio::test(start_paused = true)]
async fn a_complete_response_is_unchanged() {
    let scene = Scene::new(scopes());
    let (mut sender, body) = scene.call("application/json").await;
    sender.send_data("whole".into()).await.unwrap();
    drop(sender);
    let whole = body.collect().await.unwrap().to_bytes();
    assert_eq!(whole, "whole");
}
