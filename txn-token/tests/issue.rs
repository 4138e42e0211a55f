//! Tests that issued tokens verify, and that invalid requests are refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aims_jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims_jose::key::SigningKey;
use aims_jose::random::SYSTEM;
use aims_jose::time::at;
use aims_jose::{Algorithm, provider};
use aims_oauth_wire::call::CallDigest;
use aims_txn_token::{TXN_TOKEN, TxnToken, TxnTokenRequest, TxnTokenRules, from_headers};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const DOMAIN: &str = "trust-domain.example";
const MINUTE: Duration = Duration::from_secs(60);

fn request() -> TxnTokenRequest {
    TxnTokenRequest::new(DOMAIN, "alice", "trade.stocks", "gateway")
}

fn made(request: &TxnTokenRequest) -> TxnToken {
    let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC).unwrap();
    let key = key.with_key_id("1");
    let input = request.prepare(Algorithm::Es256, Some("1"), MINUTE, SYSTEM, at(NOW));
    let token = input.unwrap().sign(&key).unwrap();
    let keys: PublicJwkSet = [key.public_jwk().clone()].into_iter().collect();
    let keys = JwkSet::parse(
        keys.to_json().as_bytes(),
        &SetRules::oauth(),
        provider::AWS_LC,
    );
    let rules = TxnTokenRules::new(DOMAIN);
    TxnToken::verify(token.expose(), &keys.unwrap(), &rules, at(NOW)).unwrap()
}

#[test]
fn what_is_made_is_taken() {
    let call = CallDigest::of("buy", Some(br#"{"ticker":"MSFT"}"#)).unwrap();
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let whole = request()
        .txn("t-1")
        .issuer("https://tts.example")
        .transaction("action", json!("BUY"))
        .request("req_ip", json!("192.0.2.1"))
        .call(&call)
        .confirmation(&format!(r#"{{"jkt":"{jkt}"}}"#))
        .unwrap();
    let token = made(&whole);
    assert_eq!((token.txn(), token.subject()), ("t-1", "alice"));
    assert_eq!((token.domain(), token.requester()), (DOMAIN, "gateway"));
    assert_eq!(token.issuer(), Some("https://tts.example"));
    assert_eq!(token.expires(), at(NOW + 60));
    assert!(token.check_call(&call).is_ok());
    assert_eq!(token.confirmations().len(), 1);
    let all: Value = token.claims().unwrap();
    assert_eq!(all["rctx"], json!({"req_ip": "192.0.2.1"}));
    assert_eq!(all["tctx"]["action"], "BUY");
}

/// `txn` is random by default, and empty contexts are left out.
#[test]
fn what_is_not_said_is_left_out() {
    let (one, other) = (made(&request()), made(&request()));
    assert_eq!(one.txn().len(), 22);
    assert_ne!(one.txn(), other.txn());
    let all: Value = one.claims().unwrap();
    for absent in ["iss", "tctx", "rctx", "cnf", "nbf"] {
        assert!(all.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn what_cannot_be_is_not_made() {
    let code = |request: &TxnTokenRequest, algorithm, lifetime| {
        let made = request.prepare(algorithm, None, lifetime, SYSTEM, at(NOW));
        made.map_or_else(|error| error.code(), |_| "ok")
    };
    let es256 = Algorithm::Es256;
    assert_eq!(code(&request(), es256, MINUTE), "ok");
    for (request, why) in [
        (TxnTokenRequest::new("", "a", "s", "w"), "no domain"),
        (TxnTokenRequest::new("d", "", "s", "w"), "no subject"),
        (TxnTokenRequest::new("d", "a", "", "w"), "no scope"),
        (
            TxnTokenRequest::new("d", "a", "s  t", "w"),
            "malformed scope",
        ),
        (TxnTokenRequest::new("d", "a", "s", ""), "no requester"),
        (TxnTokenRequest::new("d", "a", "s", "v w"), "two requesters"),
        (request().txn(""), "empty txn"),
    ] {
        assert_eq!(code(&request, es256, MINUTE), "txn.prepare", "{why}");
    }
    for lifetime in [Duration::ZERO, Duration::from_secs(3_601)] {
        assert_eq!(code(&request(), es256, lifetime), "txn.prepare");
    }
    for algorithm in [Algorithm::Rs256, Algorithm::Ps512] {
        assert_eq!(code(&request(), algorithm, MINUTE), "txn.prepare");
    }
    let refused = request().confirmation("{}").unwrap_err();
    assert_eq!(refused.code(), "txn.confirmation");
}

#[test]
fn one_field_holds_one_token() {
    let found = |values: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TXN_TOKEN, HeaderValue::from_bytes(value).unwrap());
        }
        let found = from_headers(&headers).map_err(|error| error.code());
        found.map(|text| text.map(str::to_owned))
    };
    assert_eq!(found(&[]), Ok(None));
    assert_eq!(found(&[b"a.b.c"]), Ok(Some("a.b.c".to_owned())));
    assert_eq!(found(&[b"a.b.c", b"a.b.c"]), Err("txn.field_repeated"));
    for value in [&b"a.b.c, d.e.f"[..], b"a.b.c,d", b"a b", b"", b"\xff"] {
        assert_eq!(found(&[value]), Err("txn.field_syntax"));
    }
}

/// A context that the verifier would refuse is not written.
#[test]
fn a_context_that_cannot_be_read_is_not_made() {
    let deep = || (0..40).fold(json!(1), |inner, _| json!([inner]));
    let code = |request: TxnTokenRequest| {
        let made = request.prepare(Algorithm::Es256, None, MINUTE, SYSTEM, at(NOW));
        made.unwrap_err().code()
    };
    assert_eq!(code(request().transaction("deep", deep())), "txn.prepare");
    assert_eq!(code(request().request("deep", deep())), "txn.prepare");
    #[cfg(feature = "agents")]
    {
        let members = || [("deep".to_owned(), deep())].into_iter().collect();
        assert_eq!(code(request().agentic_context(members())), "txn.prepare");
        assert_eq!(code(request().actors(members())), "txn.prepare");
    }
}
