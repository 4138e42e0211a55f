use std::time::Duration;

use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;

use super::*;
use crate::digest::ContentDigest;
use crate::http1::Reader;
use crate::profile::wimse::ResponseSigning;

const REQUEST: &[u8] = include_bytes!("../../../../../testdata/wimse/sigs-request.txt");
const RESPONSE: &[u8] = include_bytes!("../../../../../testdata/wimse/sigs-response.txt");
const CALLER: &[u8] = include_bytes!("../../../../../testdata/wimse/sigs-svca-jwk.txt");
const CALLED: &[u8] = include_bytes!("../../../../../testdata/wimse/sigs-svcb-jwk.txt");

fn created() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_785_155_797))
}

fn line(message: &dyn Message, name: &str) -> String {
    let mut text = String::new();
    message.lines(crate::Section::Headers, name, &mut |line| {
        text.push_str(str::from_utf8(line).unwrap());
    });
    text
}

/// Ed25519 gives one signature for one text, so what we sign is byte for byte what the draft
/// prints.
#[test]
fn the_request_of_the_draft_is_what_we_sign() {
    let request = Reader::edited_file(0).request(REQUEST, "https").unwrap();
    let (prepared, pending) = RequestSigning::to("https://svcb.example.com/gimme-ice-cream")
        .unwrap()
        .with_lifetime(Duration::from_secs(300))
        .asking_for_signed_response()
        .prepare_with(
            &request,
            Content::Empty,
            Some("abcd1111"),
            SYSTEM,
            created(),
        )
        .unwrap();
    assert_eq!(pending.nonce(), "abcd1111");
    let key = SigningKey::from_jwk(CALLER, AWS_LC).unwrap();
    let fields = prepared.sign(&key).unwrap();
    assert_eq!(fields.signature_input(), line(&request, "signature-input"));
    assert_eq!(fields.signature(), line(&request, "signature"));
}

#[test]
fn the_response_of_the_draft_is_what_we_sign() {
    let request = Reader::edited_file(0).request(REQUEST, "https").unwrap();
    let response = Reader::edited_file(64).response(RESPONSE, "GET").unwrap();
    let digest = ContentDigest::of(b"No ice cream today.\n\n");
    let fields = ResponseSigning::new()
        .with_lifetime(Duration::from_secs(302))
        .prepare_with(
            &Exchange::of(&response).answering(&request),
            "abcd1111",
            Content::Digest(&digest),
            Some("abcd2222"),
            SYSTEM,
            created(),
        )
        .unwrap()
        .sign(&SigningKey::from_jwk(CALLED, AWS_LC).unwrap())
        .unwrap();
    assert_eq!(fields.signature_input(), line(&response, "signature-input"));
    assert_eq!(fields.signature(), line(&response, "signature"));
}

/// What the response answers is the request with the nonce `abcd1111`; its digest is over two line
/// feeds as well.
#[test]
fn the_response_of_the_draft_is_that_of_its_request() {
    let request = Reader::edited_file(0).request(REQUEST, "https").unwrap();
    let response = Reader::edited_file(64).response(RESPONSE, "GET").unwrap();
    let called = SigningKey::from_jwk(CALLED, AWS_LC).unwrap();
    let caller = SigningKey::from_jwk(CALLER, AWS_LC).unwrap();
    let finish = |nonce: &str, key: &SigningKey, later: u64| {
        let pending = Pending {
            nonce: nonce.to_owned(),
            response: SignedResponse::Asked,
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(created().as_secs() + later));
        let policy = ResponsePolicy::new();
        match pending.finish(&response, &request, Some(key.verifying_key()), &policy, now) {
            Ok(Answer::Signed(head)) => Ok(head),
            Ok(Answer::Unsigned) => panic!("it is signed"),
            Err(error) => Err(error.code()),
        }
    };
    let head = finish("abcd1111", &called, 0).unwrap();
    let verified = head.check_body(b"No ice cream today.\n\n").unwrap();
    assert_eq!(verified.request_nonce(), "abcd1111");
    assert_eq!(verified.nonce(), "abcd2222");
    let status = verified.signature().value(&Component::STATUS);
    assert_eq!(status, Some("404"));

    // One line feed less is another body.
    let head = finish("abcd1111", &called, 0).unwrap();
    let error = head.check_body(b"No ice cream today.\n").unwrap_err();
    assert_eq!(error.code(), "digest.mismatch");
    let code = |nonce, key, later| finish(nonce, key, later).unwrap_err();
    assert_eq!(code("abcd1112", &called, 0), "sig.request_nonce");
    assert_eq!(code("abcd1111", &caller, 0), "sig.signature");
    assert_eq!(code("abcd1111", &called, 331), "sig.too_old");
    assert_eq!(code("abcd1111", &called, 333), "sig.expired");
}
