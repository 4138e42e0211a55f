//! Bundles, the store and the cache.

mod common;

use std::sync::Arc;
use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::provider::AWS_LC;
use aims_wimse_cred::{Bundle, Error, TrustStore, WitCache, WitIssuer, WitRules};
use aims_wimse_id::WorkloadId;
use common::{NOW, at, claims, code, document, key, origin, sign, trust, verify};

fn parse(document: &str) -> Result<Bundle, Error> {
    Bundle::parse(&origin("spiffe://example.org"), document.as_bytes(), AWS_LC)
}

/// BND-01, T-042: entries for other uses, of unknown kinds or without `kid` are skipped; a `kid`
/// occurs once.
#[test]
fn a_bundle_is_read_entry_by_entry() {
    let (one, two) = (key(Algorithm::Es256, "1"), key(Algorithm::Es256, "2"));
    let jwk = |key: &aims_jose::key::SigningKey, key_use: &str| {
        key.public_jwk().clone().with_use(key_use).to_json()
    };
    let keys = |keys: &[String]| {
        format!(
            r#"{{"keys":[{}],"spiffe_refresh_hint":60}}"#,
            keys.join(",")
        )
    };
    let nameless = jwk(&one, "wit-svid").replace(r#""kid":"1","#, "");
    let foreign = [
        jwk(&two, "x509-svid"),
        jwk(&two, "sig"),
        r#"{"kty":"XYZ","kid":"3","use":"wit-svid"}"#.to_owned(),
        nameless,
    ];
    let bundle = parse(&keys(
        &[foreign.as_slice(), &[jwk(&one, "wit-svid")]].concat(),
    ))
    .unwrap();
    assert_eq!(
        (
            bundle.wit_keys().keys().len(),
            bundle.jwt_svid_keys().keys().len()
        ),
        (1, 0)
    );
    assert_eq!(
        (bundle.sequence(), bundle.refresh_hint()),
        (None, Some(Duration::from_secs(60)))
    );
    assert_eq!(
        code(parse(&keys(&[
            jwk(&one, "wit-svid"),
            jwk(&key(Algorithm::Es256, "1"), "wit-svid")
        ]))),
        "bundle.kid"
    );
    assert_eq!(
        code(parse(&keys(&[
            jwk(&one, "wit-svid"),
            jwk(&one, "jwt-svid")
        ]))),
        "bundle.kid"
    );
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"keys":1}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[],"spiffe_sequence":-1}"#,
        r#"{"keys":[],"spiffe_sequence":1.5}"#,
        r#"{"keys":[],"spiffe_sequence":18446744073709551616}"#,
    ] {
        assert_eq!(code(parse(bad)), "bundle.syntax", "{bad}");
    }
}

/// BND-02, T-042: an empty bundle trusts no credential; a lower sequence number, or none, does not
/// replace a higher one.
#[test]
fn a_bundle_replaces_an_older_one() {
    let (old, new) = (key(Algorithm::Es256, "old"), key(Algorithm::Es256, "new"));
    let text = |ca| sign("wit+jwt", ca, &claims(&key(Algorithm::Es256, "a")));
    let store = trust(&[&old]);
    store
        .set(parse(&document(&[&new], "wit-svid", 7)).unwrap())
        .unwrap();
    let epoch = store.epoch();
    for refused in [
        document(&[&old], "wit-svid", 6),
        r#"{"keys":[]}"#.to_owned(),
    ] {
        assert_eq!(code(store.set(parse(&refused).unwrap())), "bundle.sequence");
    }
    assert_eq!(
        (
            store.epoch(),
            verify(&text(&new), &store),
            verify(&text(&old), &store)
        ),
        (epoch, "ok", "trust.unknown_key")
    );
    store
        .set(parse(&document(&[], "wit-svid", 8)).unwrap())
        .unwrap();
    assert_eq!(verify(&text(&new), &store), "trust.unknown_key");
    assert!(
        store.remove(&origin("spiffe://example.org"))
            && !store.remove(&origin("spiffe://example.org"))
    );
    assert_eq!(verify(&text(&new), &store), "trust.unknown_origin");
}

