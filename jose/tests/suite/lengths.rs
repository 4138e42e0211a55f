//! No length panics (T-026).

use std::sync::LazyLock;

use aims_jose::jwk::Jwk;
use aims_jose::key::{Signer as _, SigningKey, VerifyingKey};
use aims_jose::{Algorithm, base64url};
use proptest::prelude::*;

use super::{algorithms, generate, provider};

static KEYS: LazyLock<Vec<(Algorithm, SigningKey)>> = LazyLock::new(|| {
    algorithms()
        .map(|algorithm| (algorithm, generate(algorithm)))
        .collect()
});

proptest! {
    /// T-026
    #[test]
    fn t026_signatures_of_any_length_are_refused(
        signature in proptest::collection::vec(any::<u8>(), 0..=600),
    ) {
        for (algorithm, key) in KEYS.iter() {
            let found = key.verifying_key().verify(*algorithm, b"message", &signature);
            prop_assert_eq!(found.unwrap_err().code(), "jws.signature");
        }
    }

    /// T-026
    #[test]
    fn t026_keys_of_any_length_are_refused_or_read(
        bytes in proptest::collection::vec(any::<u8>(), 0..=600),
        more in proptest::collection::vec(any::<u8>(), 0..=600),
    ) {
        let (bytes, more) = (base64url::encode(&bytes), base64url::encode(&more));
        for curve in ["P-256", "P-384", "P-521"] {
            let json = format!(r#"{{"kty":"EC","crv":"{curve}","x":"{bytes}","y":"{more}"}}"#);
            let key = Jwk::parse(json.as_bytes())
                .and_then(|jwk| VerifyingKey::from_jwk(&jwk, provider()));
            prop_assert!(key.is_err());
        }
        for json in [
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{bytes}"}}"#),
            format!(r#"{{"kty":"RSA","alg":"PS256","n":"{bytes}","e":"{more}"}}"#),
            format!(r#"{{"kty":"RSA","alg":"RS512","n":"{bytes}","e":"AQAB"}}"#),
        ] {
            // The key is refused as invalid, or parses to the written value.
            match Jwk::parse(json.as_bytes()) {
                Err(error) => prop_assert!(is_of_a_key(&error), "{error}"),
                Ok(jwk) => match VerifyingKey::from_jwk(&jwk, provider()) {
                    Err(error) => prop_assert!(is_of_a_key(&error), "{error}"),
                    Ok(key) => prop_assert_eq!(key.thumbprint(), &jwk.thumbprint()),
                },
            }
        }
    }

    /// T-026
    #[test]
    fn t026_pkcs8_of_any_length_is_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..=600),
    ) {
        for algorithm in algorithms() {
            let found = SigningKey::from_pkcs8_der(&bytes, algorithm, provider());
            prop_assert_eq!(found.unwrap_err().code(), "key.pkcs8");
        }
    }

    /// A damaged key is refused with an error about keys, or makes signatures of its length,
    /// without a panic.
    #[test]
    fn t026_damaged_pkcs8_is_refused_or_read(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        for (algorithm, key) in KEYS.iter() {
            let mut der = key.to_pkcs8_der();
            let at = at.index(der.len());
            der[at] ^= 1 << bit;
            match SigningKey::from_pkcs8_der(&der, *algorithm, provider()) {
                Err(error) => prop_assert!(is_of_a_key(&error), "{error}"),
                // A provider may detect only here that the parts do not match.
                Ok(other) => if let Ok(signature) = other.sign(b"message") {
                    let length = key.sign(b"message").unwrap().as_ref().len();
                    prop_assert_eq!(signature.as_ref().len(), length);
                }
            }
        }
    }
}

/// Returns whether the error is about a key.
fn is_of_a_key(error: &aims_jose::Error) -> bool {
    ["jwk.", "key."]
        .iter()
        .any(|area| error.code().starts_with(area))
}

/// T-026: each length once, of zeros and of ones, because proptest may skip some.
#[test]
fn t026_every_length_of_signature() {
    for (algorithm, key) in KEYS.iter() {
        for len in 0..=600 {
            for byte in [0, 0xff] {
                let found = key
                    .verifying_key()
                    .verify(*algorithm, b"", &vec![byte; len]);
                assert_eq!(found.unwrap_err().code(), "jws.signature");
            }
        }
    }
}
