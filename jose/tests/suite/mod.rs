//! Tests that every provider must pass. Each including file runs them for its `provider()`.

mod keys;
mod lengths;
mod sets;
mod strict;
mod wycheproof;

use aims_jose::Algorithm;
use aims_jose::jwk::Jwk;
use aims_jose::key::{SigningKey, VerifyingKey};

use crate::provider;

/// The algorithms of this provider.
fn algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL
        .into_iter()
        .filter(|algorithm| provider().supports(*algorithm))
}

/// Returns a verifying key from JSON, or the code of the error.
fn key(json: &str) -> Result<VerifyingKey, &'static str> {
    Jwk::parse(json.as_bytes())
        .and_then(|jwk| VerifyingKey::from_jwk(&jwk, provider()))
        .map_err(|error| error.code())
}

fn verify(
    key: &VerifyingKey,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), &'static str> {
    key.verify(algorithm, message, signature)
        .map_err(|error| error.code())
}

fn generate(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm, provider()).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
