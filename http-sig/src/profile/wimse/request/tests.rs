use std::time::Duration;

use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;

use super::*;
use crate::digest::ContentDigest;
use crate::http1::{RawRequest, RawResponse, Reader};
use crate::profile::wimse::ResponseSigning;
use crate::{Component, SignatureFields};

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../../../testdata/wimse-2026-09/", $name)).as_slice()
    };
}

const A_TO_B: &[u8] = file!("svca-svcb-request.http");
const B_TO_A: &[u8] = file!("svca-svcb-response.http");
const B_TO_C: &[u8] = file!("svcb-svcc-request.http");
const C_TO_B: &[u8] = file!("svcb-svcc-response.http");
const SVCA: &[u8] = file!("svca.private.jwk.json");
const SVCB: &[u8] = file!("svcb.private.jwk.json");
const SVCC: &[u8] = file!("svcc.private.jwk.json");

fn at(later: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_789_405_135 + later))
}

fn request(bytes: &[u8]) -> RawRequest<'_> {
    Reader::new(100).request(bytes, "https").unwrap()
}

fn response<'a>(bytes: &'a [u8], method: &str) -> RawResponse<'a> {
    Reader::new(100).response(bytes, method).unwrap()
}

fn key(jwk: &[u8]) -> SigningKey {
    SigningKey::from_jwk(jwk, AWS_LC).unwrap()
}

fn line(message: &dyn Message, name: &str) -> String {
    let mut text = String::new();
    message.lines(crate::Section::Headers, name, &mut |line| {
        text.push_str(str::from_utf8(line).unwrap());
    });
    text
}

/// Checks that the fields equal those of the message, byte for byte.
fn assert_same(fields: &SignatureFields, message: &dyn Message) {
    assert_eq!(fields.signature_input(), line(message, "signature-input"));
    assert_eq!(fields.signature(), line(message, "signature"));
}

fn sign_request(audience: &str, nonce: &str, lifetime: u64, message: &RawRequest<'_>) -> Signed {
    let digest = ContentDigest::of(message.content());
    let content = if message.content().is_empty() {
        Content::Empty
    } else {
        Content::Digest(&digest)
    };
    RequestSigning::to(audience)
        .unwrap()
        .with_label("sig1")
        .with_lifetime(Duration::from_secs(lifetime))
        .asking_for_signed_response()
        .prepare_with(message, content, Some(nonce), SYSTEM, at(0))
        .unwrap()
}

type Signed = (PreparedSignature, Pending);

/// Ed25519 gives one signature for one text, so the result equals the text of the draft byte for
/// byte.
#[test]
fn the_requests_of_the_draft_are_what_we_sign() {
    for (bytes, audience, nonce, lifetime, signer) in [
        (
            A_TO_B,
            "https://svcb.example.com/gimme-ice-cream",
            "abcd1111",
            300,
            SVCA,
        ),
        (
            B_TO_C,
            "https://svcc.example.com/inventory/cones",
            "abcd3333",
            302,
            SVCB,
        ),
    ] {
        let request = request(bytes);
        let (prepared, pending) = sign_request(audience, nonce, lifetime, &request);
        assert_eq!(pending.nonce(), nonce);
        assert_same(&prepared.sign(&key(signer)).unwrap(), &request);
    }
}

fn sign_response(
    request: &RawRequest<'_>,
    response: &RawResponse<'_>,
    nonces: (&str, &str),
    lifetime: u64,
    signer: &[u8],
) -> SignatureFields {
    let digest = ContentDigest::of(response.content());
    ResponseSigning::new()
        .with_label("sig1")
        .with_lifetime(Duration::from_secs(lifetime))
        .prepare_with(
            &Exchange::of(response).answering(request),
            nonces.0,
            Content::Digest(&digest),
            Some(nonces.1),
            SYSTEM,
            at(0),
        )
        .unwrap()
        .sign(&key(signer))
        .unwrap()
}

#[test]
fn the_responses_of_the_draft_are_what_we_sign() {
    let (to_b, to_c) = (request(A_TO_B), request(B_TO_C));
    let of_b = response(B_TO_A, "GET");
    let nonces = ("abcd1111", "abcd2222");
    assert_same(&sign_response(&to_b, &of_b, nonces, 302, SVCB), &of_b);
    // ECDSA signatures contain a random number, so only the signature bases are compared.
    let of_c = response(C_TO_B, "POST");
    let fields = sign_response(&to_c, &of_c, ("abcd3333", "abcd4444"), 304, SVCC);
    assert_eq!(fields.signature_input(), line(&of_c, "signature-input"));
}

