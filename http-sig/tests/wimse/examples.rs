//! The examples of draft-ietf-wimse-http-signature-06, as they stand in `testdata/wimse`. That the
//! response is what a caller waits for is in `src/profile/wimse/request/tests.rs`: no nonce of ours
//! is that of the example.

use aims_http_sig::http1::Reader;
use aims_http_sig::profile::wimse::{Answer, RequestPolicy, ResponsePolicy, SignedResponse};
use aims_http_sig::{Exchange, Limits, Message, ReceivedFields, Section};
use aims_jose::jwk::Jwk;
use aims_jose::key::{SigningKey, VerifyingKey};
use aims_jose::provider::{AWS_LC, RUSTCRYPTO};
use aims_replay::ReplayCache;

use crate::support::{SENDER, at};

const REQUEST: &[u8] = include_bytes!("../../../testdata/wimse/sigs-request.txt");
const CALLER: &[u8] = include_bytes!("../../../testdata/wimse/sigs-svca-jwk.txt");
const RESPONSE: &[u8] = include_bytes!("../../../testdata/wimse/sigs-response.txt");
const CALLED: &[u8] = include_bytes!("../../../testdata/wimse/sigs-svcb-jwk.txt");
const AUDIENCE: &str = "https://svcb.example.com/gimme-ice-cream";
const CREATED: u64 = 1_785_155_797;

#[test]
fn the_request_verifies_at_its_time() {
    let request = Reader::edited_file(0).request(REQUEST, "https").unwrap();
    let policy = RequestPolicy::for_audiences([AUDIENCE]).unwrap();
    for provider in [AWS_LC, RUSTCRYPTO] {
        let key = SigningKey::from_jwk(CALLER, provider).unwrap();
        let public = Jwk::parse(key.public_jwk().to_json().as_bytes()).unwrap();
        let key = VerifyingKey::from_jwk(&public, provider).unwrap();
        let code = |now| {
            let result = policy.verify(&request, &key, at(now));
            result.err().map(|error| error.code())
        };
        assert_eq!(code(CREATED), None);
        assert_eq!(code(CREATED + 330), None);
        assert_eq!(code(CREATED + 331), Some("sig.expired"));
        assert_eq!(code(CREATED - 31), Some("sig.created_in_future"));

        let unspent = policy.verify(&request, &key, at(CREATED)).unwrap();
        let head = unspent.spend(&ReplayCache::in_memory(10), SENDER, at(CREATED));
        let verified = head.unwrap().check_body(b"").unwrap();
        assert_eq!(verified.nonce(), "abcd1111");
        assert_eq!(verified.signed_response(), SignedResponse::Asked);
        assert!(verified.content_digest().is_none());
    }
}

/// Whoever sees both messages, and sent neither, judges the response by the request.
#[test]
fn an_onlooker_verifies_both() {
    let request = Reader::edited_file(0).request(REQUEST, "https").unwrap();
    let response = Reader::edited_file(100).response(RESPONSE, "GET").unwrap();
    let public = |private| {
        let key = SigningKey::from_jwk(private, AWS_LC).unwrap();
        key.verifying_key().clone()
    };
    let policy = RequestPolicy::for_audiences([AUDIENCE]).unwrap();
    let unspent = policy.verify(&request, &public(CALLER), at(CREATED));
    let head = unspent.unwrap().accept_replays();
    let verified = head.check_body(b"").unwrap();
    let judge = |response: &dyn Message| {
        let (key, policy) = (public(CALLED), ResponsePolicy::new());
        let pending = verified.pending();
        pending.finish(response, &request, Some(&key), &policy, at(CREATED))
    };
    let Ok(Answer::Signed(head)) = judge(&response) else {
        panic!("it is signed")
    };
    let answer = head.check_body(response.content()).unwrap();
    assert_eq!(answer.request_nonce(), "abcd1111");
    // It was asked for, and it answers this request.
    let code = |from: &str, to: &str| {
        let text = str::from_utf8(RESPONSE).unwrap().replace(from, to);
        let response = Reader::edited_file(100).response(text.as_bytes(), "GET");
        judge(&response.unwrap())
            .map(|_answer| ())
            .unwrap_err()
            .code()
    };
    assert_eq!(code("Signature", "Other"), "sig.response_unsigned");
    assert_eq!(code("abcd1111", "abcd1112"), "sig.request_nonce");
}

/// Their text is canonical: what is read is written again in the same bytes.
#[test]
fn the_fields_are_canonical() {
    let request = Reader::edited_file(0).request(REQUEST, "https").unwrap();
    let limits = Limits::default();
    let fields = ReceivedFields::of(&request, Section::Headers, &limits).unwrap();
    let signatures = fields.signatures(&limits).unwrap();
    let base = signatures
        .first()
        .unwrap()
        .base(&Exchange::of(&request), &limits)
        .unwrap();
    assert!(base.signature_params().ends_with(";wimse-sign-response"));
}
