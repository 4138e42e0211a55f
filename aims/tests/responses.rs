//! Signed responses, and contents that are compared while they are read.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use aims::cred::{FixedSource, Identity, IdentitySource};
use aims::fetch::Fetch as _;
use aims::guard::layer::{RequestBody, RequestBodyError, ResponseBody};
use aims::guard::{GuardBuilder, HttpSignatures, Trusting};
use aims::http_sig::digest::BodyError;
use aims::jose::time::{Clock, UnixTime};
use aims::revoked::{Credential, Revoked};
use bytes::Bytes;
use common::{CALL, Calls, Events, NOW, World, at};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use signed::{Meeting, Net, received, source};
use tower::{Layer as _, ServiceExt as _};

/// Returns the agent's result for an answer that was changed on its way.
async fn judged(
    meeting: &Meeting,
    change: impl Fn(&mut Response<Vec<u8>>) + Send + Sync + 'static,
) -> &'static str {
    let net = Net::changing(&meeting.guard, change);
    let agent = meeting.agent_with(|it| it.signed_responses(meeting.tools()).client(Calls(net)));
    let request = Request::post(CALL).body("{}".to_owned()).unwrap();
    match agent.send(request).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

/// SIG-02, SIG-05, SIG-09: each answer differs from the tool's answer in one thing.
#[tokio::test]
async fn what_differs_from_what_the_tool_signed_is_refused() {
    let meeting = Meeting::answering();
    assert_eq!(judged(&meeting, |_| {}).await, "ok");
    let changed = judged(&meeting, |answer| answer.body_mut().push(b'!')).await;
    assert_eq!(changed, "digest.mismatch");
    let changed = judged(&meeting, |answer| {
        *answer.status_mut() = StatusCode::CREATED
    })
    .await;
    assert_eq!(changed, "sig.signature");
    let bare = |answer: &mut Response<Vec<u8>>| {
        answer.headers_mut().remove("signature");
        answer.headers_mut().remove("signature-input");
    };
    assert_eq!(judged(&meeting, bare).await, "sig.response_unsigned");
    let changed = judged(&meeting, |answer| {
        answer.headers_mut().remove("workload-identity-token");
    });
    assert_eq!(changed.await, "sig.key_unknown");
    let typed = |answer: &mut Response<Vec<u8>>| {
        let value = "text/html".parse().unwrap();
        answer.headers_mut().insert("content-type", value);
    };
    assert_eq!(judged(&meeting, typed).await, "sig.component_required");
    let stranger = meeting.world.agent("wimse://example.org/tool");
    let wit = stranger.wit.expose().to_owned();
    let changed = judged(&meeting, move |answer| {
        let wit = wit.parse().unwrap();
        answer.headers_mut().insert("workload-identity-token", wit);
    });
    assert_eq!(changed.await, "trust.unknown_origin");
}

/// T-069: the answer to another request is refused.
#[tokio::test]
async fn an_answer_is_to_one_request() {
    let meeting = Meeting::answering();
    let kept: Arc<Mutex<Option<Response<Vec<u8>>>>> = Arc::default();
    let swap = move |answer: &mut Response<Vec<u8>>| {
        let mut kept = kept.lock().unwrap();
        match kept.take() {
            Some(first) => *answer = first,
            None => *kept = Some(answer.clone()),
        }
    };
    let net = Net::changing(&meeting.guard, swap);
    let agent = meeting.agent_with(|it| it.signed_responses(meeting.tools()).client(Calls(net)));
    let send = || agent.send(Request::post(CALL).body(String::new()).unwrap());
    assert!(send().await.is_ok());
    assert_eq!(send().await.unwrap_err().code(), "sig.request_nonce");
}

