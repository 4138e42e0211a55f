//! The tokens and proofs in draft-ietf-wimse-wpt-01 and -02.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use aims_jose::digest::sha256_base64url;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use aims_wimse_cred::{Bundle, TrustStore, Wit, WitRules};
use aims_wimse_id::Origin;
use aims_wimse_wpt::{Binding, Error, Revision, Revisions, UnspentWpt, WptRules};
use common::{at, code};
use serde_json::value::RawValue;

const WIT: &str = include_str!("../../testdata/wimse/wit.txt");
const WPT: &str = include_str!("../../testdata/wimse/wpt.txt");
const KEYS: &str = include_str!("../../testdata/wimse/keys.json");
const WIT_02: &str = include_str!("../../testdata/wimse-2026-09/wit.txt");
const WPT_02: &str = include_str!("../../testdata/wimse-2026-09/wpt.txt");
const ISSUER_02: &str = include_str!("../../testdata/wimse-2026-09/wit-issuer.jwk.json");
const AUDIENCE: &str = "https://workload.example.com/path";
/// `Authorization` of the request in -01.
const ACCESS_TOKEN: &str = "16_mAd0GiwaZokU26_0902100";
/// A time at which both tokens are valid.
const TIME: u64 = 1_745_510_000;
const EXPIRES: u64 = 1_745_510_016;

fn wit(provider: &'static dyn Provider, now: u64) -> Wit {
    let keys: BTreeMap<String, Box<RawValue>> = serde_json::from_str(KEYS).unwrap();
    let issuer = keys.values().find(|key| key.get().contains("June 5"));
    verified(WIT, issuer.unwrap().get(), provider, now)
}

fn verified(text: &str, issuer: &str, provider: &'static dyn Provider, now: u64) -> Wit {
    let set = format!("{{\"keys\":[{issuer}]}}");
    let origin: Origin = "wimse://example.com".parse().unwrap();
    let bundle = Bundle::parse(&origin, set.as_bytes(), provider).unwrap();
    let trust = TrustStore::of([bundle]).snapshot();
    Wit::verify(text.trim(), &trust, &WitRules::wit(), at(now)).unwrap()
}

fn draft01() -> WptRules {
    WptRules::default().with_revisions(Revisions::DRAFT_01)
}

fn verify(binding: &Binding<'_>, now: u64) -> Result<UnspentWpt, Error> {
    let (wit, rules) = (wit(AWS_LC, TIME), draft01());
    aims_wimse_wpt::verify(WPT.trim(), &wit, binding, &rules, at(now))
}

fn verify_02(binding: &Binding<'_>, now: u64) -> Result<UnspentWpt, Error> {
    let wit = verified(WIT_02, ISSUER_02, AWS_LC, TIME);
    aims_wimse_wpt::verify(WPT_02, &wit, binding, &WptRules::default(), at(now))
}

fn to(audience: &str) -> Binding<'_> {
    Binding::to(audience).revision(Revision::Draft01)
}

fn good() -> Binding<'static> {
    to(AUDIENCE).access_token(ACCESS_TOKEN)
}

/// WPT-01, WPT-05, WPT-06: the published pair verifies at its time, with both providers.
#[test]
fn the_published_proof_verifies() {
    for provider in [AWS_LC, RUSTCRYPTO] {
        let wit = wit(provider, TIME);
        assert_eq!(wit.id().as_str(), "wimse://example.com/specific-workload");
        let rules = draft01();
        let proof = aims_wimse_wpt::verify(WPT.trim(), &wit, &good(), &rules, at(TIME)).unwrap();
        let store = aims_replay::ReplayCache::in_memory(10);
        let proof = proof.spend(&store, at(TIME)).unwrap();
        assert_eq!(proof.expires(), at(EXPIRES));
    }
}

/// WPT-05, WPT-06: the computed hashes equal the printed ones.
#[test]
fn the_printed_hashes_are_ours() {
    let wth = "AaYUfC34D1di2FxQLpiIJJ7Sg8VZ6o8OCdwSf9IToLg";
    assert_eq!(sha256_base64url(WIT.trim()), wth);
    let ath = "CL4wjfpRmNf-bdYIbYLnV9d5rMARGwKYE10wUwzC0jI";
    assert_eq!(sha256_base64url(ACCESS_TOKEN), ath);
}

