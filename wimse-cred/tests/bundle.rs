//! Bundles entry by entry, replacement of bundles, and the origin of JWT-SVIDs.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::{AWS_LC, RUSTCRYPTO};
use aims_wimse_cred::{Bundle, Error, JwtSvid, JwtSvidIssuer, TrustStore};
use aims_wimse_id::WorkloadId;
use common::{AGENT, NOW, at, claims, code, document, key, origin, sign, trust, verify};
use serde_json::{Value, json};

const TOOL: &str = "https://tools.example/mcp";

fn parse(document: &Value) -> Result<Bundle, Error> {
    let of = origin("spiffe://example.org");
    Bundle::parse(&of, document.to_string().as_bytes(), AWS_LC)
}

/// Returns the public key as an entry of a bundle; `null` removes a member.
fn entry(key: &SigningKey, members: Value) -> Value {
    let mut jwk: Value = serde_json::from_str(&key.public_jwk().to_json()).unwrap();
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
        if value.is_null() {
            jwk.as_object_mut().unwrap().remove(name);
        }
    }
    jwk
}

/// Returns the number of keys for WITs and for JWT-SVIDs in a bundle of one valid key of each and
/// this entry.
fn count(entry_: &Value) -> (usize, usize) {
    let (wit, jwt) = (key(Algorithm::Es256, "w"), key(Algorithm::Es256, "j"));
    let keys = [
        entry(&wit, json!({"use": "wit-svid"})),
        entry_.clone(),
        entry(&jwt, json!({"use": "jwt-svid"})),
    ];
    let bundle = parse(&json!({"keys": keys})).unwrap();
    let (wits, svids) = (bundle.wit_keys().keys(), bundle.jwt_svid_keys().keys());
    (wits.len(), svids.len())
}

/// BND-01, T-042: an entry that is not a key is skipped and the others stay; X.509 keys sign no
/// token.
#[test]
fn a_foreign_entry_costs_itself() {
    let ca = key(Algorithm::Es256, "x");
    let entry = |members| entry(&ca, members);
    assert_eq!(count(&entry(json!({"use": "wit-svid"}))), (2, 1));
    assert_eq!(count(&entry(json!({"use": "jwt-svid"}))), (1, 2));
    for foreign in [
        entry(json!({"use": "x509-svid"})),
        entry(json!({"use": "x509-svid", "kid": "w"})),
        entry(json!({"use": "sig"})),
        entry(json!({"use": null})),
        entry(json!({"use": "WIT-SVID"})),
        entry(json!({"use": "wit-svid", "kid": null})),
        entry(json!({"use": "jwt-svid", "kid": null})),
        entry(json!({"use": "wit-svid", "kid": ""})),
        entry(json!({"use": "wit-svid", "kty": "XYZ"})),
        entry(json!({"use": "wit-svid", "kty": null})),
        entry(json!({"use": "wit-svid", "crv": "P-257"})),
        entry(json!({"use": "wit-svid", "d": "AAAA"})),
        json!({"kty": "oct", "kid": "x", "k": "AAAA", "use": "wit-svid"}),
        json!("text"),
    ] {
        assert_eq!(count(&foreign), (1, 1), "{foreign}");
    }
    let edwards = for_wits(&key(Algorithm::Ed25519, "x"));
    assert_eq!(count(&edwards), (1, 1), "SVD-01: no Edwards key");
}

fn for_wits(key: &SigningKey) -> Value {
    entry(key, json!({"use": "wit-svid"}))
}

/// BND-01: an RSA key without `alg` is for RS256, and for nothing else.
#[test]
fn an_rsa_key_without_alg_is_for_rs256() {
    let ca = SigningKey::generate(Algorithm::Rs256, AWS_LC)
        .unwrap()
        .with_key_id("x");
    let without = entry(&ca, json!({"use": "wit-svid", "alg": null}));
    assert_eq!(count(&without), (2, 1));
    let bundle = parse(&json!({"keys": [without]})).unwrap();
    let keys = bundle.wit_keys();
    assert!(keys.select(Some("x"), Algorithm::Rs256).is_ok());
    for other in [Algorithm::Rs512, Algorithm::Ps256] {
        let error = keys.select(Some("x"), other).unwrap_err();
        assert_eq!(error.code(), "jws.algorithm");
    }
    let store = TrustStore::of([bundle]);
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
    assert_eq!(verify(&text, &store), "ok");
}

/// BND-01: a `wimse` origin publishes a plain set: `use` is absent or `sig`, no `kid` occurs twice,
/// and there are no JWT-SVIDs.
#[test]
fn a_wimse_origin_has_a_plain_set() {
    let (one, two) = (key(Algorithm::Es256, "1"), key(Algorithm::Ed25519, "2"));
    let of = origin("wimse://example.org");
    let parse = |keys: Value| {
        let document = json!({"keys": keys, "spiffe_sequence": "ignored"});
        Bundle::parse(&of, document.to_string().as_bytes(), AWS_LC)
    };
    let (plain, sig) = (
        entry(&one, json!({"use": null})),
        entry(&two, json!({"use": "sig"})),
    );
    let svid = entry(&key(Algorithm::Es256, "3"), json!({"use": "jwt-svid"}));
    let bundle = parse(json!([plain, sig, svid])).unwrap();
    let sizes = (bundle.wit_keys().keys().len(), bundle.jwt_svid_keys());
    assert!(sizes.0 == 2 && sizes.1.is_empty());
    assert_eq!((bundle.sequence(), bundle.origin()), (None, &of));
    let twice = parse(json!([plain, plain])).unwrap();
    assert_eq!(twice.wit_keys().keys().len(), 1);
    let other = entry(&key(Algorithm::Es256, "1"), json!({}));
    assert_eq!(code(parse(json!([plain, other]))), "bundle.kid");
    assert_eq!(code(parse(json!("x"))), "bundle.syntax");
}

