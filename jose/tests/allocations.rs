//! Counts allocations of one verification, and of the refusal of very large input.

#![cfg(feature = "aws-lc-rs")]

use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::{Algorithm, key::SigningKey, provider};
use allocation_counter::measure;

#[test]
fn one_verification_allocates_a_handful_of_times() {
    let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC).unwrap();
    let claims = std::collections::BTreeMap::from([("sub", "s".repeat(400))]);
    let token = SigningInput::new("wit+jwt", Algorithm::Es256, Some("1"), &claims).unwrap();
    let token = token.sign(&key).unwrap();
    assert!(token.expose().len() > 650);
    let used = measure(|| {
        let unverified = Unverified::parse(token.expose()).unwrap();
        let verified = unverified.verify(key.verifying_key()).unwrap();
        aims_jose::json::check_object(verified.payload()).unwrap();
    });
    assert!((1..=8).contains(&used.count_total), "{used:?}");
}

/// T-013: input that is refused for its size is not copied.
#[test]
fn a_monster_is_refused_without_memory() {
    for monster in ["A".repeat(100 << 20), ".".repeat(1_000_000)] {
        let used = measure(|| {
            assert_eq!(
                Unverified::parse(&monster).unwrap_err().code(),
                "jws.too_long"
            );
        });
        assert_eq!(used.bytes_total, 0);
    }
}
