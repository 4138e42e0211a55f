//! Failures after a request was accepted: their event has all that the first one had.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use aims::decision::{Attributes, Extract};
use aims::guard::HttpSignatures;
use aims::guard::layer::RequestBody;
use aims::record::{Event, Fingerprints, Record};
use aims::wpt::Binding;
use bytes::Bytes;
use common::CALL;
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use signed::{Meeting, TOOL_ID, received, source};
use tower::{Layer as _, ServiceExt as _};

/// Data of an outer layer of the program about a request.
#[derive(Clone)]
struct Session(&'static str);

/// Reads data that no header field has, and counts its calls.
#[derive(Clone, Debug, Default)]
struct OfSession(Arc<AtomicUsize>);

impl Extract for OfSession {
    fn extract(&self, request: &Parts, call: &mut Attributes) {
        self.0.fetch_add(1, Ordering::SeqCst);
        if let Some(Session(id)) = request.extensions.get() {
            call.insert(Attributes::REQUEST_ID, *id);
        }
        let host = request.headers.get("host").unwrap();
        call.insert("host", host.to_str().unwrap());
    }
}

/// Code, identifier, attributes, details and fingerprints of each event.
type Kept = (String, Option<String>, Attributes, String, Fingerprints);

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<Kept>>>);

impl Record for Events {
    fn record(&self, event: &Event<'_>) {
        let details: Vec<_> = event.reasons.iter().map(|it| &*it.detail).collect();
        self.0.lock().unwrap().push((
            event.code.unwrap_or("ok").to_owned(),
            event.request_id.map(str::to_owned),
            event.attributes.clone(),
            details.concat(),
            event.fingerprints,
        ));
    }
}

/// Yields some pieces, and then the end or nothing more.
struct Pieces {
    left: Vec<Bytes>,
    ends: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

struct Scene {
    meeting: Meeting,
    events: Events,
    extract: OfSession,
}

impl Scene {
    fn new(with: impl FnOnce(HttpSignatures) -> HttpSignatures) -> Self {
        let (events, extract) = (Events::default(), OfSession::default());
        let meeting = Meeting::new(
            |it, world| {
                let tool = source(&world.agent(TOOL_ID));
                let it = it.http_signatures(with(HttpSignatures::new().answering_as(tool)));
                it.record(events.clone()).extract(extract.clone())
            },
            HttpSignatures::new(),
        );
        Self {
            meeting,
            events,
            extract,
        }
    }

    /// Returns a signed call with a WPT, of a known session.
    fn call(&self, content: &[u8]) -> Parts {
        let agent = self
            .meeting
            .agent_with(|it| it.signed_responses(self.meeting.tools()));
        let mut request = Request::post(CALL).body(content.to_vec()).unwrap();
        let wpt = self.meeting.me.wpt(&Binding::to(CALL)).parse().unwrap();
        request.headers_mut().insert("workload-proof-token", wpt);
        drop(agent.sign(&mut request).unwrap());
        let (mut head, _) = received(request);
        head.extensions.insert(Session("session-1"));
        head
    }

    /// Returns the code and the detail of the later event, after comparing the rest with the first
    /// one.
    fn later(&self) -> (String, String) {
        let mut events = self.events.0.lock().unwrap();
        assert_eq!(events.len(), 2, "{events:?}");
        let (first, later) = (events.remove(0), events.remove(0));
        assert_eq!(first.0, "ok");
        assert_eq!(later.1.as_deref(), Some("session-1"));
        assert_eq!(later.2.get("host"), Some("tools.example"));
        assert_eq!((&later.2, later.4), (&first.2, first.4));
        assert!(later.4.wpt.is_some() && later.4.wit.is_some());
        assert_eq!(self.extract.0.load(Ordering::SeqCst), 1);
        (later.0, later.3)
    }
}

/// The content turns out to be wrong while the handler reads it.
#[tokio::test]
async fn a_content_that_is_another_one() {
    let scene = Scene::new(|it| it);
    let piece = |byte| Bytes::from(vec![byte; 50_000]);
    let head = scene.call(&piece(b'a').repeat(4));
    let service = tower::service_fn(|request: Request<RequestBody<Pieces>>| async {
        assert!(request.into_body().collect().await.is_err());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let guarded = scene.meeting.guard.layer().layer(service);
    let left = [b'b', b'a', b'a', b'a'].map(piece).to_vec();
    let body = Pieces { left, ends: true };
    let answer = guarded.oneshot(Request::from_parts(head, body)).await;
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(scene.later().0, "digest.mismatch");
}

/// A response that must be signed and never ends: the caller gets 501, and the record says how to
/// mark the route.
#[tokio::test(start_paused = true)]
async fn a_response_without_end() {
    for (named, seconds) in [(None, 30), (Some(3), 3)] {
        let scene = Scene::new(|it| match named {
            Some(seconds) => it.with_response_deadline(Duration::from_secs(seconds)),
            None => it,
        });
        let service = tower::service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
            let left = vec![Bytes::from_static(b"data")];
            Ok::<_, Infallible>(Response::new(Pieces { left, ends: false }))
        });
        let guarded = scene.meeting.guard.layer().layer(service);
        let request = Request::from_parts(scene.call(b"{}"), Full::<Bytes>::from("{}"));
        let began = tokio::time::Instant::now();
        let answer = guarded.oneshot(request).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(seconds));
        assert_eq!(answer.status(), 501);
        let (code, detail) = scene.later();
        assert_eq!(code, "sig.response_unsignable");
        for part in ["within", "streams", "with_response_deadline"] {
            assert!(detail.contains(part), "{detail}");
        }
    }
}

/// A response that is too long: the record names the limit.
#[tokio::test]
async fn a_response_that_is_too_long() {
    let scene = Scene::new(|it| it.with_max_response(3));
    let service = tower::service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("data")))
    });
    let guarded = scene.meeting.guard.layer().layer(service);
    let request = Request::from_parts(scene.call(b"{}"), Full::<Bytes>::from("{}"));
    assert_eq!(guarded.oneshot(request).await.unwrap().status(), 501);
    let (code, detail) = scene.later();
    assert_eq!(code, "sig.response_unsignable");
    for part in ["more than 3 bytes", "streams", "with_max_response"] {
        assert!(detail.contains(part), "{detail}");
    }
}
