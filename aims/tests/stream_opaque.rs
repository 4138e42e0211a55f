//! Streams of opaque access tokens: at the ceiling, their issuer is asked again.

#![cfg(all(feature = "tool", feature = "tower"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::future::Future as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aims::guard::OpaqueTokens;
use aims::guard::layer::{ResponseBody, StreamEnded};
use aims::oauth_wire::introspection::Introspection;
use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
use aims::{Guard, Requirements};
use bytes::Bytes;
use common::{ISSUER, ManualClock, NOW, TOOL, World, bare, told};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use tower_layer::Layer as _;

const TOKEN: &str = "opaque-1";

/// An issuer that answers when it is permitted to, and counts the questions.
#[derive(Clone, Debug)]
struct Asked {
    answer: Arc<Mutex<Resolved>>,
    times: Arc<AtomicU64>,
    permits: Arc<Semaphore>,
}

impl Asked {
    fn saying(answer: &Value) -> Self {
        Self {
            answer: Arc::new(Mutex::new(says(answer))),
            times: Arc::default(),
            permits: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    fn set(&self, answer: Resolved) {
        *self.answer.lock().unwrap() = answer;
    }

    fn times(&self) -> u64 {
        self.times.load(Ordering::SeqCst)
    }
}

impl Resolve for Asked {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        assert!(matches!(need, Need::Introspection(request) if request.token.expose() == TOKEN));
        self.times.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            let _permit = self.permits.acquire().await.unwrap();
            self.answer.lock().unwrap().clone()
        })
    }
}

fn says(answer: &Value) -> Resolved {
    let response = Response::builder()
        .header("content-type", "application/json")
        .body(answer.to_string().into_bytes());
    Resolved::Introspected(Box::new(Introspection::parse(&response.unwrap()).unwrap()))
}

fn good() -> Value {
    json!({
        "active": true, "iss": ISSUER, "aud": TOOL, "sub": "alice", "client_id": "app",
        "scope": "tools:call", "exp": NOW + 300, "iat": NOW - 100, "token_type": "Bearer",
    })
}

/// An answer that differs from the good one in one member.
fn good_but(member: &str, value: Value) -> Value {
    let mut answer = good();
    if value.is_null() {
        answer.as_object_mut().unwrap().remove(member);
    } else {
        answer[member] = value;
    }
    answer
}

struct Scene {
    guard: Guard,
    clock: ManualClock,
    asked: Asked,
}

/// The two ends of a response.
struct Stream {
    sender: Sender<Bytes>,
    body: std::pin::Pin<Box<ResponseBody<Channel<Bytes, Infallible>>>>,
}

impl Stream {
    /// Sends a text. Returns it as it arrives, or the code of the end.
    async fn pass(&mut self, text: &'static str) -> String {
        self.sender.send_data(text.into()).await.unwrap();
        self.next().await
    }

    async fn next(&mut self) -> String {
        match self.body.frame().await.unwrap() {
            Ok(frame) => String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap(),
            Err(error) => error
                .downcast_ref::<StreamEnded>()
                .unwrap()
                .code()
                .to_owned(),
        }
    }
}

impl Scene {
    fn new(answer: &Value) -> Self {
        Self::with(answer, scopes())
    }

    fn with(answer: &Value, route: Requirements) -> Self {
        let world = World::new();
        let clock = ManualClock::default();
        let asked = Asked::saying(answer);
        let opaque = OpaqueTokens::of(ISSUER.parse().unwrap(), asked.clone());
        let guard = world
            .guard()
            .issuers(Arc::clone(&world.issuers))
            .opaque_tokens(opaque)
            .require(route)
            .clock(clock.clone());
        Self {
            guard: guard.build().unwrap(),
            clock,
            asked,
        }
    }

    async fn stream(&self) -> Stream {
        let (sender, body) = Channel::<Bytes, Infallible>::new(4);
        let body = Arc::new(Mutex::new(Some(body)));
        let handler = move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async move { Ok::<_, Infallible>(Response::new(body)) }
        };
        let service = self.guard.layer().layer(tower::service_fn(handler));
        let request = Request::from_parts(call(), Full::<Bytes>::default());
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Stream {
            sender,
            body: Box::pin(response.into_body()),
        }
    }

    fn at(&self, seconds: u64) {
        self.clock.set(seconds);
    }
}

fn scopes() -> Requirements {
    let scopes = "tools:call".parse().unwrap();
    Requirements::new().accept_bearer().scopes(scopes)
}

fn call() -> Parts {
    let mut request = bare();
    let value = format!("Bearer {TOKEN}").parse().unwrap();
    request.headers.insert("authorization", value);
    request
}

/// The first answer counts for a minute; then the issuer is asked once for the next minute.
#[tokio::test(start_paused = true)]
async fn the_issuer_is_asked_again_at_the_ceiling() {
    let scene = Scene::new(&good());
    let mut stream = scene.stream().await;
    for (seconds, times) in [(0, 1), (59, 1), (60, 2), (119, 2), (120, 3)] {
        scene.at(NOW + seconds);
        assert_eq!(stream.pass("piece").await, "piece");
        assert_eq!(scene.asked.times(), times, "{seconds}");
    }
    // An answer that another request has got is good for the stream.
    scene.at(NOW + 180);
    assert_eq!(told(scene.guard.admit(&call()).await).0, "ok");
    assert_eq!(stream.pass("piece").await, "piece");
    assert_eq!(scene.asked.times(), 4);
    // The end of the token stands.
    scene.asked.set(says(&good_but("exp", json!(NOW + 9_000))));
    scene.at(NOW + 331);
    assert_eq!(stream.pass("late").await, "guard.stream_expired");
    assert_eq!(scene.asked.times(), 4);
}

