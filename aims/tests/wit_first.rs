//! The WIT is verified first, and nothing else of a signed message is used before the whole is
//! verified (SIG-06).

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use aims::guard::HttpSignatures;
use aims::guard::layer::RequestBody;
use bytes::Bytes;
use common::{CALL, NOW, World, at, told};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use signed::{AGENT, Meeting, Net, received};
use tower::{Layer as _, ServiceExt as _};

const WIT: &str = "workload-identity-token";
const CONTENT: &[u8] = b"{}";

fn signed_request(meeting: &Meeting) -> (Parts, Vec<u8>) {
    let mut request = Request::post(CALL).body(CONTENT.to_vec()).unwrap();
    drop(meeting.agent.sign(&mut request).unwrap());
    received(request)
}

/// Returns invalid WITs, and their codes.
fn bad_wits(meeting: &Meeting) -> [(HeaderValue, &'static str); 3] {
    let text = |wit: &str| HeaderValue::try_from(wit).unwrap();
    let forged = World::new().agent(AGENT);
    let stranger = meeting.world.agent("spiffe://elsewhere.example/agent");
    [
        (text(forged.wit.expose()), "wit.signature"),
        (text(stranger.wit.expose()), "trust.unknown_origin"),
        (text("a.b"), "wpt.field_syntax"),
    ]
}

type Damage = fn(&mut Parts, &mut Vec<u8>);

/// Returns other faults of a signed request, and their codes with a valid WIT.
fn damages() -> [(Damage, &'static str); 5] {
    [
        (|_, _| {}, "ok"),
        (|head, _| head.method = http::Method::PUT, "sig.signature"),
        (
            |head, _| drop(head.headers.remove("signature")),
            "sig.labels_differ",
        ),
        (
            |head, _| drop(head.headers.insert("signature-input", "?".parse().unwrap())),
            "sig.syntax",
        ),
        (|_, content| content.push(b' '), "digest.mismatch"),
    ]
}

/// SIG-06: an invalid WIT is reported first, whatever else is wrong.
#[test]
fn a_bad_wit_is_told_before_all_else() {
    let meeting = Meeting::taking(HttpSignatures::new());
    for (damage, otherwise) in damages() {
        let check = |wit: Option<&HeaderValue>, now| {
            let (mut head, mut content) = signed_request(&meeting);
            damage(&mut head, &mut content);
            if let Some(wit) = wit {
                head.headers.insert(WIT, wit.clone());
            }
            told(meeting.guard.check((&head, &content), at(now))).0
        };
        assert_eq!(check(None, NOW), otherwise);
        assert_eq!(check(None, NOW + 3_630), "wit.expired", "{otherwise}");
        for (wit, code) in bad_wits(&meeting) {
            assert_eq!(check(Some(&wit), NOW), code, "{otherwise}");
        }
    }
}

/// A content that records whether it was read.
struct Touched(Arc<AtomicUsize>);

impl Body for Touched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        let frame = first.then(|| Ok(Frame::data(Bytes::from_static(CONTENT))));
        Poll::Ready(frame)
    }
}

/// SIG-06: if the head of a request is refused, its content is not read and the handler is not
/// called.
#[tokio::test]
async fn a_refused_head_costs_no_content() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let (good, _) = signed_request(&meeting);
    let mut changed = good.clone();
    changed.method = http::Method::PUT;
    let mut heads = vec![(changed, false)];
    for (wit, _) in bad_wits(&meeting) {
        let mut head = good.clone();
        head.headers.insert(WIT, wit);
        heads.push((head, false));
    }
    // Last, because its nonce is spent; the nonces of the others were not.
    heads.push((good, true));
    for (head, is_good) in heads {
        let (touched, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&calls);
        let service = tower::service_fn(move |_: Request<RequestBody<Touched>>| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        });
        let guarded = meeting.guard.layer().layer(service);
        let request = Request::from_parts(head, Touched(Arc::clone(&touched)));
        let status = guarded.oneshot(request).await.unwrap().status();
        assert_eq!(status == StatusCode::OK, is_good, "{status}");
        assert_eq!(touched.load(Ordering::SeqCst) > 0, is_good);
        assert_eq!(calls.load(Ordering::SeqCst), usize::from(is_good));
    }
}

/// SIG-06 for responses: the agent reports an invalid WIT first, whatever else is wrong with the
/// answer.
#[tokio::test]
async fn a_bad_wit_of_an_answer_is_told_before_all_else() {
    let meeting = Meeting::answering();
    let changes: [fn(&mut Response<Vec<u8>>); 3] = [
        |_| {},
        |answer| answer.body_mut().push(b'!'),
        |answer| drop(answer.headers_mut().remove("signature")),
    ];
    for change in changes {
        for (wit, code) in bad_wits(&meeting) {
            let net = Net::changing(&meeting.guard, move |answer| {
                answer.headers_mut().insert(WIT, wit.clone());
                change(answer);
            });
            let agent = meeting.agent_with(|it| {
                it.signed_responses(meeting.tools())
                    .client(common::Calls(net))
            });
            let content = Full::<Bytes>::from(CONTENT.to_vec());
            let request = Request::post(CALL).body(content).unwrap();
            let refused = agent.send(request).await.unwrap_err();
            assert_eq!(refused.code(), code);
        }
    }
}
