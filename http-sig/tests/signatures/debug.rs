//! T-023: `Debug` output contains no value of a field, no query and no content.

use std::fmt::Debug;

use aims_http_sig::http1::Reader;
use aims_http_sig::{
    Component, Exchange, HttpRequest, HttpResponse, Limits, Message as _, Policy, ReceivedFields,
    Section,
};
use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;

use crate::support::{CREATED, at};

const SECRET: &str = "hush4711";

/// Neither as text nor as a list of bytes.
fn check(printed: &dyn Debug) {
    let text = format!("{printed:?} {printed:#?}");
    let numbers = format!("{:?}", SECRET.as_bytes());
    let numbers = numbers.trim_matches(['[', ']']);
    assert!(!text.contains(SECRET), "{text}");
    assert!(!text.contains(numbers), "{text}");
}

fn request() -> http::request::Parts {
    let request = http::Request::post(format!("https://tools.example/pay?token={SECRET}"))
        .header("authorization", format!("Bearer {SECRET}"))
        .header("workload-identity-token", SECRET);
    request.body(()).unwrap().into_parts().0
}

#[test]
fn messages_print_no_value() {
    let mut parts = request();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-token", SECRET.parse().unwrap());
    let sent = HttpRequest::to_send(&parts).unwrap();
    let received = HttpRequest::received(&parts, "https", "tools.example");
    for message in [&sent, &received] {
        check(message);
        check(&message.clone().with_trailers(&trailers));
        check(&message.clone().with_target(SECRET));
        check(&message.start());
        check(&Exchange::of(message).answering(message));
    }
    assert_eq!(
        format!("{:?}", sent.start()),
        r#"Request { method: "POST", target_len: 19, scheme: "https", authority: "tools.example" }"#
    );

    let answer = http::Response::builder().header("set-cookie", SECRET);
    let (answer, ()) = answer.body(()).unwrap().into_parts();
    let response = HttpResponse::new(&answer);
    check(&response.clone().with_trailers(&trailers));
    assert_eq!(
        format!("{response:?}"),
        "HttpResponse { start: Response { status: 200 }, headers: 1, trailers: None }"
    );

    parts.headers.insert("signature", SECRET.parse().unwrap());
    let input = SECRET.parse().unwrap();
    parts.headers.insert("signature-input", input);
    let message = HttpRequest::received(&parts, "https", "tools.example");
    check(&ReceivedFields::of(&message, Section::Headers, &Limits::default()).unwrap());
}

#[test]
fn raw_messages_print_no_value() {
    let fields = format!(
        "X-Token: {SECRET}\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{SECRET}\r\n0\r\nX-More: {SECRET}\r\n\r\n"
    );
    let bytes = format!("POST /a?{SECRET} HTTP/1.1\r\nHost: tools.example\r\n{fields}");
    let request = Reader::new(1024)
        .request(bytes.as_bytes(), "https")
        .unwrap();
    assert_eq!(request.content(), SECRET.as_bytes());
    check(&request);
    let bytes = format!("HTTP/1.1 200 OK\r\n{fields}");
    let response = Reader::new(1024)
        .response(bytes.as_bytes(), "POST")
        .unwrap();
    check(&response);
}

#[test]
fn signatures_print_no_value() {
    let key = SigningKey::generate(Algorithm::Ed25519, AWS_LC).unwrap();
    let covered = [
        Component::TARGET_URI,
        Component::field("authorization").unwrap(),
    ];
    let signing = aims_http_sig::Signing::new("a").covering(covered.clone());
    let signing = signing.with_created().with_random_nonce();
    let mut parts = request();
    let prepared = signing
        .prepare(
            &Exchange::of(&HttpRequest::to_send(&parts).unwrap()),
            SYSTEM,
            at(CREATED),
        )
        .unwrap();
    check(&prepared);
    check(prepared.base());
    let fields = prepared.sign(&key).unwrap();
    check(&fields);
    fields.apply(&mut parts.headers).unwrap();
    let short = parts.uri.path_and_query().unwrap().as_str();
    let message = HttpRequest::received(&parts, "https", "tools.example").with_target(short);
    let exchange = Exchange::of(&message);
    let received = ReceivedFields::of(&message, Section::Headers, &Limits::default()).unwrap();
    check(&received);
    check(&received.signatures(&Limits::default()).unwrap());
    let verified = Policy::requiring(covered)
        .verify(&exchange, key.verifying_key(), at(CREATED))
        .unwrap();
    check(&verified);
    check(&verified.accept_replays());
}

#[cfg(feature = "body")]
#[test]
fn bodies_print_no_content() {
    use aims_http_sig::digest::{ContentDigest, VerifiedBody};

    let digest = ContentDigest::of(SECRET.as_bytes());
    let body = http_body_util::Full::new(bytes::Bytes::from_static(SECRET.as_bytes()));
    check(&VerifiedBody::new(body, &digest, 100).unwrap());
}