/// WPT-02, WPT-03, WPT-06, T-033: a changed request is refused.
#[test]
fn the_published_proof_is_for_its_request() {
    assert_eq!(code(verify(&good(), TIME)), "ok");
    assert_eq!(code(verify(&good(), EXPIRES + 29)), "ok");
    assert_eq!(code(verify(&good(), EXPIRES + 30)), "wpt.expired");
    assert_eq!(code(verify(&good(), EXPIRES - 331)), "wpt.lifetime");
    let elsewhere = to("https://workload.example.com/").access_token(ACCESS_TOKEN);
    assert_eq!(code(verify(&elsewhere, TIME)), "wpt.audience");
    assert_eq!(code(verify(&to(AUDIENCE), TIME)), "wpt.ath");
    assert_eq!(code(verify(&good().access_token("x"), TIME)), "wpt.ath");
    assert_eq!(code(verify(&good().txn_token("x"), TIME)), "wpt.tth");
    assert_eq!(code(verify(&good().header("x", b""), TIME)), "wpt.oth");
}

/// WPT-01, WPT-05, WPT-08: the request in -02 contains the printed pair, which verifies at its
/// time, with both providers.
#[test]
fn the_proof_of_draft_02_verifies() {
    for provider in [AWS_LC, RUSTCRYPTO] {
        let wit = verified(WIT_02, ISSUER_02, provider, TIME);
        assert_eq!(wit.id().as_str(), "wimse://example.com/specific-workload");
        let (rules, binding) = (WptRules::default(), Binding::to(AUDIENCE));
        let proof = aims_wimse_wpt::verify(WPT_02, &wit, &binding, &rules, at(TIME)).unwrap();
        let store = aims_replay::ReplayCache::in_memory(10);
        let proof = proof.spend(&store, at(TIME)).unwrap();
        assert_eq!(proof.expires(), at(EXPIRES));
        assert_eq!(proof.revision(), Revision::Draft02);
    }
}

/// WPT-08: the request in -02, parsed as printed.
#[cfg(feature = "http")]
#[test]
fn the_request_of_draft_02_is_read() {
    let request = include_str!("../../testdata/wimse-2026-09/wpt-request.txt");
    let mut headers = http::HeaderMap::new();
    let (head, _content) = request.split_once("\r\n\r\n").unwrap();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    let find = |accepted| aims_wimse_wpt::fields::Presented::find(&headers, accepted);
    let found = find(Revisions::default()).unwrap().unwrap();
    assert_eq!((found.wit(), found.wpt()), (WIT_02, WPT_02));
    assert_eq!(found.revision(), Revision::Draft02);
    assert_eq!(code(find(Revisions::DRAFT_01)), "wpt.revision");
}

/// WPT-02, WPT-03, WPT-13: a changed request is refused.
#[test]
fn the_proof_of_draft_02_is_for_its_request() {
    let good = Binding::to(AUDIENCE);
    assert_eq!(code(verify_02(&good, TIME)), "ok");
    assert_eq!(code(verify_02(&good, EXPIRES + 30)), "wpt.expired");
    assert_eq!(code(verify_02(&good, EXPIRES - 331)), "wpt.lifetime");
    let elsewhere = Binding::to("https://workload.example.com/");
    assert_eq!(code(verify_02(&elsewhere, TIME)), "wpt.audience");
    assert_eq!(
        code(verify_02(&good.clone().txn_token("x"), TIME)),
        "wpt.tth"
    );
    assert_eq!(
        code(verify_02(&good.clone().header("x", b""), TIME)),
        "wpt.oth"
    );
    let with_token = good.clone().access_token("x");
    assert_eq!(code(verify_02(&with_token, TIME)), "wpt.access_token");
    let as_01 = good.revision(Revision::Draft01);
    assert_eq!(code(verify_02(&as_01, TIME)), "wpt.revision");
}
