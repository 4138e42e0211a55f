//! Time, randomness, digests, secrets, errors.
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly, as tests do"
)]

use std::collections::BTreeSet;
use std::sync::Mutex;

use aims_jose::digest::{Fingerprint, sha256, sha256_base64url};
use aims_jose::random::{self, SecureRandom};
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, Skew, SystemClock};
use aims_jose::{Algorithm, AlgorithmSet, Error};

/// Draws random bytes from the system, and counts them.
#[derive(Debug, Default)]
struct Counting(Mutex<usize>);

impl SecureRandom for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
        *self.0.lock().unwrap() += buffer.len();
        random::SYSTEM.fill(buffer)
    }
}

#[derive(Debug)]
struct Broken;

impl SecureRandom for Broken {
    fn fill(&self, _buffer: &mut [u8]) -> Result<(), Error> {
        Err(Error::Random)
    }
}

/// T-037a: 16 random bytes per id, and every symbol occurs as often as expected, within 5 σ. The
/// last symbol has 2 bits and is counted separately.
#[test]
fn t037a_ids_have_128_bits() {
    const IDS: usize = 100_000;
    let random = Counting::default();
    let mut counts = [0_u32; 256];
    let mut last = BTreeSet::new();
    for _ in 0..IDS {
        let id = random::id128(&random).unwrap();
        assert_eq!(id.len(), 22);
        for byte in &id.as_bytes()[..21] {
            counts[usize::from(*byte)] += 1;
        }
        last.insert(id.as_bytes()[21]);
    }
    assert_eq!(*random.0.lock().unwrap(), 16 * IDS);
    assert_eq!(last, BTreeSet::from(*b"AQgw"));
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mean = (IDS * 21) as f64 / 64.0;
    let sigma = (mean * (63.0 / 64.0)).sqrt();
    for symbol in alphabet {
        let count = f64::from(counts[usize::from(*symbol)]);
        assert!((count - mean).abs() < 5.0 * sigma, "{symbol}: {count}");
    }
    assert_eq!(
        random::id128(&Broken).unwrap_err().code(),
        "random.unavailable"
    );
}

/// T-022: a prefix and an empty value do not equal the whole, in either direction.
#[test]
fn t022_secrets_are_compared_whole() {
    let secret = SecretText::new("correct horse");
    assert!(secret == *"correct horse");
    assert!(secret == SecretText::from("correct horse".to_owned()));
    for other in [
        "",
        "c",
        "correct hors",
        "correct horse ",
        "correct horsf",
        "Correct horse",
    ] {
        assert!(secret != *other, "{other}");
        assert!(SecretText::new(other) != secret, "{other}");
        assert!(SecretText::new(other) != *"correct horse", "{other}");
    }
    assert!(SecretText::new("") == *"");
    assert!(SecretText::new("").is_empty() && secret.len() == 13);
}

/// T-023
#[test]
fn t023_secrets_print_as_fingerprints() {
    let secret = SecretText::new("marked-secret");
    let shown = format!("{secret:?} {:?} {}", secret.clone(), secret.fingerprint());
    assert!(!shown.contains("marked"));
    assert_eq!(
        secret.fingerprint(),
        Fingerprint::of(secret.expose().as_bytes())
    );
    assert_eq!(secret.fingerprint().to_string().len(), 16);
    let hash = sha256(b"marked-secret");
    assert_eq!(Fingerprint::of_sha256(&hash), secret.fingerprint());
}

/// FIPS 180-4, "abc" and the empty text.
#[test]
fn digests_of_the_standard() {
    assert_eq!(
        sha256_base64url("abc"),
        "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
    );
    assert_eq!(
        sha256_base64url(""),
        "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    );
}

#[test]
fn skew_has_bounds() {
    assert_eq!(Skew::default().as_secs(), 30);
    for (seconds, fine) in [
        (0, true),
        (30, true),
        (60, true),
        (61, false),
        (u64::MAX, false),
    ] {
        let found = Skew::from_secs(seconds);
        assert_eq!(found.is_ok(), fine);
        if let Err(error) = found {
            assert_eq!(error.code(), "time.skew");
        }
    }
}

/// T-027: untrusted numbers cause no panic, and the result saturates.
#[test]
fn t027_time_arithmetic_saturates() {
    let skew = Skew::from_secs(60).unwrap();
    let numbers = [0, 1, 1 << 31, 1 << 53, (1 << 63) - 1, u64::MAX];
    for at in numbers {
        for now in numbers {
            let (wide_at, wide_now) = (u128::from(at), u128::from(now));
            assert_eq!(
                skew.is_future(at, now),
                wide_at > wide_now + 60 && at > now,
                "{at} {now}"
            );
            if at < u64::MAX - 60 {
                assert_eq!(skew.is_past(at, now), wide_now > wide_at + 60);
                assert_eq!(skew.has_ended(at, now), wide_now >= wide_at + 60);
            }
        }
    }
    assert!(!skew.has_ended(100, 159) && skew.has_ended(100, 160));
    assert!(!skew.is_past(100, 160) && skew.is_past(100, 161));
    assert!(!skew.is_future(160, 100) && skew.is_future(161, 100));
}

#[test]
fn the_system_clock_is_after_2020() {
    assert!(SystemClock::new().now().as_secs() > 1_577_836_800);
}

#[test]
fn algorithm_sets_hold_what_they_are_of() {
    for algorithm in Algorithm::ALL {
        assert!(AlgorithmSet::ALL.contains(algorithm));
        assert!(!AlgorithmSet::EMPTY.contains(algorithm));
        let one = AlgorithmSet::from(algorithm);
        assert_eq!(one.iter().collect::<Vec<_>>(), [algorithm]);
        assert_eq!(one.intersection(AlgorithmSet::ALL), one);
        assert_eq!(algorithm.name().parse::<Algorithm>().unwrap(), algorithm);
    }
    assert_eq!(
        AlgorithmSet::ALL.iter().collect::<AlgorithmSet>(),
        AlgorithmSet::ALL
    );
    assert_eq!(
        "ES257".parse::<Algorithm>().unwrap_err().code(),
        "jws.unknown_algorithm"
    );
    assert_eq!(
        format!("{:?}", AlgorithmSet::ED25519),
        r#"{"EdDSA", "Ed25519"}"#
    );
}

/// SVD-01: RS, PS and ES 256 to 512, so not EdDSA under either name.
#[test]
fn svd01_the_algorithms_of_svids() {
    let names: Vec<_> = AlgorithmSet::SVID.iter().map(Algorithm::name).collect();
    assert_eq!(
        names,
        [
            "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"
        ],
    );
}

/// Every code is unique and well-formed.
#[test]
fn codes_are_unique_and_well_formed() {
    let codes: BTreeSet<_> = Error::CODES.iter().copied().collect();
    assert_eq!(codes.len(), Error::CODES.len());
    for code in &codes {
        let (area, name) = code.split_once('.').unwrap();
        let areas = ["json", "jws", "jwt", "jwk", "jwks", "key", "random", "time"];
        assert!(areas.contains(&area), "{code}");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        );
    }
}