/// T-038: a bundle that arrives after a removal does not restore the origin; the program does.
#[test]
fn a_removal_is_final() {
    let ca = key(Algorithm::Es256, "ca");
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
    let bundle = |sequence| parse(&document(&[&ca], "wit-svid", sequence)).unwrap();
    let own = origin("spiffe://example.org");
    let other = Bundle::parse(&origin("wimse://example.org"), br#"{"keys":[]}"#, AWS_LC);
    let other = other.unwrap();
    for store in [TrustStore::new(), trust(&[&ca])] {
        let was_trusted = store.snapshot().bundles().count() == 1;
        assert_eq!(store.remove(&own), was_trusted);
        for sequence in [0, 9] {
            assert_eq!(code(store.set(bundle(sequence))), "trust.removed");
            assert_eq!(verify(&text, &store), "trust.unknown_origin");
        }
        assert!(store.snapshot().is_removed(&own));
        // Other origins can be set and removed.
        assert_eq!(code(store.set(other.clone())), "ok");
        store.name(&own);
        assert_eq!(verify(&text, &store), "trust.unknown_origin");
        assert_eq!(code(store.set(bundle(0))), "ok");
        assert_eq!(verify(&text, &store), "ok");
        assert!(!store.snapshot().is_removed(&own));
        // An origin that the operator leaves out is removed, and one that the operator names is
        // restored.
        store.replace([other.clone()]);
        assert_eq!(code(store.set(bundle(9))), "trust.removed");
        store.replace([bundle(0)]);
        assert_eq!(verify(&text, &store), "ok");
        assert_eq!(code(store.set(other.clone())), "trust.removed");
    }
}

/// Beyond the remembered removals, only origins that have a bundle or were named can get one.
#[test]
fn too_many_removals_close_the_store() {
    let store = trust(&[&key(Algorithm::Es256, "ca")]);
    let numbered = |number: usize| origin(&format!("wimse://{number}.example"));
    let set = |of: &_| code(store.set(Bundle::parse(of, br#"{"keys":[]}"#, AWS_LC).unwrap()));
    for number in 0..1_001 {
        assert_eq!(set(&numbered(number)), "ok");
    }
    for number in 0..1_001 {
        assert!(store.remove(&numbered(number)));
    }
    for number in [0, 1_000, 1_001] {
        let origin = numbered(number);
        assert_eq!(set(&origin), "trust.removed", "{number}");
        store.name(&origin);
        assert_eq!(set(&origin), "ok", "{number}");
        assert!(store.remove(&origin));
        assert_eq!(set(&origin), "trust.removed", "{number}");
    }
    let known = parse(&document(&[], "wit-svid", 9)).unwrap();
    assert_eq!(code(store.set(known)), "ok");
}

/// BND-02: a bundle that was not refreshed in time trusts no credential.
#[test]
fn a_stale_bundle_fails_closed() {
    let ca = key(Algorithm::Es256, "ca");
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
    let bundle = |until| {
        parse(&document(&[&ca], "wit-svid", 1))
            .unwrap()
            .good_until(at(until))
    };
    assert_eq!(verify(&text, &TrustStore::of([bundle(NOW)])), "ok");
    assert_eq!(
        verify(&text, &TrustStore::of([bundle(NOW - 1)])),
        "trust.stale"
    );
    let cache = WitCache::new(10, WitRules::wit());
    let store = TrustStore::of([bundle(NOW)]);
    assert_eq!(code(cache.verify(&text, &store, at(NOW))), "ok");
    assert_eq!(
        code(cache.verify(&text, &store, at(NOW + 1))),
        "trust.stale"
    );
}

/// T-032, ID-07: of three domains under two schemes, the keys of one sign for no other.
#[test]
fn origins_are_never_pooled() {
    let origins: Vec<String> = ["spiffe", "wimse"]
        .iter()
        .flat_map(|scheme| {
            ["a.example", "b.example", "a"].map(|domain| format!("{scheme}://{domain}"))
        })
        .collect();
    let keys: Vec<_> = origins.iter().map(|_| key(Algorithm::Es256, "1")).collect();
    let bundles = origins.iter().zip(&keys).map(|(name, key)| {
        let document = if name.starts_with("spiffe") {
            document(&[key], "wit-svid", 1)
        } else {
            format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json())
        };
        Bundle::parse(&origin(name), document.as_bytes(), AWS_LC).unwrap()
    });
    let store = TrustStore::of(bundles);
    for (signer, key) in origins.iter().zip(&keys) {
        for subject in &origins {
            let id = WorkloadId::parse(&format!("{subject}/agent")).unwrap();
            let agent = common::key(Algorithm::Es256, "a");
            let wit = WitIssuer::new(Arc::new(key.clone()), None)
                .issue(&id, agent.public_jwk(), Duration::from_secs(60), at(NOW))
                .unwrap();
            let expected = if signer == subject {
                "ok"
            } else {
                "wit.signature"
            };
            assert_eq!(
                verify(wit.expose(), &store),
                expected,
                "{signer} for {subject}"
            );
        }
    }
}

/// T-038: a cached WIT ends with its `exp`, with its key, and with its origin.
#[test]
fn a_cached_wit_ends() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let store = trust(&[&ca]);
    let text = sign("wit+jwt", &ca, &claims(&agent));
    let cache = WitCache::new(10, WitRules::wit());
    let known = |now| code(cache.verify(&text, &store, at(now)));
    assert_eq!((known(NOW), known(NOW + 329), cache.len()), ("ok", "ok", 1));
    assert_eq!((known(NOW + 330), cache.len()), ("wit.expired", 0));
    assert_eq!(known(NOW), "ok");
    let other = key(Algorithm::Es256, "other");
    store
        .set(parse(&document(&[&other, &ca], "wit-svid", 2)).unwrap())
        .unwrap();
    assert_eq!(known(NOW), "ok");
    store
        .set(parse(&document(&[&other], "wit-svid", 3)).unwrap())
        .unwrap();
    assert_eq!((known(NOW), cache.len()), ("trust.unknown_key", 0));
    store
        .set(parse(&document(&[&ca], "wit-svid", 4)).unwrap())
        .unwrap();
    assert_eq!(known(NOW), "ok");
    // Another key under the same `kid`.
    store
        .set(parse(&document(&[&key(Algorithm::Es256, "ca")], "wit-svid", 5)).unwrap())
        .unwrap();
    assert_eq!(known(NOW), "wit.signature");
    store.remove(&origin("spiffe://example.org"));
    assert_eq!(known(NOW), "trust.unknown_origin");
}

/// T-039: invalid tokens are not cached.
#[test]
fn only_what_verified_is_kept() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let store = trust(&[&ca]);
    let cache = WitCache::new(100, WitRules::wit());
    let good: Vec<_> = (0..10)
        .map(|_| sign("wit+jwt", &ca, &claims(&agent)))
        .collect();
    for round in 0..10 {
        for text in &good {
            assert_eq!(code(cache.verify(text, &store, at(NOW))), "ok");
            for bad in 0..9 {
                let garbage = text.replacen('.', &format!("{round}{bad}."), 1);
                assert_ne!(code(cache.verify(&garbage, &store, at(NOW))), "ok");
            }
        }
    }
    assert_eq!(cache.len(), good.len());
}
