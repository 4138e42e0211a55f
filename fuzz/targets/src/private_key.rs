//! Private keys in PKCS#8, as DER and as PEM.

use aims_jose::Error;
use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};

use crate::{Outcome, refused};

/// Reads the bytes as a key for each kind of algorithm, as PEM if they begin like it. Accepts a key
/// for at least one of them.
pub fn private_key(data: &[u8]) -> Outcome {
    let mut outcome = refused(Error::Pkcs8.code(), &[Error::CODES]);
    for algorithm in [
        Algorithm::Ed25519,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Rs256,
    ] {
        let one = read(data, algorithm, AWS_LC);
        let other = read(data, algorithm, RUSTCRYPTO);
        match (&one, &other) {
            (Ok(one), Ok(other)) => {
                assert_eq!(one.public_jwk(), other.public_jwk());
                assert_eq!(*one.to_pkcs8_der(), *other.to_pkcs8_der());
            }
            // Each library checks the numbers of an RSA key in its own way.
            (one, other) if algorithm != Algorithm::Rs256 => {
                assert_eq!(one.is_ok(), other.is_ok(), "the providers disagree");
            }
            _ => {}
        }
        for (read, provider) in [(&one, AWS_LC), (&other, RUSTCRYPTO)] {
            if let Ok(key) = read {
                check_written(key, algorithm, provider);
            }
        }
        match one {
            Ok(_) => return Outcome::Accepted,
            Err(error) if error.code() != Error::Pkcs8.code() => {
                outcome = refused(error.code(), &[Error::CODES]);
            }
            Err(_) => {}
        }
    }
    outcome
}

fn read(
    data: &[u8],
    algorithm: Algorithm,
    provider: &'static dyn Provider,
) -> Result<SigningKey, Error> {
    match core::str::from_utf8(data) {
        Ok(text) if text.trim_start().starts_with("-----") => {
            SigningKey::from_pkcs8_pem(text, algorithm, provider)
        }
        _ => SigningKey::from_pkcs8_der(data, algorithm, provider),
    }
}

/// Checks that the written key is read as the same key, and is written in the same way.
fn check_written(key: &SigningKey, algorithm: Algorithm, provider: &'static dyn Provider) {
    let der = key.to_pkcs8_der();
    let pem = key.to_pkcs8_pem();
    for again in [
        SigningKey::from_pkcs8_der(&der, algorithm, provider),
        SigningKey::from_pkcs8_pem(&pem, algorithm, provider),
    ] {
        let again = again.ok();
        assert_eq!(
            again.as_ref().map(|it| it.public_jwk()),
            Some(key.public_jwk())
        );
        assert!(again.is_some_and(|it| *it.to_pkcs8_der() == *der));
    }
}
