//! Requirements for responses (SIG-02, SIG-03, SIG-04, SIG-09; T-069).

use aims_http_sig::profile::wimse::{
    Answer, Content, PROBLEM_SIGNATURE_INVALID, PROBLEM_SIGNED_RESPONSE_UNSUPPORTED, Peer, Pending,
    RequestSigning, ResponsePolicy, ResponseSigning, TAG, problem_type, status,
};
use aims_http_sig::{BareItem, Component, Error, HttpResponse};
use aims_jose::key::VerifyingKey;
use aims_jose::random::{SYSTEM, SecureRandom};
use aims_replay::ReplayCache;
use http::{request, response};
use std::time::Duration;

use crate::support::*;

/// A random source that returns the bytes of `nonce`.
#[derive(Debug)]
struct Fixed([u8; 16]);

impl SecureRandom for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
        buffer.copy_from_slice(&self.0);
        Ok(())
    }
}

/// Returns the state for the response to a request whose nonce is [`NONCE`].
fn asking(signing: &RequestSigning, parts: &request::Parts) -> Pending {
    let digest = aims_http_sig::digest::ContentDigest::of(BODY);
    let random = Fixed([7; 16]);
    let content = Content::Digest(&digest);
    let prepared = signing.prepare(&seen(parts), content, &random, at(NOW));
    prepared.unwrap().1
}

/// 16 bytes with the value 7.
const NONCE: &str = "BwcHBwcHBwcHBwcHBwcHBw";

fn unasked() -> Pending {
    let signing = RequestSigning::to(AUDIENCE).unwrap();
    asking(&signing, &request())
}

fn asked() -> Pending {
    let signing = RequestSigning::to(AUDIENCE).unwrap();
    asking(&signing.asking_for_signed_response(), &request())
}

fn made() -> Made {
    of_response().with("wimse-req-nonce", text(NONCE))
}

fn signed(made: &Made) -> response::Parts {
    let mut parts = response();
    made.apply_to_response(&mut parts, &request());
    parts
}

fn finish_with(
    pending: Pending,
    parts: &response::Parts,
    to: &request::Parts,
    key: Option<&VerifyingKey>,
    now: u64,
) -> Result<Answer, Error> {
    let policy = ResponsePolicy::new();
    pending.finish(&HttpResponse::new(parts), &seen(to), key, &policy, at(now))
}

fn finish(pending: Pending, parts: &response::Parts) -> Result<Answer, Error> {
    finish_with(pending, parts, &request(), Some(TOOL.verifying_key()), NOW)
}

fn refused(parts: &response::Parts) -> &'static str {
    finish(asked(), parts).unwrap_err().code()
}

#[test]
fn a_good_response_is_that_of_its_request() {
    assert_eq!(asked().nonce(), NONCE);
    for pending in [asked(), unasked()] {
        let Ok(Answer::Signed(head)) = finish(pending, &signed(&made())) else {
            panic!("it is signed");
        };
        let verified = head.check_body(b"hello").unwrap();
        assert_eq!((verified.request_nonce(), verified.nonce()), (NONCE, "n-2"));
        let status = verified.signature().value(&Component::STATUS);
        assert_eq!(status, Some("200"));
        assert!(verified.content_digest().is_some());
    }
}

/// T-060: each component, one at a time.
#[test]
fn what_is_there_is_covered() {
    for component in of_response().components {
        let parts = signed(&made().without(component));
        let error = finish(asked(), &parts).unwrap_err();
        assert_eq!(error.code(), "sig.component_required", "{component}");
    }
    let mut parts = response();
    parts.headers.remove("content-type");
    made()
        .without("content-type")
        .apply_to_response(&mut parts, &request());
    drop(finish(asked(), &parts).unwrap());
}

#[test]
fn parameters_are_required_or_forbidden() {
    for parameter in ["expires", "nonce", "wimse-req-nonce"] {
        let parts = signed(&made().without(parameter));
        assert_eq!(refused(&parts), "sig.parameter_required", "{parameter}");
    }
    let parts = signed(&Made {
        created: 0,
        ..made()
    });
    assert_eq!(refused(&parts), "sig.parameter_required");
    for (parameter, value) in [
        ("keyid", text("svc-b-key")),
        ("alg", text("ed25519")),
        ("wimse-aud", text(AUDIENCE)),
        ("wimse-sign-response", BareItem::Boolean(true)),
    ] {
        let parts = signed(&made().with(parameter, value));
        assert_eq!(refused(&parts), "sig.parameter_forbidden", "{parameter}");
    }
    let parts = signed(&made().with("wimse-req-nonce", BareItem::Token(NONCE.into())));
    assert_eq!(refused(&parts), "sig.parameter_type");
}