/// BND-02: an equal or higher sequence number replaces; an operator's `replace` ignores it; the
/// epoch grows only with a change.
#[test]
fn what_replaces_a_bundle() {
    let (old, new) = (key(Algorithm::Es256, "old"), key(Algorithm::Es256, "new"));
    let numbered = |ca: &SigningKey, sequence| {
        let document: Value = serde_json::from_str(&document(&[ca], "wit-svid", sequence)).unwrap();
        parse(&document).unwrap()
    };
    let text = |ca| sign("wit+jwt", ca, &claims(&key(Algorithm::Es256, "a")));
    let store = TrustStore::of([numbered(&old, 5)]);
    let before = store.snapshot();
    assert_eq!(code(store.set(numbered(&new, 5))), "ok");
    assert_eq!(verify(&text(&new), &store), "ok");
    assert_eq!(verify(&text(&old), &store), "trust.unknown_key");
    assert!(store.epoch() > before.epoch(), "a snapshot never changes");
    let old_keys = before.bundle("spiffe://example.org").unwrap().wit_keys();
    assert_eq!(old_keys.keys()[0].key_id(), Some("old"));
    let refused = store
        .set(numbered(&old, u64::MAX))
        .and_then(|()| store.set(numbered(&new, 6)));
    assert_eq!(code(refused), "bundle.sequence");
    store.replace([numbered(&new, 9), numbered(&old, 1)]);
    assert_eq!(
        (
            verify(&text(&old), &store),
            store.snapshot().bundles().count()
        ),
        ("ok", 1)
    );
    // Sequence numbers of different origins are independent.
    let of = origin("spiffe://other.example");
    let other = Bundle::parse(&of, br#"{"keys":[],"spiffe_sequence":0}"#, RUSTCRYPTO).unwrap();
    assert_eq!(code(store.set(other)), "ok");
    let epoch = store.epoch();
    assert!(!store.remove(&origin("wimse://other.example")) && store.epoch() == epoch);
}

/// BND-02, T-042: an empty set, or one without a usable key, trusts no credential. The error says
/// that a refresh may help.
#[test]
fn an_empty_bundle_trusts_nothing() {
    let ca = key(Algorithm::Es256, "ca");
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
    for keys in [json!([]), json!([entry(&ca, json!({"use": "x509-svid"}))])] {
        let store = TrustStore::of([parse(&json!({"keys": keys})).unwrap()]);
        assert_eq!(verify(&text, &store), "trust.unknown_key");
    }
    let rules = aims_wimse_cred::WitRules::wit();
    let error = |store: &TrustStore| {
        aims_wimse_cred::Wit::verify(&text, &store.snapshot(), &rules, at(NOW)).unwrap_err()
    };
    assert!(error(&trust(&[])).is_key_unknown());
    assert!(!error(&TrustStore::new()).is_key_unknown());
}

/// T-032, T-042: of three domains, the JWT-SVID keys of one sign for no other, and those of a stale
/// bundle for none.
#[test]
fn jwt_svids_are_never_pooled() {
    let names = ["spiffe://a.example", "spiffe://b.example", "spiffe://a"];
    let keys = names.map(|name| key(Algorithm::Es256, name));
    let bundles = |until| {
        names.iter().zip(&keys).map(move |(name, key)| {
            let document = document(&[key], "jwt-svid", 1);
            let bundle = Bundle::parse(&origin(name), document.as_bytes(), AWS_LC);
            bundle.unwrap().good_until(at(until))
        })
    };
    let (fresh, stale) = (
        TrustStore::of(bundles(NOW)),
        TrustStore::of(bundles(NOW - 1)),
    );
    for (signer, key) in names.iter().zip(&keys) {
        for subject in names {
            let id = WorkloadId::parse(&AGENT.replace("spiffe://example.org", subject)).unwrap();
            let svid = JwtSvidIssuer::new(Arc::new(key.clone()))
                .issue(&id, &[TOOL], Duration::from_secs(60), at(NOW))
                .unwrap();
            let verify = |store: &TrustStore| {
                code(JwtSvid::verify(
                    svid.expose(),
                    &store.snapshot(),
                    TOOL,
                    at(NOW),
                ))
            };
            let expected = if *signer == subject {
                "ok"
            } else {
                "trust.unknown_key"
            };
            assert_eq!(verify(&fresh), expected, "{signer} for {subject}");
            assert_eq!(verify(&stale), "trust.stale");
        }
    }
}
