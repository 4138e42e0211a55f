//! JWKs and JWK sets.

use aims_jose::Error;
use aims_jose::jwk::{Jwk, JwkSet, MAX_SET_KEYS, SetRules, Thumbprint};
use aims_jose::key::VerifyingKey;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};

use crate::{Outcome, refused};

/// Parses one document as a key and, under the rules of each kind of issuer and with both
/// providers, as a set. Accepted if it is a set under the rules of OAuth, even if all entries are
/// skipped.
pub fn jwk_set(data: &[u8]) -> Outcome {
    let exact = Jwk::parse(data);
    match Jwk::parse_published(data) {
        Ok(jwk) => {
            check_key(&jwk);
            assert!(exact.is_err() || exact.is_ok_and(|exact| exact == jwk));
        }
        Err(error) => {
            refused(error.code(), &[Error::CODES]);
            assert!(exact.is_err(), "what is exact can be published");
        }
    }
    if let Ok(set) = both(data, &SetRules::client()) {
        check_set(&set, &SetRules::client());
    }
    for rules in [SetRules::wimse(), SetRules::spiffe("jwt-svid")] {
        if let Ok(set) = both(data, &rules) {
            check_set(&set, &rules);
            check_unique(&set);
        }
    }
    let rules = SetRules::oauth();
    match both(data, &rules) {
        Ok(set) => {
            check_set(&set, &rules);
            Outcome::Accepted
        }
        Err(error) => refused(error.code(), &[Error::CODES]),
    }
}

/// A written key parses to the same key, and is written the same.
fn check_key(jwk: &Jwk) {
    let json = jwk.to_json();
    assert_eq!(Jwk::parse(json.as_bytes()).as_ref().ok(), Some(jwk));
    let thumbprint = jwk.thumbprint();
    assert_eq!(
        thumbprint.to_string().parse::<Thumbprint>().ok(),
        Some(thumbprint)
    );
    let bare = Jwk::from_public_key(jwk.public_key().clone());
    assert!(bare.is_ok_and(|bare| bare.thumbprint() == thumbprint));
    for algorithm in jwk.algorithms().iter() {
        assert!(jwk.public_key().fits(algorithm));
    }
    assert!(jwk.key_id().is_none_or(|id| (1..=256).contains(&id.len())));
}

/// Parses the set with both providers. The results are equal, except for curves that one of them
/// does not support.
fn both(data: &[u8], rules: &SetRules) -> Result<JwkSet, Error> {
    let read = |provider: &'static dyn Provider| JwkSet::parse(data, rules, provider);
    let (one, other) = (read(AWS_LC), read(RUSTCRYPTO));
    let unsupported = |set: &JwkSet| {
        let mut skipped = set.skipped().iter();
        skipped.any(|it| it.reason.code() == "key.unsupported")
    };
    match (&one, &other) {
        (_, Ok(other)) if unsupported(other) => {}
        (Ok(one), Ok(other)) => {
            let keys = |set: &JwkSet| set.iter().map(|it| *it.thumbprint()).collect::<Vec<_>>();
            let skipped = |set: &JwkSet| {
                let all = set.skipped().iter();
                all.map(|it| (it.index, it.reason.code()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(keys(one), keys(other));
            assert_eq!(skipped(one), skipped(other));
        }
        (Err(one), Err(other)) => assert_eq!(one.code(), other.code()),
        (one, other) => assert_eq!(one.is_ok(), other.is_ok(), "the providers disagree"),
    }
    one
}

fn check_set(set: &JwkSet, rules: &SetRules) {
    assert!(set.keys().len() + set.skipped().len() <= MAX_SET_KEYS);
    assert!(set.skipped().is_sorted_by(|a, b| a.index < b.index));
    for skipped in set.skipped() {
        refused(skipped.reason.code(), &[Error::CODES]);
    }
    for key in set {
        check_key(key.jwk());
        assert!(!key.algorithms().is_empty());
        for algorithm in key.algorithms().iter() {
            check_choice(set, key, set.select(key.key_id(), algorithm));
        }
    }
    // The published form is the same set, without skipped entries.
    let document = set.to_json();
    let Ok(again) = JwkSet::parse(document.as_bytes(), rules, AWS_LC) else {
        unreachable!("a set that is written and cannot be read: {document}");
    };
    assert_eq!(again.skipped().len(), 0);
    assert_eq!(again.to_json(), document);
    assert_eq!(again.keys().len(), set.keys().len());
    for (own, read) in set.iter().zip(&again) {
        assert_eq!(own.jwk(), read.jwk());
        assert_eq!(own.algorithms(), read.algorithms());
    }
}

/// A key is found by its own members, unless another key has the same.
fn check_choice(set: &JwkSet, key: &VerifyingKey, found: Result<&VerifyingKey, Error>) {
    match found {
        Ok(found) => {
            assert_eq!(found.thumbprint(), key.thumbprint());
            assert_eq!(found.key_id(), key.key_id());
        }
        Err(error) => {
            assert_eq!(error.code(), "key.ambiguous");
            assert!(set.keys().len() > 1);
        }
    }
}

/// No `kid` occurs twice, and a token that names one has at most one key.
fn check_unique(set: &JwkSet) {
    for key in set {
        let named = set.iter().filter(|it| it.key_id() == key.key_id());
        assert!(key.key_id().is_none() || named.count() == 1);
        if let (Some(id), Some(algorithm)) = (key.key_id(), key.algorithms().iter().next()) {
            assert!(set.select(Some(id), algorithm).is_ok());
        }
    }
}