#[test]
fn times_are_held_to_the_second() {
    let code = |lifetime: u64, now: u64| {
        let parts = signed(&Made { lifetime, ..made() });
        let key = Some(TOOL.verifying_key());
        let result = finish_with(asked(), &parts, &request(), key, now);
        result.err().map(|error| error.code())
    };
    assert_eq!(code(330, NOW), None);
    assert_eq!(code(331, NOW), Some("sig.lifetime"));
    assert_eq!(code(60, NOW + 90), None);
    assert_eq!(code(60, NOW + 91), Some("sig.expired"));
    assert_eq!(code(60, NOW - 30), None);
    assert_eq!(code(60, NOW - 31), Some("sig.created_in_future"));
    assert_eq!(code(600, NOW + 331), Some("sig.too_old"));
}

/// T-069: a response with the nonce or the request of another exchange is refused.
#[test]
fn swapped_responses_are_refused() {
    let parts = signed(&made().with("wimse-req-nonce", text("BwcHBwcHBwcHBwcHBwcHBg")));
    assert_eq!(refused(&parts), "sig.request_nonce");

    let key = Some(TOOL.verifying_key());
    let mut other = request();
    other.uri = "/call?x=z".parse().unwrap();
    let error = finish_with(asked(), &signed(&made()), &other, key, NOW).unwrap_err();
    assert_eq!(error.code(), "sig.signature");
    let mut other = request();
    other.method = http::Method::PUT;
    let error = finish_with(asked(), &signed(&made()), &other, key, NOW).unwrap_err();
    assert_eq!(error.code(), "sig.signature");

    let mut parts = signed(&made());
    parts.status = http::StatusCode::CREATED;
    assert_eq!(refused(&parts), "sig.signature");
    let caller = Some(CALLER.verifying_key());
    let error = finish_with(asked(), &signed(&made()), &request(), caller, NOW).unwrap_err();
    assert_eq!(error.code(), "sig.signature");
}

/// SIG-09: a requested signature is required, and a present signature is always verified.
#[test]
fn a_signature_is_there_where_it_was_asked_for() {
    let unsigned = response();
    assert_eq!(refused(&unsigned), "sig.response_unsigned");
    let answer = finish(unasked(), &unsigned).unwrap();
    assert!(matches!(answer, Answer::Unsigned));
    // By local policy.
    let policy = ResponsePolicy::new().requiring_signature();
    let error = unasked().finish(
        &HttpResponse::new(&unsigned),
        &seen(&request()),
        None,
        &policy,
        at(NOW),
    );
    assert_eq!(error.unwrap_err().code(), "sig.response_unsigned");

    // A signature of another purpose does not count.
    let cdn = signed(&Made {
        label: "cdn",
        ..made().with("tag", text("cdn"))
    });
    assert_eq!(refused(&cdn), "sig.response_unsigned");

    let mut bad = signed(&made());
    set(&mut bad.headers, "content-type", "text/html");
    for pending in [asked(), unasked()] {
        let error = finish(pending, &bad).unwrap_err();
        assert_eq!(error.code(), "sig.signature");
    }
    let mut half = signed(&made());
    half.headers.remove("signature");
    for pending in [asked(), unasked()] {
        let error = finish(pending, &half).unwrap_err();
        assert_eq!(error.code(), "sig.labels_differ");
    }
    for pending in [asked(), unasked()] {
        let error = finish_with(pending, &signed(&made()), &request(), None, NOW).unwrap_err();
        assert_eq!(error.code(), "sig.key_unknown");
    }
}

#[test]
fn among_several_it_has_any_label() {
    let mut parts = response();
    let own = Made {
        label: "sig1",
        ..made()
    };
    let cdn = Made {
        label: "cdn",
        ..made().with("tag", text("cdn"))
    };
    own.apply_to_response(&mut parts, &request());
    drop(finish(asked(), &parts).unwrap());
    cdn.apply_to_response(&mut parts, &request());
    drop(finish(asked(), &parts).unwrap());
    let mut parts = signed(&made());
    cdn.apply_to_response(&mut parts, &request());
    drop(finish(asked(), &parts).unwrap());
    own.apply_to_response(&mut parts, &request());
    assert_eq!(refused(&parts), "sig.ambiguous");
}

