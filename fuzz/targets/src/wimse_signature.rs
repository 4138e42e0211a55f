//! Requests and responses of workloads, verified by the profile of WIMSE.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aims_http_sig::http1::{RawRequest, RawResponse, Reader};
use aims_http_sig::profile::wimse::{
    Answer, RequestPolicy, ResponsePolicy, VerifiedRequest, VerifiedResponse, status,
};
use aims_http_sig::{Error, Exchange, Limits, Message, ReceivedFields, Section, VerifiedSignature};

use crate::known::{NOW, at, known};
use crate::{Outcome, refused};

/// The messages that the holder of the key has signed. No other message verifies.
const SIGNED: [&[u8]; 4] = [
    REQUEST,
    include_bytes!("../../corpus/wimse_signature/ok-response"),
    include_bytes!("../../corpus/wimse_signature/ok-everything"),
    include_bytes!("../../corpus/wimse_signature/ok-no_body"),
];
const REQUEST: &[u8] = include_bytes!("../../corpus/wimse_signature/ok-request");
const AUDIENCE: &str = "https://tools.example/call";

/// Verifies a request, or, if the input begins like one, the response to the first signed request.
/// Accepted if signature and body are valid.
pub fn wimse_signature(data: &[u8]) -> Outcome {
    let asked = asked();
    let judged = if data.starts_with(b"HTTP/") {
        match reader().response(data, asked.method()) {
            Ok(response) => judge_response(&response, &asked),
            Err(error) => Err(error),
        }
    } else {
        match reader().request(data, "https") {
            Ok(request) => judge_request(&request),
            Err(error) => Err(error),
        }
    };
    match judged {
        Ok(()) => Outcome::Accepted,
        Err(error) => {
            // Every defect is the client's, and so is the status.
            assert!(status(&error).is_client_error(), "{error}");
            refused(error.code(), &[Error::CODES])
        }
    }
}

fn judge_request(request: &RawRequest<'_>) -> Result<(), Error> {
    let judged = [0, 1].map(|provider| verify_request(request, provider));
    let verified = same(judged)?;
    check_signed(verified.signature(), request, request.content());
    let digest = verified.content_digest();
    assert!(digest.is_some() || request.content().is_empty());
    assert!(digest.is_none_or(|digest| digest.verify(request.content()).is_ok()));
    Ok(())
}

fn verify_request(request: &RawRequest<'_>, provider: usize) -> Result<VerifiedRequest, Error> {
    let [_, workload] = &known().printed;
    let key = workload.get(provider).ok_or(Error::KeyUnknown)?;
    let policy = RequestPolicy::for_audiences([AUDIENCE])?;
    let unspent = policy.verify(request, key, at(NOW))?;
    unspent.accept_replays().check_body(request.content())
}

fn judge_response(response: &RawResponse<'_>, asked: &RawRequest<'_>) -> Result<(), Error> {
    let judged = [0, 1].map(|provider| verify_response(response, asked, provider));
    let verified = same(judged)?;
    check_signed(verified.signature(), response, response.content());
    let digest = verified.content_digest();
    assert!(digest.is_some() || response.content().is_empty());
    Ok(())
}

fn verify_response(
    response: &RawResponse<'_>,
    asked: &RawRequest<'_>,
    provider: usize,
) -> Result<VerifiedResponse, Error> {
    let [_, workload] = &known().printed;
    let pending = verify_request(asked, provider)?.pending();
    let key = workload.get(provider);
    let policy = ResponsePolicy::new();
    match pending.finish(response, asked, key, &policy, at(NOW))? {
        Answer::Signed(head) => head.check_body(response.content()),
        Answer::Unsigned => unreachable!("a signed response was asked for"),
    }
}

/// Both providers give the same result.
fn same<T>(judged: [Result<T, Error>; 2]) -> Result<T, Error> {
    match judged {
        [Ok(one), Ok(_other)] => Ok(one),
        [Err(one), Err(other)] => {
            assert_eq!(one.code(), other.code(), "the providers differ");
            Err(one)
        }
        _ => unreachable!("the providers differ"),
    }
}

/// The base is one that was signed, and the body that of its message.
fn check_signed(signature: &VerifiedSignature, message: &dyn Message, content: &[u8]) {
    let body = BASES.get(signature.base().as_bytes());
    assert_eq!(body.map(Vec::as_slice), Some(content), "no key signed this");
    // The fields that a receiver acts on are covered if present.
    for field in [
        "workload-identity-token",
        "authorization",
        "content-digest",
        "content-encoding",
    ] {
        let mut there = false;
        message.lines(Section::Headers, field, &mut |_line| there = true);
        let covered = signature.components().any(|(id, _)| id.name() == field);
        assert_eq!(there, covered, "{field}");
    }
}

fn reader() -> Reader {
    Reader::new(64 * 1024)
}

fn asked() -> RawRequest<'static> {
    match reader().request(REQUEST, "https") {
        Ok(request) => request,
        Err(error) => unreachable!("{error}"),
    }
}

/// The bases of the signed messages, each with the body of its message.
static BASES: LazyLock<BTreeMap<Vec<u8>, Vec<u8>>> = LazyLock::new(|| {
    let (limits, asked) = (Limits::default(), asked());
    let mut bases = BTreeMap::new();
    for data in SIGNED {
        let mut add = |exchange: &Exchange<'_>, message: &dyn Message, content: &[u8]| {
            let fields = ReceivedFields::of(message, Section::Headers, &limits)?;
            for signature in fields.signatures(&limits)? {
                let base = signature.base(exchange, &limits)?;
                bases.insert(base.as_bytes().to_vec(), content.to_vec());
            }
            Ok::<_, Error>(())
        };
        let added = if data.starts_with(b"HTTP/") {
            let response = reader().response(data, asked.method());
            response.and_then(|it| add(&Exchange::of(&it).answering(&asked), &it, it.content()))
        } else {
            let request = reader().request(data, "https");
            request.and_then(|it| add(&Exchange::of(&it), &it, it.content()))
        };
        assert!(added.is_ok(), "{added:?}");
    }
    bases
});
