//! Counts allocations of one request of the WIMSE profile, when it is signed and when it is
//! verified.

use std::time::Duration;

use aims_http_sig::HttpRequest;
use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse::{Content, RequestPolicy, RequestSigning};
use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;
use allocation_counter::measure;

const TARGET: &str = "https://tools.example/call";

#[test]
fn one_request_allocates_a_handful_of_times() {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
    let key = SigningKey::generate(Algorithm::Ed25519, AWS_LC).unwrap();
    let digest = ContentDigest::of(b"{}");
    let (mut parts, ()) = http::Request::post(TARGET)
        .header("workload-identity-token", "w".repeat(700))
        .header("content-type", "application/json")
        .header("content-digest", digest.to_string())
        .header("authorization", format!("Bearer {}", "t".repeat(700)))
        .header("txn-token", "x".repeat(700))
        .body(())
        .unwrap()
        .into_parts();

    let signing = RequestSigning::to(TARGET).unwrap();
    let mut prepared = None;
    let used = measure(|| {
        let request = HttpRequest::to_send(&parts).unwrap();
        prepared = signing
            .prepare(&request, Content::Digest(&digest), SYSTEM, now)
            .ok();
    });
    let (prepared, _pending) = prepared.unwrap();
    assert!((1..=4).contains(&used.count_total), "{used:?}");
    let fields = prepared.sign(&key).unwrap();
    fields.apply(&mut parts.headers).unwrap();
    parts.uri = "/call".parse().unwrap();

    let policy = RequestPolicy::for_audiences([TARGET]).unwrap();
    let verify = || {
        let request = HttpRequest::received(&parts, "https", "tools.example");
        policy
            .verify(&request, key.verifying_key(), now)
            .unwrap()
            .accept_replays()
    };
    // Values that are computed once per key are computed now.
    verify().check_body(b"{}").unwrap();
    let used = measure(|| {
        verify().check_body(b"{}").unwrap();
    });
    assert!((1..=12).contains(&used.count_total), "{used:?}");
}