/// A client that accepts each nonce only once.
#[test]
fn a_nonce_may_be_spent() {
    let store = ReplayCache::in_memory(10);
    let spend = || {
        let Ok(Answer::Signed(head)) = finish(asked(), &signed(&made())) else {
            panic!("it is signed");
        };
        head.spend(&store, "wimse://example.org/tool", at(NOW))
            .err()
            .map(|error| error.code())
    };
    assert_eq!(spend(), None);
    assert_eq!(spend(), Some("replay.replayed"));
}

/// A response that we sign is accepted, with and without a body.
#[test]
fn our_own_response_is_taken() {
    let signing = RequestSigning::to(AUDIENCE).unwrap();
    let mut sent = request();
    let digest = aims_http_sig::digest::ContentDigest::of(BODY);
    let (prepared, pending) = signing
        .prepare(&seen(&sent), Content::Digest(&digest), SYSTEM, at(NOW))
        .unwrap();
    let fields = prepared.sign(&*CALLER).unwrap();
    fields.apply(&mut sent.headers).unwrap();
    let verified = verified(&sent);
    assert_eq!(verified.nonce(), pending.nonce());

    let mut parts = http::Response::builder()
        .status(204)
        .header("workload-identity-token", "tool.wit")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    let prepared = ResponseSigning::new().prepare(
        &HttpResponse::new(&parts),
        &seen(&sent),
        &verified,
        Content::Empty,
        SYSTEM,
        at(NOW),
    );
    let fields = prepared.unwrap().sign(&*TOOL).unwrap();
    fields.apply(&mut parts.headers).unwrap();
    let key = Some(TOOL.verifying_key());
    let Ok(Answer::Signed(head)) = finish_with(pending, &parts, &sent, key, NOW) else {
        panic!("it is signed");
    };
    head.check_body(b"").unwrap();
}

#[test]
fn what_cannot_be_signed_is_not() {
    let digest = aims_http_sig::digest::ContentDigest::of(BODY);
    let content = Content::Digest(&digest);
    let code = |signing: &RequestSigning, parts: &request::Parts, content| {
        let prepared = signing.prepare(&seen(parts), content, SYSTEM, at(NOW));
        prepared.err().map(|error| error.code())
    };
    let signing = RequestSigning::to(AUDIENCE).unwrap();
    assert_eq!(code(&signing, &request(), content), None);
    for audience in ["", "https://t\u{f6}ols.example"] {
        let error = RequestSigning::to(audience).unwrap_err();
        assert_eq!(error.code(), "sig.prepare");
    }
    for (milliseconds, refused) in [(999, "sig.prepare"), (600_001, "sig.lifetime")] {
        let lifetime = Duration::from_millis(milliseconds);
        let signing = signing.clone().with_lifetime(lifetime);
        assert_eq!(code(&signing, &request(), content), Some(refused));
    }
    let mut parts = request();
    parts.headers.remove("workload-identity-token");
    let absent = Some("sig.component_absent");
    assert_eq!(code(&signing, &parts, content), absent);
    let mut parts = request();
    parts.headers.remove("content-digest");
    assert_eq!(code(&signing, &parts, content), Some("digest.missing"));
    assert_eq!(
        code(&signing, &parts, Content::Empty),
        Some("digest.missing"),
        "its length says that there is a body"
    );
    let other = aims_http_sig::digest::ContentDigest::of(b"else");
    let mismatch = Some("digest.mismatch");
    assert_eq!(
        code(&signing, &request(), Content::Digest(&other)),
        mismatch
    );
    let parts = good();
    let prepared = signing.prepare(&seen(&parts), content, SYSTEM, at(NOW));
    let fields = prepared.unwrap().0.sign(&*CALLER).unwrap();
    let error = fields.apply(&mut parts.headers.clone()).unwrap_err();
    assert_eq!(error.code(), "sig.label_taken");
    assert_eq!(TAG, "wimse-workload-to-workload");
}

