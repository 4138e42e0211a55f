//! The examples of draft-ietf-wimse-http-signature-07 in `testdata/wimse-2026-09`.
//! `src/profile/wimse/request/tests.rs` tests that the signer makes the same bytes.

use aims_http_sig::http1::{RawRequest, RawResponse, Reader};
use aims_http_sig::profile::wimse::{
    Answer, RequestPolicy, ResponsePolicy, SignedResponse, VerifiedRequest,
};
use aims_http_sig::{Component, Error, Exchange, Limits, Message, ReceivedFields, Section};
use aims_jose::jwk::Jwk;
use aims_jose::key::VerifyingKey;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use aims_replay::ReplayCache;

use crate::support::{SENDER, at};

const CREATED: u64 = 1_789_405_135;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../testdata/wimse-2026-09/", $name)).as_slice()
    };
}

/// A request and its response, as in the draft.
struct Printed {
    request: &'static [u8],
    request_base: &'static [u8],
    caller: &'static [u8],
    response: &'static [u8],
    response_base: &'static [u8],
    called: &'static [u8],
    audience: &'static str,
    request_nonce: &'static str,
    query: &'static str,
    status: &'static str,
}

const A_TO_B: Printed = Printed {
    request: file!("svca-svcb-request.http"),
    request_base: file!("svca-svcb-request.base"),
    caller: file!("svca.jwk.json"),
    response: file!("svca-svcb-response.http"),
    response_base: file!("svca-svcb-response.base"),
    called: file!("svcb.jwk.json"),
    audience: "https://svcb.example.com/gimme-ice-cream",
    request_nonce: "abcd1111",
    query: "?flavor=vanilla",
    status: "404",
};
const B_TO_C: Printed = Printed {
    request: file!("svcb-svcc-request.http"),
    request_base: file!("svcb-svcc-request.base"),
    caller: file!("svcb.jwk.json"),
    response: file!("svcb-svcc-response.http"),
    response_base: file!("svcb-svcc-response.base"),
    called: file!("svcc.jwk.json"),
    audience: "https://svcc.example.com/inventory/cones",
    request_nonce: "abcd3333",
    query: "?",
    status: "409",
};

fn key(jwk: &[u8], provider: &'static dyn Provider) -> VerifyingKey {
    VerifyingKey::from_jwk(&Jwk::parse(jwk).unwrap(), provider).unwrap()
}

impl Printed {
    fn request(&self) -> RawRequest<'static> {
        Reader::new(100).request(self.request, "https").unwrap()
    }

    fn response(&self, method: &str) -> RawResponse<'static> {
        Reader::new(100).response(self.response, method).unwrap()
    }

    fn verify(&self, provider: &'static dyn Provider, now: u64) -> Result<VerifiedRequest, Error> {
        let request = self.request();
        let policy = RequestPolicy::for_audiences([self.audience]).unwrap();
        let unspent = policy.verify(&request, &key(self.caller, provider), at(now))?;
        let head = unspent.spend(&ReplayCache::in_memory(10), SENDER, at(now))?;
        head.check_body(request.content())
    }
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

/// SIG-01, SIG-03, SIG-07: both requests verify with both providers, at their time.
#[test]
fn the_requests_verify_at_their_time() {
    for printed in [A_TO_B, B_TO_C] {
        for provider in [AWS_LC, RUSTCRYPTO] {
            let verified = printed.verify(provider, CREATED).unwrap();
            assert_eq!(verified.nonce(), printed.request_nonce);
            assert_eq!(verified.signed_response(), SignedResponse::Asked);
            let signature = verified.signature();
            assert_eq!(signature.label(), "sig1");
            assert_eq!(signature.value(&Component::QUERY), Some(printed.query));
            assert_eq!(
                verified.content_digest().is_some(),
                !printed.request().content().is_empty()
            );
        }
        let code = |now| code(printed.verify(AWS_LC, now));
        assert_eq!(code(CREATED - 28), "ok");
        assert_eq!(code(CREATED - 31), "sig.created_in_future");
        assert_eq!(code(CREATED + 330), "ok");
        assert_eq!(code(CREATED + 333), "sig.expired");
    }
}