/// SIG-09: an existing signature is always verified, requested or not, and an unknown key is not
/// trusted.
#[tokio::test]
async fn a_signature_that_nobody_asked_for_is_verified() {
    let meeting = Meeting::answering_with(HttpSignatures::signing_every_response);
    let content = meeting
        .call(|it| it.signed_responses(meeting.tools()), b"")
        .await;
    assert!(content.is_ok());
    let told = meeting.call(|it| it, b"").await;
    assert_eq!(told.unwrap_err().code(), "sig.key_unknown");
}

/// SIG-09: a response that is too long to be signed is an error, never an unsigned success.
#[tokio::test]
async fn what_cannot_be_signed_is_not_said() {
    let meeting = Meeting::answering_with(|it| it.with_max_response(8));
    let agent = meeting.agent_with(|it| it.signed_responses(meeting.tools()));
    let answer = answer(&meeting, &agent, Request::post(CALL), Chunks::of([b"{}"])).await;
    assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(!body.windows(4).any(|it| it == b"sent"));
}

/// An answer without content is signed without digest.
#[tokio::test]
async fn an_answer_to_head_has_no_content() {
    let meeting = Meeting::answering();
    let net = Net::changing(&meeting.guard, |answer| answer.body_mut().clear());
    let agent = meeting.agent_with(|it| it.signed_responses(meeting.tools()).client(Calls(net)));
    let request = Request::builder().method(Method::HEAD).uri(CALL);
    let answer = agent
        .send(request.body(String::new()).unwrap())
        .await
        .unwrap();
    assert!(!answer.headers().contains_key("content-digest"));
}

/// T-062: a short content is compared before the handler is called. A long one ends with an error.
#[tokio::test]
async fn a_content_is_compared_before_its_end() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let long = vec![b'a'; 60_000];
    for (pieces, called) in [
        (vec![b"{}".to_vec()], false),
        (vec![b"{".to_vec(), b"}".to_vec()], false),
        (vec![long.clone(), long.clone(), long.clone()], true),
    ] {
        let whole: Vec<u8> = pieces.concat();
        let mut request = Request::post(CALL).body(whole.clone()).unwrap();
        drop(meeting.agent.sign(&mut request).unwrap());
        let good = through(&meeting, request.clone(), Chunks::of(&pieces)).await;
        assert_eq!(good, (StatusCode::OK, whole.len().to_string()));
        let mut request = Request::post(CALL).body(whole).unwrap();
        drop(meeting.agent.sign(&mut request).unwrap());
        let mut wrong = pieces.clone();
        *wrong.last_mut().unwrap().last_mut().unwrap() ^= 1;
        let bad = through(&meeting, request, Chunks::of(&wrong)).await;
        let expected = if called {
            (StatusCode::OK, "digest.mismatch".to_owned())
        } else {
            (StatusCode::BAD_REQUEST, String::new())
        };
        assert_eq!(bad, expected);
    }
}

/// A content beyond the limit is refused, however it is sent. An incomplete content is refused.
#[tokio::test]
async fn contents_are_bounded() {
    let meeting = Meeting::taking(HttpSignatures::new().with_max_content(10));
    let mut request = Request::post(CALL).body(b"0123456789a".to_vec()).unwrap();
    drop(meeting.agent.sign(&mut request).unwrap());
    let told = through(
        &meeting,
        request,
        Chunks::of([b"01234", b"56789", b"a----"]),
    )
    .await;
    assert_eq!(told.0, StatusCode::BAD_REQUEST);
}

