//! The examples of draft-ietf-wimse-http-signature-07, as they stand in `testdata/wimse`. The response is verified in `src/profile/wimse/request/tests.rs`: no nonce of ours is that of the example.

use http_sig::http1::Reader;
use http_sig::profile::wimse::{RequestPolicy, SignedResponse};
use http_sig::{Exchange, Limits, ReceivedFields, Section};
use jose::jwk::Jwk;
use jose::key::{SigningKey, VerifyingKey};
use jose::provider::{AWS_LC, RUSTCRYPTO};
use replay::ReplayCache;

use crate::support::{SENDER, at};

const REQUEST: &[u8] = include_bytes!("../../../testdata/wimse/sigs-request.txt");
const CALLER: &[u8] = include_bytes!("../../../testdata/wimse/sigs-svca-jwk.txt");
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
