//! The token and the proof that the drafts print.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use aims_jose::digest::sha256_base64url;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use aims_wimse_cred::{Bundle, TrustStore, Wit, WitRules};
use aims_wimse_id::Origin;
use aims_wimse_wpt::{Binding, Error, UnspentWpt, WptRules};
use common::{at, code};
use serde_json::value::RawValue;

const WIT: &str = include_str!("../../testdata/wimse/wit.txt");
const WPT: &str = include_str!("../../testdata/wimse/wpt.txt");
const KEYS: &str = include_str!("../../testdata/wimse/keys.json");
const AUDIENCE: &str = "https://workload.example.com/path";
/// `Authorization` of the printed request.
const ACCESS_TOKEN: &str = "16_mAd0GiwaZokU26_0902100";
/// While both tokens are valid.
const TIME: u64 = 1_745_510_000;
const EXPIRES: u64 = 1_745_510_016;

fn wit(provider: &'static dyn Provider, now: u64) -> Wit {
    let keys: BTreeMap<String, Box<RawValue>> = serde_json::from_str(KEYS).unwrap();
    let issuer = keys.values().find(|key| key.get().contains("June 5"));
    let set = format!("{{\"keys\":[{}]}}", issuer.unwrap().get());
    let origin: Origin = "wimse://example.com".parse().unwrap();
    let bundle = Bundle::parse(&origin, set.as_bytes(), provider).unwrap();
    let trust = TrustStore::of([bundle]).snapshot();
    Wit::verify(WIT.trim(), &trust, &WitRules::wit(), at(now)).unwrap()
}

fn verify(binding: &Binding<'_>, now: u64) -> Result<UnspentWpt, Error> {
    let (wit, rules) = (wit(AWS_LC, TIME), WptRules::default());
    aims_wimse_wpt::verify(WPT.trim(), &wit, binding, &rules, at(now))
}

fn good() -> Binding<'static> {
    Binding::to(AUDIENCE).access_token(ACCESS_TOKEN)
}

/// WPT-01, WPT-05, WPT-06: the published pair verifies at its time, on both providers.
#[test]
fn the_published_proof_verifies() {
    for provider in [AWS_LC, RUSTCRYPTO] {
        let wit = wit(provider, TIME);
        assert_eq!(wit.id().as_str(), "wimse://example.com/specific-workload");
        let rules = WptRules::default();
        let proof = aims_wimse_wpt::verify(WPT.trim(), &wit, &good(), &rules, at(TIME)).unwrap();
        let store = aims_replay::ReplayCache::in_memory(10);
        let proof = proof.spend(&store, at(TIME)).unwrap();
        assert_eq!(proof.expires(), at(EXPIRES));
    }
}

/// WPT-05, WPT-06: the hashes are those that are printed.
#[test]
fn the_printed_hashes_are_ours() {
    let wth = "AaYUfC34D1di2FxQLpiIJJ7Sg8VZ6o8OCdwSf9IToLg";
    assert_eq!(sha256_base64url(WIT.trim()), wth);
    let ath = "CL4wjfpRmNf-bdYIbYLnV9d5rMARGwKYE10wUwzC0jI";
    assert_eq!(sha256_base64url(ACCESS_TOKEN), ath);
}

/// WPT-02, WPT-03, WPT-06, T-033: with one thing changed it does not.
#[test]
fn the_published_proof_is_for_its_request() {
    assert_eq!(code(verify(&good(), TIME)), "ok");
    assert_eq!(code(verify(&good(), EXPIRES + 29)), "ok");
    assert_eq!(code(verify(&good(), EXPIRES + 30)), "wpt.expired");
    assert_eq!(code(verify(&good(), EXPIRES - 331)), "wpt.lifetime");
    let elsewhere = Binding::to("https://workload.example.com/").access_token(ACCESS_TOKEN);
    assert_eq!(code(verify(&elsewhere, TIME)), "wpt.audience");
    assert_eq!(code(verify(&Binding::to(AUDIENCE), TIME)), "wpt.ath");
    assert_eq!(code(verify(&good().access_token("x"), TIME)), "wpt.ath");
    assert_eq!(code(verify(&good().txn_token("x"), TIME)), "wpt.tth");
    assert_eq!(code(verify(&good().header("x", b""), TIME)), "wpt.oth");
}
