//! Grants for another trust domain: each negative differs from a good one in one property.
#![cfg(feature = "chaining")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aims_jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims_jose::jws::SigningInput;
use aims_jose::key::SigningKey;
use aims_jose::random::SYSTEM;
use aims_jose::time::at;
use aims_jose::{Algorithm, provider};
use aims_oauth_wire::confirmation::ProvenKey;
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::names::{Issuer, Resource};
use aims_replay::{ReplayCache, ReplayStore as _};
use aims_txn_token::{
    ChainGrant, ChainGrantRequest, ChainGrantRules, Error, TxnToken, TxnTokenRequest, TxnTokenRules,
};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const OWN: &str = "https://as.enterprise.example";
const OTHER: &str = "https://as.spamsvc.example";
const API: &str = "https://api.spamsvc.example/spam-rating";
const MINUTE: Duration = Duration::from_secs(60);

fn key() -> SigningKey {
    let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC).unwrap();
    key.with_key_id("1")
}

fn set(key: &SigningKey) -> JwkSet {
    let keys: PublicJwkSet = [key.public_jwk().clone()].into_iter().collect();
    let keys = keys.to_json();
    JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), provider::AWS_LC).unwrap()
}

fn issuer(text: &str) -> Issuer {
    text.parse().unwrap()
}

/// A transaction token of one minute.
fn token(key: &SigningKey) -> TxnToken {
    let request = TxnTokenRequest::new("enterprise.example", "u-7", "rating.read mail", "gw");
    let request = request.txn("t-1");
    let input = request.prepare(Algorithm::Es256, Some("1"), MINUTE, SYSTEM, at(NOW));
    let text = input.unwrap().sign(key).unwrap();
    let rules = TxnTokenRules::new("enterprise.example");
    TxnToken::verify(text.expose(), &set(key), &rules, at(NOW)).unwrap()
}

fn request(key: &SigningKey) -> ChainGrantRequest {
    ChainGrantRequest::new(
        &token(key),
        issuer(OWN),
        issuer(OTHER),
        "u7@enterprise.example",
    )
}

fn signed(request: &ChainGrantRequest, key: &SigningKey) -> Result<String, Error> {
    let input = request.prepare(Algorithm::Es256, Some("1"), MINUTE, SYSTEM, at(NOW))?;
    Ok(input.sign(key).unwrap().expose().to_owned())
}

fn rules() -> ChainGrantRules {
    ChainGrantRules::new(issuer(OTHER), issuer(OWN))
}

fn spent(text: &str, key: &SigningKey) -> Result<ChainGrant, Error> {
    let store = ReplayCache::in_memory(64);
    ChainGrant::verify(text, &set(key), &rules(), at(NOW))?.spend(&[], &store, at(NOW))
}

/// TXC-02: scopes cross by an explicit table, and a scope without a row stays behind.
#[test]
fn scopes_are_translated_by_a_table() {
    let key = key();
    let table = ScopeTable::new([("rating.read", "rate"), ("other", "admin")]).unwrap();
    let translated = request(&key).translated(&table).unwrap();
    let grant = spent(&signed(&translated, &key).unwrap(), &key).unwrap();
    assert_eq!(grant.scopes().to_string(), "rate");
    let none = ScopeTable::new([("other", "admin")]).unwrap();
    let found = signed(&request(&key).translated(&none).unwrap(), &key);
    assert_eq!(found.unwrap_err().code(), "txn.prepare");
}

/// TXC-04: a store that began to remember later does not know whether a grant was used.
#[test]
fn a_grant_from_before_the_store_is_refused() {
    let key = key();
    let text = signed(&request(&key), &key).unwrap();
    for (began, expected) in [(NOW - 31, None), (NOW - 30, Some("replay.before_start"))] {
        let store = ReplayCache::in_memory(64);
        store.begin(at(began));
        let grant = ChainGrant::verify(&text, &set(&key), &rules(), at(NOW)).unwrap();
        assert_eq!(grant.unspent().subject(), "u7@enterprise.example");
        let found = grant.spend(&[], &store, at(NOW)).err();
        assert_eq!(found.as_ref().map(Error::code), expected);
    }
}