/// T-142: a slow sender is judged by the time when its content has arrived.
#[tokio::test]
async fn a_slow_content_is_judged_when_it_is_there() {
    for (takes, code) in [
        (10, None),
        (91, Some("replay.expired")),
        (3_700, Some("wit.expired")),
        (30, Some("wit.revoked")),
    ] {
        let clock = Hand::default();
        let events = Events::default();
        let meeting = Meeting::new(
            |it, _| {
                let it = it.clock(clock.clone()).record(events.clone());
                if takes == 30 { it.revoked(Later) } else { it }
            },
            HttpSignatures::new(),
        );
        let mut request = Request::post(CALL).body(b"{}".to_vec()).unwrap();
        drop(meeting.agent.sign(&mut request).unwrap());
        let (head, _) = received(request);
        let body = Slow(clock, takes, Some(Bytes::from_static(b"{}")));
        let calls = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&calls);
        let service = tower::service_fn(move |_: Request<RequestBody<Slow>>| {
            *counted.lock().unwrap() += 1;
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        });
        let guarded = meeting.guard.layer().layer(service);
        let answer = guarded.oneshot(Request::from_parts(head, body)).await;
        let refused = answer.unwrap().status() == StatusCode::BAD_REQUEST;
        assert_eq!(refused, code.is_some(), "{takes}");
        assert_eq!(*calls.lock().unwrap(), usize::from(!refused), "{takes}");
        let told = events.0.lock().unwrap().concat();
        let expected = format!("code: {code:?}");
        assert!(told.contains(&expected), "{takes}: {told}");
    }
}

/// Unsigned trailers do not reach the handler.
#[tokio::test]
async fn trailers_are_dropped() {
    let meeting = Meeting::taking(HttpSignatures::new());
    for pieces in [1, 4] {
        let whole = vec![b'a'; pieces * 60_000];
        let mut request = Request::post(CALL).body(whole.clone()).unwrap();
        drop(meeting.agent.sign(&mut request).unwrap());
        let (head, _) = received(request);
        let service = tower::service_fn(|request: Request<RequestBody<Trailed>>| async {
            let content = request.into_body().collect().await.unwrap();
            assert!(content.trailers().is_none());
            let length = content.to_bytes().len().to_string();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(length.into_bytes())))
        });
        let guarded = meeting.guard.layer().layer(service);
        let body = Trailed(Chunks::of(whole.chunks(60_000)), true);
        let answer = guarded.oneshot(Request::from_parts(head, body)).await;
        let told = answer.unwrap().into_body().collect().await.unwrap();
        assert_eq!(told.to_bytes(), (pieces * 60_000).to_string());
    }
}

/// Every call is recorded once, with the method of its proof.
#[tokio::test]
async fn a_signed_call_is_recorded() {
    let events = Events::default();
    let meeting = Meeting::new(|it, _| it.record(events.clone()), HttpSignatures::new());
    let mut request = Request::post(CALL).body(b"{}".to_vec()).unwrap();
    drop(meeting.agent.sign(&mut request).unwrap());
    let (head, content) = received(request);
    assert!(meeting.guard.check((&head, b"[]"), at(NOW)).is_err());
    assert!(meeting.guard.check((&head, &content), at(NOW)).is_ok());
    let events = events.0.lock().unwrap();
    assert_eq!(events.len(), 2);
    assert!(
        events[0].contains("proofs: []") && events[0].contains(r#"code: Some("digest.mismatch")"#)
    );
    assert!(events[1].contains("proofs: [HttpSignature]") && events[1].contains("code: None"));
}

/// A failure after a call was accepted is a separate event: a long content that differs (T-062),
/// and an answer that cannot be signed (SIG-09).
#[tokio::test]
async fn what_is_found_out_later_is_recorded() {
    let events = Events::default();
    let with = |it: GuardBuilder<Trusting>, world: &World| {
        let tool = source(&world.agent(signed::TOOL_ID));
        let answering = HttpSignatures::new()
            .answering_as(tool)
            .with_max_response(8);
        it.http_signatures(answering).record(events.clone())
    };
    let meeting = Meeting::new(with, HttpSignatures::new());
    let last = |code: &str| {
        let mut events = events.0.lock().unwrap();
        assert_eq!(events.len(), 2);
        assert!(events[0].contains("Accepted") && events[0].contains("code: None"));
        assert!(events[1].contains("outcome: Refused") && events[1].contains("{ agent: Some("));
        assert!(
            events[1].contains(&format!("code: Some({code:?})")),
            "{}",
            events[1]
        );
        events.drain(..).next_back().unwrap()
    };

    let mut pieces = vec![vec![b'a'; 60_000]; 3];
    let mut request = Request::post(CALL).body(pieces.concat()).unwrap();
    drop(meeting.agent.sign(&mut request).unwrap());
    *pieces[2].last_mut().unwrap() = b'b';
    let told = through(&meeting, request, Chunks::of(&pieces)).await;
    assert_eq!(told, (StatusCode::OK, "digest.mismatch".to_owned()));
    last("digest.mismatch");

    let agent = meeting.agent_with(|it| it.signed_responses(meeting.tools()));
    let answer = answer(&meeting, &agent, Request::post(CALL), Chunks::of([b"{}"])).await;
    assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED);
    let event = last("sig.response_unsignable");
    assert!(event.contains("length limit exceeded"), "{event}");
}

