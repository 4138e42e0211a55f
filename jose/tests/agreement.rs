//! Both providers give the same results for the same bytes (T-025).
#![cfg(all(feature = "aws-lc-rs", feature = "rustcrypto"))]
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly, as tests do"
)]

use std::sync::LazyLock;

use aims_jose::jwk::Jwk;
use aims_jose::key::{Signer as _, SigningKey, VerifyingKey};
use aims_jose::provider::{self, AWS_LC, RUSTCRYPTO};
use aims_jose::{Algorithm, base64url};
use proptest::prelude::*;

fn algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL
        .into_iter()
        .filter(|algorithm| RUSTCRYPTO.supports(*algorithm))
}

struct Pair {
    algorithm: Algorithm,
    aws: VerifyingKey,
    rust: VerifyingKey,
    signature: Vec<u8>,
}

static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    algorithms()
        .map(|algorithm| {
            let key = SigningKey::generate(algorithm, AWS_LC).unwrap();
            Pair {
                algorithm,
                aws: VerifyingKey::from_jwk(key.public_jwk(), AWS_LC).unwrap(),
                rust: VerifyingKey::from_jwk(key.public_jwk(), RUSTCRYPTO).unwrap(),
                signature: key.sign(b"message").unwrap().as_ref().to_vec(),
            }
        })
        .collect()
});

/// T-025: with both providers, the documented order decides, and no process-wide default.
#[test]
fn t025_the_default_is_the_first_in_the_written_order() {
    assert_eq!(provider::default().name(), "aws-lc-rs");
}

/// T-025: a key of one provider is parsed, signs and verifies the same with the other.
#[test]
fn t025_keys_cross_over() {
    for algorithm in algorithms() {
        for (from, to) in [(AWS_LC, RUSTCRYPTO), (RUSTCRYPTO, AWS_LC)] {
            let made = SigningKey::generate(algorithm, from).unwrap();
            let der = made.to_pkcs8_der();
            let read = SigningKey::from_pkcs8_der(&der, algorithm, to).unwrap();
            assert_eq!(made.public_jwk(), read.public_jwk());
            assert_eq!(made.to_jwk(), read.to_jwk());
            let signature = made.sign(b"message").unwrap();
            let key = read.verifying_key();
            assert!(
                key.verify(algorithm, b"message", signature.as_ref())
                    .is_ok()
            );
            let signature = read.sign(b"message").unwrap();
            let key = made.verifying_key();
            assert!(
                key.verify(algorithm, b"message", signature.as_ref())
                    .is_ok()
            );
        }
    }
}

fn code<T>(result: Result<T, aims_jose::Error>) -> Option<&'static str> {
    result.err().map(|error| error.code())
}

proptest! {
    /// T-003, T-004, T-025: one changed bit at any place, or bytes at one of the limits of a
    /// number.
    #[test]
    fn damaged_signatures_get_the_same_answer(
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        fill in prop::option::of(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()),
        ),
    ) {
        for pair in PAIRS.iter() {
            let mut signature = pair.signature.clone();
            let place = at.index(signature.len());
            signature[place] ^= 1 << bit;
            if let Some((from, to, byte)) = fill {
                let (from, to) = (from.index(signature.len()), to.index(signature.len()));
                signature[from.min(to)..from.max(to)].fill(byte);
            }
            let aws = pair.aws.verify(pair.algorithm, b"message", &signature);
            let rust = pair.rust.verify(pair.algorithm, b"message", &signature);
            prop_assert_eq!(code(aws), code(rust), "{}", pair.algorithm);
        }
    }

    /// T-004, T-018: both providers accept or refuse any 32 bytes as an Ed25519 key, for the same
    /// reason.
    #[test]
    fn any_ed25519_key_gets_the_same_answer(bytes in any::<[u8; 32]>()) {
        let json = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, base64url::encode(&bytes));
        let with = |provider| {
            Jwk::parse(json.as_bytes()).and_then(|jwk| VerifyingKey::from_jwk(&jwk, provider))
        };
        prop_assert_eq!(code(with(AWS_LC)), code(with(RUSTCRYPTO)));
    }

    /// T-018: coordinates with one bit changed.
    #[test]
    fn any_ec_key_gets_the_same_answer(
        x in any::<[u8; 32]>(),
        place in 0..64_usize,
        bit in 0..8_u8,
    ) {
        let key = &PAIRS.iter().find(|pair| pair.algorithm == Algorithm::Es256).unwrap().aws;
        let provider::PublicKey::Ec { point, .. } = key.jwk().public_key() else { panic!() };
        let mut damaged = point[1..].to_vec();
        damaged[place] ^= 1 << bit;
        for (x, y) in [(&damaged[..32], &damaged[32..]), (&x, &damaged[32..])] {
            let json = format!(
                r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#,
                base64url::encode(x),
                base64url::encode(y),
            );
            let with = |provider| {
                Jwk::parse(json.as_bytes()).and_then(|jwk| VerifyingKey::from_jwk(&jwk, provider))
            };
            prop_assert_eq!(code(with(AWS_LC)), code(with(RUSTCRYPTO)));
        }
    }

    /// Both providers accept or refuse a private key with a changed bit.
    #[test]
    fn damaged_private_keys_get_the_same_answer(
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        static KEYS: LazyLock<Vec<(Algorithm, Vec<u8>)>> = LazyLock::new(|| {
            [Algorithm::Es256, Algorithm::Es384, Algorithm::Ed25519, Algorithm::Rs256]
                .map(|algorithm| {
                    let key = SigningKey::generate(algorithm, AWS_LC).unwrap();
                    (algorithm, key.to_pkcs8_der().to_vec())
                })
                .to_vec()
        });
        for (algorithm, der) in KEYS.iter() {
            let mut der = der.clone();
            let place = at.index(der.len());
            der[place] ^= 1 << bit;
            let with = |provider| SigningKey::from_pkcs8_der(&der, *algorithm, provider);
            prop_assert_eq!(code(with(AWS_LC)), code(with(RUSTCRYPTO)), "{} {}", algorithm, place);
        }
    }
}
