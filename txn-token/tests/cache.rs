//! Remembered transaction tokens.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aims_jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::SYSTEM;
use aims_jose::time::at;
use aims_jose::{Algorithm, provider};
use aims_oauth_wire::confirmation::ProvenKey;
use aims_txn_token::{TxnTokenCache, TxnTokenRequest, TxnTokenRules};

const NOW: u64 = 1_800_000_000;

fn key(id: &str) -> SigningKey {
    let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC).unwrap();
    key.with_key_id(id)
}

fn set(keys: &[&SigningKey]) -> JwkSet {
    let keys: PublicJwkSet = keys.iter().map(|key| key.public_jwk().clone()).collect();
    let json = keys.to_json();
    JwkSet::parse(json.as_bytes(), &SetRules::oauth(), provider::AWS_LC).unwrap()
}

fn token(key: &SigningKey, cnf: Option<&str>) -> String {
    let request = TxnTokenRequest::new("domain.example", "alice", "pay", "gateway");
    let request = match cnf {
        Some(cnf) => request.confirmation(cnf).unwrap(),
        None => request,
    };
    let minute = Duration::from_secs(60);
    let input = request.prepare(Algorithm::Es256, key.key_id(), minute, SYSTEM, at(NOW));
    input.unwrap().sign(key).unwrap().expose().to_owned()
}

/// A known token is refused from the moment at which it would not be verified any more.
#[test]
fn a_known_token_ends_with_its_time_and_its_key() {
    let (own, other) = (key("1"), key("2"));
    let text = token(&own, None);
    let tokens = TxnTokenCache::new(10, TxnTokenRules::new("domain.example"));
    let code = |keys: &[&SigningKey], now: u64| {
        let verified = tokens.verify(&text, &set(keys), at(now));
        verified.map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(code(&[&own], NOW), "ok");
    assert_eq!(tokens.len(), 1);
    assert_eq!(code(&[&own, &other], NOW + 89), "ok");
    assert_eq!(code(&[&own], NOW + 90), "txn.expired");
    assert!(tokens.is_empty());
    assert_eq!(code(&[&own], NOW), "ok");
    assert_eq!(code(&[&other], NOW), "key.unknown");
    assert!(tokens.is_empty());
    // Another key under the same name.
    assert_eq!(code(&[&own], NOW), "ok");
    assert_eq!(code(&[&key("1")], NOW), "txn.signature");
    assert!(tokens.is_empty());
}

#[test]
fn refused_tokens_are_not_remembered() {
    let own = key("1");
    let tokens = TxnTokenCache::new(10, TxnTokenRules::new("other.example"));
    let keys = set(&[&own]);
    for _ in 0..2 {
        let refused = tokens.verify(&token(&own, None), &keys, at(NOW));
        assert_eq!(refused.unwrap_err().code(), "txn.domain");
    }
    let long = "a".repeat(9 * 1024);
    let refused = tokens.verify(&long, &keys, at(NOW));
    assert_eq!(refused.unwrap_err().code(), "jws.too_long");
    assert!(tokens.is_empty());
}

/// A bound token needs the proof of its key; each member of `cnf` its own kind of proof.
#[test]
fn a_bound_token_needs_its_key() {
    let own = key("1");
    let (key, other) = (
        own.public_jwk().thumbprint(),
        key("2").public_jwk().thumbprint(),
    );
    let tokens = TxnTokenCache::new(10, TxnTokenRules::new("domain.example"));
    let bound = token(&own, Some(&format!(r#"{{"jkt":"{key}"}}"#)));
    let bound = tokens.verify(&bound, &set(&[&own]), at(NOW)).unwrap();
    let code = |proven: &[ProvenKey]| bound.confirmed_by(proven).map_err(|error| error.code());
    assert_eq!(code(&[ProvenKey::Dpop(key)]), Ok(()));
    for proven in [
        &[][..],
        &[ProvenKey::Dpop(other)],
        &[ProvenKey::Signature(key)],
    ] {
        assert_eq!(code(proven), Err("txn.not_bound"));
    }
    // A token that is bound to nothing needs no proof.
    let free = tokens.verify(&token(&own, None), &set(&[&own]), at(NOW));
    assert!(free.unwrap().confirmed_by(&[]).is_ok());
}