/// SIG-09, the server: it answers with an error, never with an unsigned success.
#[test]
fn an_unsigned_success_is_refused_where_a_signature_was_asked_for() {
    let mut parts = request();
    of_request()
        .with("wimse-sign-response", BareItem::Boolean(true))
        .apply(&mut parts);
    let asked = verified(&parts);
    let unasked = verified(&good());
    for status in [200_u16, 204, 302, 304] {
        let status = http::StatusCode::from_u16(status).unwrap();
        let error = asked.check_unsigned(status).unwrap_err();
        assert_eq!(error.code(), "sig.response_unsignable");
        assert_eq!(aims_http_sig::profile::wimse::status(&error), 501);
        unasked.check_unsigned(status).unwrap();
    }
    for status in [400_u16, 404, 501, 503] {
        let status = http::StatusCode::from_u16(status).unwrap();
        asked.check_unsigned(status).unwrap();
    }
}

/// L6: the `Content-Encoding` of a response is covered if present.
#[test]
fn a_content_encoding_is_covered() {
    let mut parts = signed(&made());
    let gzip = http::HeaderValue::from_static("gzip");
    parts.headers.insert("content-encoding", gzip.clone());
    assert_eq!(refused(&parts), "sig.component_required");
    let by_name = ResponsePolicy::new().accept_uncovered_content_encoding();
    let key = Some(TOOL.verifying_key());
    let answer = asked().finish(
        &HttpResponse::new(&parts),
        &seen(&request()),
        key,
        &by_name,
        at(NOW),
    );
    assert!(matches!(answer.unwrap(), Answer::Signed(_)));

    let mut parts = response();
    parts.headers.insert("content-encoding", gzip);
    let mut covering = made();
    covering.components.push("content-encoding");
    covering.apply_to_response(&mut parts, &request());
    drop(finish(asked(), &parts).unwrap());
    set(&mut parts.headers, "content-encoding", "br");
    assert_eq!(refused(&parts), "sig.signature");
}

/// SIG-04: the algorithms that a client accepts depend on the signer's origin.
#[test]
fn algorithms_are_those_of_the_origin() {
    const STRICT: &str = "wimse://strict.example";
    let parts = signed(&made());
    let key = TOOL.verifying_key();
    let strict = ResponsePolicy::new().with_algorithms_of(
        STRICT,
        aims_http_sig::Algorithms::of(&[aims_http_sig::Algorithm::EcdsaP256Sha256]),
    );
    let code = |peer: Peer<'_>| {
        let (response, request) = (HttpResponse::new(&parts), request());
        let pending = asked();
        let answer = pending.finish_from(&response, &seen(&request), Some(&peer), &strict, at(NOW));
        answer.err().map(|error| error.code())
    };
    assert_eq!(code(Peer::of(STRICT, key)), Some("sig.algorithm_forbidden"));
    assert_eq!(code(Peer::of("wimse://other.example", key)), None);
    assert_eq!(code(Peer::from(key)), Some("sig.prepare"));
}

fn audience() -> Error {
    Error::Audience {
        found: "\"a\"".into(),
        expected: "\"b\"".into(),
    }
}

/// All failed checks of a signed request have the same problem type (-08).
#[test]
fn each_error_has_its_problem_type() {
    for error in [
        Error::Signature,
        Error::Expired,
        audience(),
        Error::SignatureMissing {
            found: "none".into(),
        },
        Error::Replay(aims_replay::Error::Replayed),
    ] {
        assert_eq!(problem_type(&error), Some(PROBLEM_SIGNATURE_INVALID));
    }
    let unsignable = problem_type(&Error::ResponseUnsignable);
    assert_eq!(unsignable, Some(PROBLEM_SIGNED_RESPONSE_UNSUPPORTED));
    for error in [Error::HeadersFull, Error::Replay(aims_replay::Error::Full)] {
        assert_eq!(problem_type(&error), None, "{error}");
    }
}

#[test]
fn each_error_has_its_status() {
    for (error, expected) in [
        (Error::Signature, 400),
        (Error::Expired, 400),
        (Error::Syntax { field: "signature" }, 400),
        (audience(), 400),
        (Error::Replay(aims_replay::Error::Replayed), 400),
        (Error::Replay(aims_replay::Error::Full), 503),
        (Error::Replay(aims_replay::Error::Unavailable), 503),
        (Error::ResponseUnsignable, 501),
        (Error::HeadersFull, 500),
        (Error::LabelTaken, 500),
    ] {
        assert_eq!(status(&error).as_u16(), expected, "{error}");
    }
}
