//! Bodies that are compared while they are read (HMS-10, SIG-05, T-062).

#![cfg(feature = "body")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::error::Error as _;
use std::io;

use aims_http_sig::digest::{Algorithm, BodyError, ContentDigest, VerifiedBody};
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full};
use proptest::prelude::*;

/// The frames of a body, in order.
enum Step<D> {
    Data(D),
    Trailers,
    Fail,
    Wait,
}

/// A body of these frames, which may know its length and its last piece.
struct Steps<D> {
    steps: VecDeque<Step<D>>,
    knows_its_end: bool,
    length: Option<u64>,
}

impl<D> Steps<D> {
    fn new(steps: impl IntoIterator<Item = Step<D>>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            knows_its_end: false,
            length: None,
        }
    }
}

fn pieces<'a>(all: &[&'a [u8]]) -> Steps<&'a [u8]> {
    Steps::new(all.iter().map(|piece| Step::Data(*piece)))
}

impl<D: Buf + Unpin> Body for Steps<D> {
    type Data = D;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<D>, io::Error>>> {
        Poll::Ready(match self.steps.pop_front() {
            None => None,
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("checked", "no".parse().unwrap());
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(Step::Fail) => Some(Err(io::Error::other("torn"))),
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// Everything that a reader gets.
#[derive(Debug, Default)]
struct Seen {
    content: Vec<u8>,
    trailers: bool,
    error: Option<BodyError<io::Error>>,
    pending: usize,
}

impl Seen {
    fn code(&self) -> Option<&'static str> {
        match self.error.as_ref()? {
            BodyError::Digest(error) => Some(error.code()),
            _ => Some("body"),
        }
    }
}

/// Reads to the end or to the error, and then once more.
fn read<B: Body<Error = io::Error>>(body: VerifiedBody<B>) -> Seen {
    let mut body = pin!(body);
    let mut cx = Context::from_waker(Waker::noop());
    let mut seen = Seen::default();
    loop {
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Pending => seen.pending += 1,
            Poll::Ready(None) => break,
            Poll::Ready(Some(Err(error))) => {
                seen.error = Some(error);
                break;
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    assert!(!seen.trailers, "content behind the trailers");
                    seen.content.extend_from_slice(&data);
                }
                Err(_) => seen.trailers = true,
            },
        }
    }
    assert_eq!(body.matched().is_some(), seen.error.is_none());
    assert!(body.is_end_stream());
    let more = body.as_mut().poll_frame(&mut cx);
    assert!(
        matches!(more, Poll::Ready(None)),
        "something behind the end"
    );
    seen
}

fn verified<B: Body>(body: B, digest: &ContentDigest) -> VerifiedBody<B> {
    VerifiedBody::new(body, digest, 1000).unwrap()
}

#[test]
fn a_body_is_read_as_it_came() {
    let digest = ContentDigest::with(Algorithm::ALL, b"hello world");
    for parts in [
        &[&b"hello world"[..]][..],
        &[b"hello", b" ", b"world"],
        &[b"", b"hello world", b""],
    ] {
        let seen = read(verified(pieces(parts), &digest));
        assert_eq!(seen.content, b"hello world");
        assert_eq!(seen.code(), None);
    }
    let empty = read(verified(pieces(&[]), &ContentDigest::of(b"")));
    assert_eq!((empty.code(), empty.content.len()), (None, 0));
}

/// T-062: the error replaces the end, and the content before it is never complete.
#[test]
fn an_error_stands_instead_of_the_end() {
    let digest = ContentDigest::of(b"hello world");
    for (parts, given) in [
        (&[&b"hello worle"[..]][..], 0),
        (&[b"hello", b" worle"], 5),
        (&[b"hello", b" world", b"!"], 11),
        (&[b"hello", b" worl"], 5),
        (&[b"hello", b" worl", b""], 5),
        (&[b"hello worle", b"", b"", b""], 0),
        (&[], 0),
    ] {
        for knows_its_end in [false, true] {
            let mut body = pieces(parts);
            body.knows_its_end = knows_its_end;
            let seen = read(verified(body, &digest));
            assert_eq!(seen.code(), Some("digest.mismatch"), "{parts:?}");
            assert_eq!(seen.content.len(), given, "{parts:?}");
        }
    }
}

/// Each digest that counts is checked.
#[test]
fn a_second_digest_has_to_match_too() {
    let sha256 = ContentDigest::of(b"hello").to_string();
    let sha512 = ContentDigest::with(&[Algorithm::Sha512], b"hullo").to_string();
    let digest = ContentDigest::parse([sha256.as_bytes(), sha512.as_bytes()]).unwrap();
    let seen = read(verified(pieces(&[b"hello"]), &digest));
    assert_eq!(seen.code(), Some("digest.mismatch"));
}

/// HMS-10: without a digest that counts, the body is not read.
#[test]
fn a_body_without_a_secure_digest_is_refused() {
    let digest = ContentDigest::parse([&b"md5=:Sd/dVLAcvNLSq16eXua5uQ==:"[..]]).unwrap();
    let error = VerifiedBody::new(Empty::<Bytes>::new(), &digest, 1000).unwrap_err();
    assert_eq!(error.code(), "digest.insecure");
}

/// `is_end_stream` is false until the comparison is done.
#[test]
fn the_end_is_not_announced_before_it_is_checked() {
    let digest = ContentDigest::of(b"other");
    let body = verified(Full::new(Bytes::from_static(b"hello")), &digest);
    assert!(!body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(5));
    let mut body = pin!(body);
    let mut cx = Context::from_waker(Waker::noop());
    let first = body.as_mut().poll_frame(&mut cx);
    assert!(matches!(first, Poll::Ready(Some(Err(_)))), "{first:?}");

    let digest = ContentDigest::of(b"hello");
    let mut body = pin!(verified(Full::new(Bytes::from_static(b"hello")), &digest));
    let first = body.as_mut().poll_frame(&mut cx);
    assert!(matches!(first, Poll::Ready(Some(Ok(_)))));
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    let matched = body.matched().unwrap();
    assert_eq!(matched.length(), 5);
    assert_eq!(
        matched.get(Algorithm::Sha256),
        digest.get(Algorithm::Sha256)
    );
}

#[test]
fn trailers_pass_when_the_content_matches() {
    let steps = || Steps::new([Step::Data(&b"hello"[..]), Step::Wait, Step::Trailers]);
    let seen = read(verified(steps(), &ContentDigest::of(b"hello")));
    assert_eq!(seen.content, b"hello");
    assert!(seen.trailers && seen.error.is_none() && seen.pending == 1);
    let seen = read(verified(steps(), &ContentDigest::of(b"hullo")));
    assert_eq!(seen.code(), Some("digest.mismatch"));
    assert!(seen.content.is_empty() && !seen.trailers);
}

#[test]
fn waiting_is_passed_on() {
    let steps = [
        Step::Wait,
        Step::Data(&b"hel"[..]),
        Step::Wait,
        Step::Data(b"lo"),
        Step::Wait,
    ];
    let seen = read(verified(Steps::new(steps), &ContentDigest::of(b"hello")));
    assert_eq!(seen.content, b"hello");
    assert_eq!(seen.pending, 3);
}

#[test]
fn the_source_of_a_failure_is_kept() {
    let steps = [Step::Data(&b"hello"[..]), Step::Fail];
    let seen = read(verified(Steps::new(steps), &ContentDigest::of(b"hello")));
    assert_eq!(seen.code(), Some("body"));
    assert!(seen.content.is_empty());
    let source = seen.error.as_ref().unwrap().source().unwrap();
    assert_eq!(source.to_string(), "torn");
}

/// The limit applies to the read bytes, and to the announced length.
#[test]
fn a_body_has_a_limit() {
    let digest = ContentDigest::of(b"hello world");
    let limited = |body, limit| read(VerifiedBody::new(body, &digest, limit).unwrap());
    assert_eq!(limited(pieces(&[b"hello", b" world"]), 11).code(), None);
    let over = limited(pieces(&[b"hello", b" world"]), 10);
    assert_eq!(over.code(), Some("digest.body_size"));
    let mut announced = Steps::new([Step::Fail]);
    announced.length = Some(11);
    assert_eq!(limited(announced, 10).code(), Some("digest.body_size"));
    let mut announced = pieces(&[b"hello world"]);
    announced.length = Some(11);
    announced.knows_its_end = true;
    let seen = read(VerifiedBody::new(announced, &digest, 1000).unwrap());
    assert_eq!(seen.code(), None);
}

/// Data in several buffers is hashed completely.
#[test]
fn scattered_data_is_hashed_whole() {
    let data = || Buf::chain(&b"hello"[..], &b" world"[..]);
    let body = Steps::new([Step::Data(data()), Step::Data(data())]);
    let seen = read(verified(
        body,
        &ContentDigest::of(b"hello worldhello world"),
    ));
    assert_eq!(seen.code(), None);
    assert_eq!(seen.content, b"hello worldhello world");
}

/// A handler that collects the body gets the error.
#[test]
fn collecting_fails() {
    let collect = |digest| {
        let body = verified(Full::new(Bytes::from_static(b"hello")), &digest);
        let mut collect = pin!(body.collect());
        let mut cx = Context::from_waker(Waker::noop());
        match collect.as_mut().poll(&mut cx) {
            Poll::Ready(all) => all.map(http_body_util::Collected::to_bytes),
            Poll::Pending => panic!("nothing to wait for"),
        }
    };
    assert_eq!(collect(ContentDigest::of(b"hello")).unwrap(), "hello");
    let error = collect(ContentDigest::of(b"hell")).unwrap_err();
    assert!(matches!(error, BodyError::Digest(_)));
}

proptest! {
    #[test]
    fn any_pieces(parts: Vec<Vec<u8>>, knows_its_end: bool, change: prop::sample::Index) {
        let content = parts.concat();
        let digest = ContentDigest::of(&content);
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let mut body = pieces(&slices);
        body.knows_its_end = knows_its_end;
        let seen = read(VerifiedBody::new(body, &digest, u64::MAX).unwrap());
        prop_assert!(seen.error.is_none());
        prop_assert_eq!(&seen.content, &content);

        if !content.is_empty() {
            let mut other = content.clone();
            other[change.index(content.len())] ^= 1;
            let digest = ContentDigest::of(&other);
            let seen = read(VerifiedBody::new(pieces(&slices), &digest, u64::MAX).unwrap());
            prop_assert_eq!(seen.code(), Some("digest.mismatch"));
            prop_assert!(seen.content.len() < content.len());
        }
    }
}