#[test]
fn a_grant_carries_the_transaction() {
    let key = key();
    let request = request(&key)
        .scope(&"rating.read other".parse().unwrap())
        .resource(API.parse::<Resource>().unwrap())
        .carry("scope", json!("mail-delivery"))
        .unwrap();
    let grant = spent(&signed(&request, &key).unwrap(), &key).unwrap();
    assert_eq!(grant.subject(), "u7@enterprise.example");
    assert_eq!(grant.scopes().to_string(), "rating.read");
    assert_eq!((grant.txn(), grant.expires()), (Some("t-1"), at(NOW + 60)));
    assert_eq!(grant.resources(), [API]);
    let all: Value = grant.claims().unwrap();
    assert_eq!(all["txn_claims"], json!({"scope": "mail-delivery"}));
    assert_eq!(all["aud"], OTHER);
}

/// The example of the profile.
#[test]
fn the_example_of_the_profile_is_read() {
    let key = key();
    let claims = json!({
        "iss": OWN, "sub": "mail-gateway@enterprise.example", "aud": OTHER,
        "iat": 1_746_700_000, "exp": 1_746_700_060,
        "jti": "8f14e45f-ceee-467a-a19e-ab8f290a1f30", "scope": "spam.rating.read",
        "resource": API, "txn": "a9b2c3d4-e5f6-7890-abcd-ef1234567890",
        "txn_claims": {
            "scope": "mail-delivery", "rctx": {"smtp_from": "sender@external.example"}
        }
    });
    let input = SigningInput::new("txn-chain+jwt", Algorithm::Es256, Some("1"), &claims).unwrap();
    let text = input.sign(&key).unwrap();
    let now = at(1_746_700_010);
    let grant = ChainGrant::verify(text.expose(), &set(&key), &rules(), now).unwrap();
    let grant = grant.spend(&[], &ReplayCache::in_memory(64), now).unwrap();
    assert_eq!(grant.subject(), "mail-gateway@enterprise.example");
    assert_eq!(grant.resources(), [API]);
}

#[test]
fn a_grant_is_good_once() {
    let key = key();
    let text = signed(&request(&key), &key).unwrap();
    let store = ReplayCache::in_memory(64);
    let spend = || {
        let grant = ChainGrant::verify(&text, &set(&key), &rules(), at(NOW))?;
        grant.spend(&[], &store, at(NOW)).map(|_| ())
    };
    assert!(spend().is_ok());
    assert_eq!(spend().unwrap_err().code(), "replay.replayed");
}

#[test]
fn a_grant_ends_with_its_token() {
    let key = key();
    let late = |now: u64| {
        let lifetime = Duration::from_secs(300);
        request(&key).prepare(Algorithm::Es256, Some("1"), lifetime, SYSTEM, at(now))
    };
    let text = late(NOW + 30).unwrap().sign(&key).unwrap();
    let grant = ChainGrant::verify(text.expose(), &set(&key), &rules(), at(NOW + 30)).unwrap();
    let grant = grant
        .spend(&[], &ReplayCache::in_memory(64), at(NOW + 30))
        .unwrap();
    assert_eq!(grant.expires(), at(NOW + 60));
    assert_eq!(late(NOW + 60).unwrap_err().code(), "txn.prepare");
}