/// The response of the draft answers the request with the nonce `abcd1111`.
#[test]
fn the_response_of_the_draft_is_that_of_its_request() {
    let (request, response) = (request(A_TO_B), response(B_TO_A, "GET"));
    let (called, caller) = (key(SVCB), key(SVCA));
    let finish = |nonce: &str, key: &SigningKey, later: u64| {
        let pending = Pending {
            nonce: nonce.to_owned(),
            response: SignedResponse::Asked,
        };
        let (policy, now) = (ResponsePolicy::new(), at(later));
        match pending.finish(&response, &request, Some(key.verifying_key()), &policy, now) {
            Ok(Answer::Signed(head)) => Ok(head),
            Ok(Answer::Unsigned) => panic!("it is signed"),
            Err(error) => Err(error.code()),
        }
    };
    let head = finish("abcd1111", &called, 0).unwrap();
    let verified = head.check_body(response.content()).unwrap();
    assert_eq!(verified.request_nonce(), "abcd1111");
    assert_eq!(verified.nonce(), "abcd2222");
    let status = verified.signature().value(&Component::STATUS);
    assert_eq!(status, Some("404"));

    let head = finish("abcd1111", &called, 0).unwrap();
    let error = head.check_body(b"No ice cream today.").unwrap_err();
    assert_eq!(error.code(), "digest.mismatch", "without the line feed");
    let code = |nonce, key, later| finish(nonce, key, later).unwrap_err();
    assert_eq!(code("abcd1112", &called, 0), "sig.request_nonce");
    assert_eq!(code("abcd1111", &caller, 0), "sig.signature");
    assert_eq!(code("abcd1111", &called, 331), "sig.too_old");
    assert_eq!(code("abcd1111", &called, 333), "sig.expired");
}

/// The signer covers `Content-Encoding` if the request has it.
#[test]
fn a_content_encoding_is_signed() {
    let text = "POST /a HTTP/1.1\r\nhost: x.example\r\ncontent-encoding: gzip\r\n\
                workload-identity-token: a.b.c\r\n\r\n";
    let request = request(text.as_bytes());
    let (prepared, _pending) = sign_request("https://x.example/a", "n", 60, &request);
    let input = prepared.base().signature_params().to_owned();
    let expected = "(\"@method\" \"@path\" \"@query\" \"workload-identity-token\" \
                    \"content-encoding\");created=";
    assert!(input.starts_with(expected), "{input}");
}

/// Further fields are covered if the request has them, once, and after those of the profile.
#[test]
fn further_fields_are_signed() {
    let text = "POST /a HTTP/1.1\r\nhost: x.example\r\nmcp-name: weather\r\n\
                workload-identity-token: a.b.c\r\n\r\n";
    let request = request(text.as_bytes());
    let mut signing = RequestSigning::to("https://x.example/a").unwrap();
    for name in [
        "mcp-name",
        "authorization",
        "mcp-name",
        "mcp-method",
        "workload-identity-token",
    ] {
        signing = signing.covering_field(name).unwrap();
    }
    let prepared = signing.prepare(&request, Content::Empty, SYSTEM, at(0));
    let (prepared, _pending) = prepared.unwrap();
    let input = prepared.base().signature_params().to_owned();
    let expected = "(\"@method\" \"@path\" \"@query\" \"workload-identity-token\" \
                    \"mcp-name\");created=";
    assert!(input.starts_with(expected), "{input}");
    for bad in ["@method", "Mcp-Name", "", "a b"] {
        let signing = RequestSigning::to("https://x.example/a").unwrap();
        let refused = signing.covering_field(bad).unwrap_err();
        assert_eq!(refused.code(), "sig.component_unknown", "{bad}");
    }
}

/// A label must be a key of a structured field.
#[test]
fn a_label_is_a_key() {
    let request = request(A_TO_B);
    for bad in ["", "Sig", "1", "a b"] {
        let signing = RequestSigning::to("https://x.example").unwrap();
        let prepared = signing
            .with_label(bad)
            .prepare(&request, Content::Empty, SYSTEM, at(0));
        assert_eq!(prepared.unwrap_err().code(), "sig.prepare", "{bad}");
    }
}
