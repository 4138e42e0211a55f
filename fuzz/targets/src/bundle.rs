//! Bundles of SPIFFE and WIMSE origins.

use std::sync::LazyLock;

use aims_jose::AlgorithmSet;
use aims_jose::jwk::JwkSet;
use aims_jose::provider::AWS_LC;
use aims_wimse_cred::{Bundle, Error, TrustStore};
use aims_wimse_id::Origin;

use crate::{Outcome, refused};

/// Parses one document as the bundle of a `spiffe` and of a `wimse` origin. Accepted if the first
/// is valid.
pub fn bundle(data: &[u8]) -> Outcome {
    let [spiffe, wimse] = &*ORIGINS;
    let read = |origin| {
        let read = Bundle::parse(origin, data, AWS_LC);
        if let Err(error) = &read {
            refused(error.code(), &[&["bundle.syntax", "bundle.kid"]]);
        }
        read
    };
    if let Ok(bundle) = read(wimse) {
        check(&bundle, wimse);
        assert!(bundle.jwt_svid_keys().is_empty() && bundle.sequence().is_none());
        // The same keys are valid for a SPIFFE origin that publishes a plain JWK set.
        let plain = Bundle::jwk_set(spiffe, data, AWS_LC);
        assert!(plain.is_ok_and(|plain| names(plain.wit_keys()) == names(bundle.wit_keys())));
    }
    match read(spiffe) {
        Ok(bundle) => {
            check(&bundle, spiffe);
            check_spiffe(&bundle);
            Outcome::Accepted
        }
        Err(error) => refused(error.code(), &[Error::CODES]),
    }
}

static ORIGINS: LazyLock<[Origin; 2]> = LazyLock::new(|| {
    ["spiffe://example.org", "wimse://example.org"].map(|text| match text.parse() {
        Ok(origin) => origin,
        Err(error) => unreachable!("{error}"),
    })
});

fn names(keys: &JwkSet) -> Vec<(Option<&str>, String)> {
    let name = |key: &aims_jose::jwk::Jwk| key.to_json();
    keys.iter()
        .map(|key| (key.key_id(), name(key.jwk())))
        .collect()
}

/// The bundle belongs to its own origin only.
fn check(bundle: &Bundle, origin: &Origin) {
    assert_eq!(bundle.origin(), origin);
    let store = TrustStore::of([bundle.clone()]);
    let trust = store.snapshot();
    let held = trust.bundle(origin.as_str());
    assert!(held.is_some_and(|held| names(held.wit_keys()) == names(bundle.wit_keys())));
    assert_eq!(trust.bundles().count(), 1);
    // The same bundle again is accepted. A bundle without a sequence number is refused if the
    // current one has one.
    assert!(store.set(bundle.clone()).is_ok() && store.epoch() > trust.epoch());
    let Ok(other) = Bundle::jwk_set(origin, br#"{"keys":[]}"#, AWS_LC) else {
        unreachable!("a set without keys is a bundle");
    };
    let code = store
        .set(other)
        .map_or_else(|error| error.code(), |()| "ok");
    let back = bundle.sequence().is_some_and(|sequence| sequence > 0);
    assert_eq!(code, if back { "bundle.sequence" } else { "ok" });
}

/// Each key is for its `use`, has its own name, and has an algorithm that SVIDs allow.
fn check_spiffe(bundle: &Bundle) {
    let sets = [
        ("wit-svid", bundle.wit_keys()),
        ("jwt-svid", bundle.jwt_svid_keys()),
    ];
    let mut ids = Vec::new();
    for (key_use, set) in sets {
        for key in set {
            assert_eq!(key.jwk().key_use(), Some(key_use));
            assert!(
                key.algorithms()
                    .iter()
                    .all(|it| AlgorithmSet::SVID.contains(it))
            );
            ids.extend(key.key_id());
        }
    }
    let (wits, svids) = (bundle.wit_keys(), bundle.jwt_svid_keys());
    assert_eq!(ids.len(), wits.keys().len() + svids.keys().len());
    ids.sort_unstable();
    assert!(ids.is_sorted_by(|a, b| a < b), "a name twice: {ids:?}");
}