#[test]
fn what_widens_or_tells_too_much_is_not_made() {
    let key = key();
    let made = |request: ChainGrantRequest| {
        signed(&request, &key).map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(made(request(&key)), "ok");
    let nothing_in_common = request(&key).scope(&"admin".parse().unwrap());
    assert_eq!(made(nothing_in_common), "txn.prepare");
    let server = request(&key).resource(OTHER.parse::<Resource>().unwrap());
    assert_eq!(made(server), "txn.prepare");
    let nobody = ChainGrantRequest::new(&token(&key), issuer(OWN), issuer(OTHER), "");
    assert_eq!(made(nobody), "txn.prepare");
    for member in ["req_wl", "act", "agentic_ctx", "tctx"] {
        let carried = request(&key).carry(member, json!({}));
        assert_eq!(carried.unwrap_err().code(), "txn.prepare", "{member}");
    }
    let long = |seconds| {
        let lifetime = Duration::from_secs(seconds);
        let made = request(&key).prepare(Algorithm::Es256, None, lifetime, SYSTEM, at(NOW));
        made.map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(
        (long(300), long(301), long(0)),
        ("ok", "txn.prepare", "txn.prepare")
    );
    let rsa = request(&key).prepare(Algorithm::Rs256, None, MINUTE, SYSTEM, at(NOW));
    assert_eq!(rsa.unwrap_err().code(), "txn.prepare");
}

#[test]
fn each_claim_is_checked() {
    let key = key();
    let of = |typ: &str, changes: &Value| {
        let mut claims = json!({
            "iss": OWN, "sub": "u7", "aud": OTHER, "iat": NOW, "exp": NOW + 60, "jti": "1",
            "scope": "rating.read"
        });
        let all = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            if value == "-" {
                all.remove(name);
            } else {
                all.insert(name.clone(), value.clone());
            }
        }
        let input = SigningInput::new(typ, Algorithm::Es256, Some("1"), &claims).unwrap();
        let text = input.sign(&key).unwrap();
        spent(text.expose(), &key).map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(of("txn-chain+jwt", &json!({})), "ok");
    for typ in ["txntoken+jwt", "oauth-id-jag+jwt", "JWT", "TXN-CHAIN+JWT"] {
        assert_eq!(of(typ, &json!({})), "txn.typ", "{typ}");
    }
    for (changes, expected) in [
        (json!({"aud": [OTHER]}), "ok"),
        (json!({"aud": [OTHER, OWN]}), "txn.domain"),
        (json!({"aud": "https://as.spamsvc.example/"}), "txn.domain"),
        (json!({"iss": "https://evil.example"}), "txn.issuer"),
        (json!({"iss": "-"}), "txn.issuer"),
        (json!({"iat": NOW - 60, "exp": NOW - 31}), "txn.expired"),
        (json!({"iat": NOW + 31}), "txn.not_yet_valid"),
        (json!({"exp": NOW + 301}), "txn.lifetime"),
        (json!({"iat": "-"}), "txn.claim"),
        (json!({"exp": "-"}), "txn.claim"),
        (json!({"jti": "-"}), "txn.claim"),
        (json!({"jti": ""}), "txn.claim"),
        (json!({"jti": "x".repeat(257)}), "txn.claim"),
        (json!({"sub": ""}), "txn.claim"),
        (json!({"scope": "-"}), "txn.claim"),
        (json!({"scope": ""}), "txn.claim"),
        (json!({"resource": [API, API]}), "ok"),
        (json!({"resource": OTHER}), "txn.claim"),
        (json!({"txn_claims": []}), "txn.claim"),
        (json!({"cnf": {}}), "txn.confirmation"),
    ] {
        assert_eq!(of("txn-chain+jwt", &changes), expected, "{changes}");
    }
}

#[test]
fn a_bound_grant_needs_the_key() {
    let key = key();
    let jkt = key.public_jwk().thumbprint().to_string();
    let request = request(&key);
    let request = request
        .confirmation(&format!(r#"{{"jkt":"{jkt}"}}"#))
        .unwrap();
    let text = signed(&request, &key).unwrap();
    let store = ReplayCache::in_memory(64);
    let spend = |proven: &[ProvenKey]| {
        let unspent = ChainGrant::verify(&text, &set(&key), &rules(), at(NOW)).unwrap();
        unspent.spend(proven, &store, at(NOW))
    };
    let other = ProvenKey::Dpop(self::key().public_jwk().thumbprint());
    for proven in [&[][..], &[other]] {
        assert_eq!(spend(proven).unwrap_err().code(), "txn.not_bound");
    }
    // A thief without the key has not used the grant up.
    let own = ProvenKey::Dpop(key.public_jwk().thumbprint());
    assert_eq!(spend(&[own]).unwrap().subject(), "u7@enterprise.example");
}

/// Covers another key under the same `kid`, and an algorithm that no grant is verified with.
#[test]
fn the_signature_is_of_the_issuer() {
    let forger = key();
    let key = key();
    let text = signed(&request(&key), &forger).unwrap();
    assert_eq!(spent(&text, &key).unwrap_err().code(), "txn.signature");
    let large = SigningKey::generate(Algorithm::Ps512, provider::AWS_LC).unwrap();
    let claims = json!({"iss": OWN});
    let input = SigningInput::new("txn-chain+jwt", Algorithm::Ps512, None, &claims).unwrap();
    let text = input.sign(&large).unwrap();
    assert_eq!(
        spent(text.expose(), &key).unwrap_err().code(),
        "txn.algorithm"
    );
}