/// A content that breaks off is a separate event as well, because it could not be compared.
#[tokio::test]
async fn a_content_that_breaks_off_is_recorded() {
    let events = Events::default();
    let meeting = Meeting::new(|it, _| it.record(events.clone()), HttpSignatures::new());
    let pieces = vec![vec![b'a'; 60_000]; 4];
    let mut request = Request::post(CALL).body(pieces.concat()).unwrap();
    drop(meeting.agent.sign(&mut request).unwrap());
    let (head, _) = received(request);
    let service = tower::service_fn(|request: Request<RequestBody<BreakingOff>>| async {
        assert!(request.into_body().collect().await.is_err());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let guarded = meeting.guard.layer().layer(service);
    let body = BreakingOff(Chunks::of(&pieces[..3]));
    let answer = guarded.oneshot(Request::from_parts(head, body)).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    let events = events.0.lock().unwrap();
    assert_eq!(events.len(), 2);
    assert!(events[0].contains("outcome: Accepted"));
    assert!(events[1].contains("outcome: Refused") && events[1].contains("guard.content"));
}

/// T-023: no `Debug` form of the service or the agent prints a token, even for a long content.
#[tokio::test]
async fn nothing_prints_a_token() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let pieces = vec![vec![b'a'; 60_000]; 3];
    let request = Request::post(CALL).header("txn-token", "e30.e30.c2VjcmV0");
    let mut request = request.body(pieces.concat()).unwrap();
    let pending = format!("{:?}", meeting.agent.sign(&mut request).unwrap());
    let (head, _) = received(request);
    let service = tower::service_fn(|request: Request<RequestBody<Chunks>>| async move {
        let printed = format!("{:?}", request.body());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(printed)))
    });
    let guarded = meeting.guard.layer().layer(service);
    let request = Request::from_parts(head, Chunks::of(&pieces));
    let answer = guarded.oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    for printed in [pending, String::from_utf8(body.to_vec()).unwrap()] {
        assert!(!printed.contains("c2VjcmV0"), "{printed}");
        assert!(!printed.contains(meeting.me.wit.expose()), "{printed}");
    }
}

/// SIG-09: a tool without an identity at present is not called, because its answer could not be
/// signed.
#[tokio::test]
async fn who_cannot_answer_is_not_called() {
    for (state, status, calls) in [
        (Fading(true), StatusCode::NOT_IMPLEMENTED, 0),
        (Fading(false), StatusCode::OK, 1),
    ] {
        let with = |it: GuardBuilder<Trusting>, world: &World| {
            let tool = source(&world.agent(signed::TOOL_ID));
            it.http_signatures(HttpSignatures::new().answering_as(Faded(tool, state)))
        };
        let meeting = Meeting::new(with, HttpSignatures::new());
        let net = Net::of(&meeting.guard);
        let agent = meeting.agent_with(|it| it.signed_responses(meeting.tools()));
        let mut request = Request::post(CALL).body(b"{}".to_vec()).unwrap();
        drop(agent.sign(&mut request).unwrap());
        let answer = net.send(request).await.unwrap();
        assert_eq!(
            (answer.status(), *net.calls.lock().unwrap()),
            (status, calls)
        );
    }
}