/// Without `exp`, a token lasts as long as its issuer says so.
#[tokio::test(start_paused = true)]
async fn a_token_without_an_end_is_asked_about_for_ever() {
    let scene = Scene::new(&good_but("exp", Value::Null));
    let mut stream = scene.stream().await;
    for (seconds, times) in [(59, 1), (91, 2), (9_000, 3)] {
        scene.at(NOW + seconds);
        assert_eq!(stream.pass("piece").await, "piece");
        assert_eq!(scene.asked.times(), times);
    }
    // From the answer that names an end, there is one.
    scene.asked.set(says(&good_but("exp", json!(NOW + 9_080))));
    scene.at(NOW + 9_060);
    assert_eq!(stream.pass("piece").await, "piece");
    scene.at(NOW + 9_111);
    assert_eq!(stream.pass("late").await, "guard.stream_expired");
}

/// Each second answer differs from a good one in one member.
#[tokio::test(start_paused = true)]
async fn another_answer_ends_the_stream() {
    for (member, value, expected) in [
        ("acr", json!("urn:example:other"), "piece"),
        ("scope", json!("tools:call more"), "piece"),
        ("active", json!(false), "guard.stream_revoked"),
        ("scope", json!("tools:read"), "guard.stream_revoked"),
        ("sub", json!("bob"), "guard.stream_revoked"),
        ("client_id", json!("other"), "guard.stream_revoked"),
        ("act", json!({"sub": "other"}), "guard.stream_revoked"),
        (
            "aud",
            json!("https://other.example"),
            "guard.stream_revoked",
        ),
        (
            "cnf",
            json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
            "guard.stream_revoked",
        ),
        ("exp", json!(NOW + 29), "guard.stream_expired"),
    ] {
        let scene = Scene::new(&good());
        let mut stream = scene.stream().await;
        scene.asked.set(says(&good_but(member, value)));
        scene.at(NOW + 60);
        assert_eq!(stream.pass("piece").await, expected, "{member}");
        assert_eq!(scene.asked.times(), 2);
    }
}

/// An issuer that cannot be asked at once is asked again, while nothing is passed on.
#[tokio::test(start_paused = true)]
async fn a_stream_asks_again_before_it_ends() {
    for (second, expected) in [
        (good(), "piece"),
        (good_but("active", json!(false)), "guard.stream_revoked"),
    ] {
        let scene = Scene::new(&good());
        let mut stream = scene.stream().await;
        scene.asked.set(Resolved::Unavailable);
        scene.at(NOW + 60);
        let passing = tokio::spawn(async move { stream.pass("piece").await });
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!passing.is_finished());
        scene.asked.set(says(&second));
        assert_eq!(passing.await.unwrap(), expected);
        assert_eq!(scene.asked.times(), 4);
    }
}

/// While the issuer is away, a stream cannot go on.
#[tokio::test(start_paused = true)]
async fn no_answer_ends_the_stream() {
    let scene = Scene::new(&good());
    let mut stream = scene.stream().await;
    scene.asked.set(Resolved::Unavailable);
    scene.at(NOW + 60);
    assert_eq!(stream.pass("piece").await, "guard.stream_stale");
    assert_eq!(scene.asked.times(), 4);
    // One that never answers is not waited for.
    let scene = Scene::new(&good());
    let mut stream = scene.stream().await;
    scene.asked.permits.forget_permits(Semaphore::MAX_PERMITS);
    scene.at(NOW + 60);
    assert_eq!(stream.pass("piece").await, "guard.stream_stale");
}

/// Nothing is passed on between the question and the answer.
#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_the_answer() {
    for (second, expected) in [
        (good(), "piece"),
        (good_but("active", json!(false)), "guard.stream_revoked"),
    ] {
        let scene = Scene::new(&good());
        let mut stream = scene.stream().await;
        scene.asked.permits.forget_permits(Semaphore::MAX_PERMITS);
        scene.asked.set(says(&second));
        scene.at(NOW + 60);
        stream.sender.send_data("piece".into()).await.unwrap();
        {
            let mut frame = std::pin::pin!(stream.body.frame());
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..3 {
                assert!(matches!(frame.as_mut().poll(&mut context), Poll::Pending));
            }
        }
        assert_eq!(scene.asked.times(), 2);
        scene.asked.permits.add_permits(1);
        assert_eq!(stream.next().await, expected);
        assert_eq!(scene.asked.times(), 2);
    }
}

/// A stream with nothing to pass on ends as well, on every route that does not name it.
#[tokio::test(start_paused = true)]
async fn an_idle_stream_ends_as_well() {
    let scene = Scene::with(&good(), Requirements::new().accept_bearer());
    let mut stream = scene.stream().await;
    scene.asked.set(says(&good_but("active", json!(false))));
    let clock = scene.clock.clone();
    let waiting = tokio::spawn(async move { stream.next().await });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!waiting.is_finished());
    clock.set(NOW + 60);
    assert_eq!(waiting.await.unwrap(), "guard.stream_revoked");
    let scene = Scene::with(&good(), scopes().outlive_credentials());
    let mut stream = scene.stream().await;
    scene.asked.set(says(&good_but("active", json!(false))));
    scene.at(NOW + 9_000);
    assert_eq!(stream.pass("piece").await, "piece");
    assert_eq!(scene.asked.times(), 1);
}