/// SIG-02, SIG-09: both responses answer their requests, also for an observer that sent neither.
#[test]
fn the_responses_answer_their_requests() {
    for (printed, other) in [(A_TO_B, B_TO_C), (B_TO_C, A_TO_B)] {
        for provider in [AWS_LC, RUSTCRYPTO] {
            let request = printed.request();
            let response = printed.response(request.method());
            let judge = |verified: &VerifiedRequest, response: &dyn Message, called: &[u8]| {
                let (key, policy) = (key(called, provider), ResponsePolicy::new());
                let pending = verified.pending();
                pending.finish(response, &request, Some(&key), &policy, at(CREATED))
            };
            let verified = printed.verify(provider, CREATED).unwrap();
            let Ok(Answer::Signed(head)) = judge(&verified, &response, printed.called) else {
                panic!("it is signed")
            };
            let answer = head.check_body(response.content()).unwrap();
            assert_eq!(answer.request_nonce(), printed.request_nonce);
            let status = answer.signature().value(&Component::STATUS);
            assert_eq!(status, Some(printed.status));

            let refused = judge(&verified, &response, printed.caller);
            assert_ne!(code(refused), "ok", "by another key");
            let elsewhere = other.verify(provider, CREATED).unwrap();
            let refused = judge(&elsewhere, &response, printed.called);
            assert_eq!(code(refused), "sig.request_nonce");
        }
    }
}

/// The signature base of each message, byte for byte.
#[test]
fn the_bases_are_those_of_the_messages() {
    let limits = Limits::default();
    let base = |exchange: &Exchange<'_>, message: &dyn Message| {
        let fields = ReceivedFields::of(message, Section::Headers, &limits).unwrap();
        let signatures = fields.signatures(&limits).unwrap();
        let base = signatures.first().unwrap().base(exchange, &limits);
        base.unwrap().as_bytes().to_vec()
    };
    for printed in [A_TO_B, B_TO_C] {
        let request = printed.request();
        let response = printed.response(request.method());
        let found = base(&Exchange::of(&request), &request);
        assert_eq!(found, printed.request_base);
        let exchange = Exchange::of(&response).answering(&request);
        assert_eq!(base(&exchange, &response), printed.response_base);
    }
}

/// A changed byte of a covered part is refused.
#[test]
fn changed_messages_are_refused() {
    let policy = RequestPolicy::for_audiences([B_TO_C.audience]).unwrap();
    let caller = key(B_TO_C.caller, AWS_LC);
    let verify = |from: &str, to: &str| {
        let text = str::from_utf8(B_TO_C.request).unwrap();
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        let request = Reader::new(100).request(text.as_bytes(), "https").unwrap();
        let unspent = policy.verify(&request, &caller, at(CREATED));
        code(unspent.and_then(|it| it.accept_replays().check_body(request.content())))
    };
    for (from, to, expected) in [
        ("sig1", "sig1", "ok"),
        ("POST ", "PUT ", "sig.signature"),
        ("/inventory/cones ", "/inventory/cone ", "sig.signature"),
        ("/inventory/cones ", "/inventory/cones?a ", "sig.signature"),
        ("application/json", "application/jsom", "sig.signature"),
        ("abcd3333", "abcd3334", "sig.signature"),
        ("sha-256=:T", "sha-256=:U", "sig.signature"),
        ("\"amount\":1", "\"amount\":2", "digest.mismatch"),
        ("-workload\";", "-workload2\";", "sig.missing"),
        ("svcc.example.com/inventory/cones\"", "x\"", "sig.audience"),
        (";wimse-sign-response", "", "sig.signature"),
        (
            ";wimse-sign-response",
            ";wimse-sign-response=?0",
            "sig.signature",
        ),
        (" \"@query\"", "", "sig.component_required"),
    ] {
        assert_eq!(verify(from, to), expected, "{from} {to}");
    }
}

/// The examples of -06 cover `@request-target` instead of path and query.
#[test]
fn a_request_of_06_is_refused() {
    let request = include_bytes!("../../../testdata/wimse/sigs-request.txt");
    let request = Reader::edited_file(0).request(request, "https").unwrap();
    let policy = RequestPolicy::for_audiences([A_TO_B.audience]).unwrap();
    let caller = key(A_TO_B.caller, AWS_LC);
    let error = policy.verify(&request, &caller, at(1_785_155_797));
    assert_eq!(error.unwrap_err().code(), "sig.component_required");
}
