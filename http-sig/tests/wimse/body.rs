//! The body and its digest (SIG-05, T-061).

use aims_http_sig::profile::wimse::RequestHead;
use aims_http_sig::{Error, HttpResponse};
use http::request;

use crate::support::*;

fn head(parts: &request::Parts) -> RequestHead {
    verify(parts).unwrap().accept_replays()
}

/// Returns a signed request without a digest, with this framing.
fn without_digest(length: Option<(&'static str, &'static str)>) -> request::Parts {
    let mut parts = request();
    parts.headers.remove("content-digest");
    parts.headers.remove("content-length");
    if let Some((name, value)) = length {
        parts.headers.insert(name, value.parse().unwrap());
    }
    of_request().without("content-digest").apply(&mut parts);
    parts
}

#[test]
fn the_body_is_the_one_of_the_digest() {
    head(&good()).check_body(BODY).unwrap();
    for body in [&b""[..], br#"{"a":2}"#, br#"{"a":1} "#] {
        let error = head(&good()).check_body(body).unwrap_err();
        assert_eq!(error.code(), "digest.mismatch");
    }
}

#[test]
fn a_body_without_digest_is_refused() {
    // The head announces a body.
    for length in [
        ("content-length", "7"),
        ("transfer-encoding", "chunked"),
        ("content-length", "nonsense"),
    ] {
        let parts = without_digest(Some(length));
        assert_eq!(refused(&parts), "digest.missing", "{length:?}");
    }
    // There is a body, whatever the head states.
    for length in [None, Some(("content-length", "0"))] {
        let parts = without_digest(length);
        head(&parts).check_body(b"").unwrap();
        let error = head(&parts).check_body(BODY).unwrap_err();
        assert_eq!(error.code(), "digest.missing");
    }
}

#[test]
fn a_digest_that_does_not_count_is_none() {
    for (value, code) in [
        ("md5=:Sd/dVLAcvNLSq16eXua5uQ==:", "digest.insecure"),
        ("sha-256=:AAAA:", "digest.length"),
        ("sha-256=AAAA", "digest.syntax"),
    ] {
        let mut parts = request();
        set(&mut parts.headers, "content-digest", value);
        of_request().apply(&mut parts);
        assert_eq!(refused(&parts), code, "{value}");
    }
    // An unknown algorithm is ignored next to `sha-256`; a wrong `sha-512` is refused.
    let mut parts = request();
    let both = format!("{}, md5=:Sd/dVLAcvNLSq16eXua5uQ==:", digest_of(BODY));
    set(&mut parts.headers, "content-digest", &both);
    of_request().apply(&mut parts);
    head(&parts).check_body(BODY).unwrap();
}

#[test]
fn a_body_in_pieces_is_compared_at_its_end() {
    let compare = |parts: &request::Parts, pieces: &[&[u8]]| -> Result<(), Error> {
        let (request, check) = head(parts).reading_body();
        assert_eq!(request.nonce(), "n-1");
        let mut hashing = check.hashing()?;
        pieces.iter().for_each(|piece| hashing.update(piece));
        hashing.finish().map(|_matched| ())
    };
    let (first, second) = BODY.split_at(3);
    compare(&good(), &[first, second]).unwrap();
    let error = compare(&good(), &[first]).unwrap_err();
    assert_eq!(error.code(), "digest.mismatch");
    compare(&without_digest(None), &[]).unwrap();
    let error = compare(&without_digest(None), &[b"x"]).unwrap_err();
    assert_eq!(error.code(), "digest.mismatch");
    // The result for a body in memory is the same.
    let (_, check) = head(&good()).reading_body();
    assert!(check.digest().is_some());
    check.check(BODY).unwrap();
}

#[cfg(feature = "body")]
#[test]
fn a_stream_ends_only_if_it_is_the_signed_one() {
    use http_body_util::{BodyExt as _, Full};

    let collect = |parts: &request::Parts, body: &'static [u8]| {
        let (_, check) = head(parts).reading_body();
        let body = check.body(Full::new(bytes::Bytes::from_static(body)), 100);
        let collected = body.unwrap().collect();
        let mut collected = std::pin::pin!(collected);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match collected.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => result.is_ok(),
            std::task::Poll::Pending => panic!("a full body is ready"),
        }
    };
    assert!(collect(&good(), BODY));
    assert!(!collect(&good(), b"else"));
    assert!(collect(&without_digest(None), b""));
    assert!(!collect(&without_digest(None), b"x"));
}

/// The content of a response to `HEAD`, of 204 and of 304 is empty, whatever its fields state.
#[test]
fn a_response_without_content_has_none() {
    use aims_http_sig::digest::ContentDigest;
    use aims_http_sig::profile::wimse::{Answer, Content, RequestSigning, ResponsePolicy};

    let judge = |method: http::Method, status: u16, digest: bool| {
        let mut to = request();
        to.method = method;
        let mut parts = response();
        parts.status = http::StatusCode::from_u16(status).unwrap();
        let own = ContentDigest::of(BODY);
        let signing = RequestSigning::to(AUDIENCE).unwrap();
        let content = Content::Digest(&own);
        let prepared = signing.prepare(&seen(&to), content, aims_jose::random::SYSTEM, at(NOW));
        let (_, pending) = prepared.unwrap();
        let nonce: &'static str = Box::leak(pending.nonce().to_owned().into_boxed_str());
        let mut made = of_response().with("wimse-req-nonce", text(nonce));
        if !digest {
            parts.headers.remove("content-digest");
            made = made.without("content-digest");
        }
        made.apply_to_response(&mut parts, &to);
        let key = Some(TOOL.verifying_key());
        let policy = ResponsePolicy::new();
        pending
            .finish(
                &HttpResponse::new(&parts),
                &seen(&to),
                key,
                &policy,
                at(NOW),
            )
            .and_then(|answer| match answer {
                Answer::Signed(head) => head.check_body(b""),
                Answer::Unsigned => Err(Error::SignatureMissing {
                    found: "none".into(),
                }),
            })
            .err()
            .map(|error| error.code())
    };
    for (method, status) in [
        (http::Method::HEAD, 200),
        (http::Method::POST, 304),
        (http::Method::POST, 204),
        (http::Method::POST, 103),
    ] {
        assert_eq!(judge(method.clone(), status, true), None);
        assert_eq!(judge(method, status, false), None);
    }
    let post = || http::Method::POST;
    assert_eq!(judge(post(), 200, true), Some("digest.mismatch"));
    assert_eq!(judge(post(), 200, false), Some("digest.missing"));
}