/// Whether the identity has expired.
#[derive(Clone, Copy, Debug)]
struct Fading(bool);

#[derive(Debug)]
struct Faded(FixedSource, Fading);

impl IdentitySource for Faded {
    fn identity(&self, now: UnixTime) -> Result<Arc<Identity>, aims::cred::Error> {
        match self.1 {
            Fading(true) => Err(aims::cred::Error::SourceExpired),
            Fading(false) => self.0.identity(now),
        }
    }
}

/// A clock that the test sets.
#[derive(Clone, Debug)]
struct Hand(Arc<AtomicU64>);

impl Default for Hand {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }
}

impl Clock for Hand {
    fn now(&self) -> UnixTime {
        at(self.0.load(Ordering::SeqCst))
    }
}

/// Everything is revoked after a while.
#[derive(Debug)]
struct Later;

impl Revoked for Later {
    fn is_revoked(&self, _: Credential<'_>, now: UnixTime) -> bool {
        now > at(NOW + 20)
    }
}

/// A content that takes this number of seconds.
struct Slow(Hand, u64, Option<Bytes>);

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.0.store(NOW + self.1, Ordering::SeqCst);
        Poll::Ready(self.2.take().map(|piece| Ok(Frame::data(piece))))
    }
}

/// Yields pieces, and never ends.
struct BreakingOff(Chunks);

impl Body for BreakingOff {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.0).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            _ => Poll::Ready(Some(Err(std::io::Error::other("broken off")))),
        }
    }
}

/// Yields pieces, and then trailers.
struct Trailed(Chunks, bool);

impl Body for Trailed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match Pin::new(&mut self.0).poll_frame(context) {
            Poll::Ready(None) if self.1 => {
                self.1 = false;
                let mut trailers = http::HeaderMap::new();
                trailers.insert("x-evil", http::HeaderValue::from_static("1"));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            frame => frame,
        }
    }
}

/// Yields these pieces.
#[derive(Debug)]
struct Chunks(VecDeque<Bytes>);

impl Chunks {
    fn of<T: AsRef<[u8]>>(pieces: impl IntoIterator<Item = T>) -> Self {
        let copied = |piece: T| Bytes::copy_from_slice(piece.as_ref());
        Self(pieces.into_iter().map(copied).collect())
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// Returns the status, and how much the service read or why it could not.
async fn through(
    meeting: &Meeting,
    request: Request<Vec<u8>>,
    body: Chunks,
) -> (StatusCode, String) {
    let (head, _) = received(request);
    let service = tower::service_fn(|request: Request<RequestBody<Chunks>>| async {
        let told = match request.into_body().collect().await {
            Ok(content) => content.to_bytes().len().to_string(),
            Err(RequestBodyError::Content(BodyError::Digest(error))) => error.code().to_owned(),
            Err(error) => error.to_string(),
        };
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(told.into_bytes())))
    });
    let guarded = meeting.guard.layer().layer(service);
    let answer = guarded
        .oneshot(Request::from_parts(head, body))
        .await
        .unwrap();
    let status = answer.status();
    let told = answer.into_body().collect().await.unwrap().to_bytes();
    let told = String::from_utf8(told.to_vec()).unwrap();
    (
        status,
        if status.is_success() {
            told
        } else {
            String::new()
        },
    )
}

async fn answer(
    meeting: &Meeting,
    agent: &aims::Agent,
    request: http::request::Builder,
    body: Chunks,
) -> Response<ResponseBody<Full<Bytes>>> {
    let mut request = request
        .body(body.0.iter().flatten().copied().collect())
        .unwrap();
    drop(agent.sign(&mut request).unwrap());
    let (head, _) = received(request);
    let service = tower::service_fn(|_: Request<RequestBody<Chunks>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("sent, and long")))
    });
    let guarded = meeting.guard.layer().layer(service);
    guarded
        .oneshot(Request::from_parts(head, body))
        .await
        .unwrap()
}
