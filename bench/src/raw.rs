//! The minimum cost: the backend alone, on the signed bytes.

use std::error::Error;

use aims::jose::base64url;
use aims::jose::key::SigningKey;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, ParsedPublicKey,
};
use serde::Deserialize;

/// A P-256 or Ed25519 key in the form of the backend.
#[derive(Debug)]
pub struct RawKey {
    point: Vec<u8>,
    parsed: ParsedPublicKey,
}

#[derive(Deserialize)]
struct Coordinates {
    x: String,
    y: Option<String>,
}

impl RawKey {
    /// Takes the public key of a key.
    ///
    /// # Errors
    ///
    /// For a key of another kind.
    pub fn of(key: &SigningKey) -> Result<Self, Box<dyn Error>> {
        let Coordinates { x, y } = serde_json::from_str(&key.public_jwk().to_json())?;
        let mut point = Vec::new();
        if y.is_some() {
            point.push(4);
        }
        point.extend(base64url::decode(&x)?);
        if let Some(y) = y {
            point.extend(base64url::decode(&y)?);
        }
        let parsed = prepare(&point)?;
        Ok(Self { point, parsed })
    }

    /// Verifies once with the prepared key.
    #[must_use]
    pub fn verify(&self, signed: &Signed) -> bool {
        let Signed { message, signature } = signed;
        self.parsed.verify_sig(message, signature).is_ok()
    }

    /// Prepares the key once more.
    #[must_use]
    pub fn prepare(&self) -> bool {
        prepare(&self.point).is_ok()
    }

    /// Verifies the signature of a message once.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }

    /// Returns the bytes of the public key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.point
    }

    /// Returns `x` and `y` in base64url.
    #[must_use]
    pub fn coordinates(&self) -> (String, String) {
        let (x, y) = self.point.get(1..).unwrap_or_default().split_at(32);
        (base64url::encode(x), base64url::encode(y))
    }
}

fn prepare(point: &[u8]) -> Result<ParsedPublicKey, aws_lc_rs::error::KeyRejected> {
    match point.len() {
        32 => ParsedPublicKey::new(&ED25519, point),
        _ => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
    }
}

/// A private key in the form of the backend.
#[derive(Debug)]
#[non_exhaustive]
pub enum RawSigner {
    /// A P-256 key.
    Ecdsa(EcdsaKeyPair, SystemRandom),
    /// An Ed25519 key.
    Ed25519(Ed25519KeyPair),
}

impl RawSigner {
    /// Takes the private key of a key.
    ///
    /// # Errors
    ///
    /// For a key of another kind.
    pub fn of(key: &SigningKey) -> Result<Self, Box<dyn Error>> {
        let der = key.to_pkcs8_der();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der) {
            return Ok(Self::Ecdsa(pair, SystemRandom::new()));
        }
        Ok(Self::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(
            &der,
        )?))
    }

    /// Signs once.
    ///
    /// # Errors
    ///
    /// If the backend fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        Ok(match self {
            Self::Ecdsa(pair, random) => pair.sign(random, message)?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        })
    }
}

/// The signed bytes of a compact JWS, and its decoded signature.
#[derive(Debug)]
pub struct Signed {
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Splits a token.
    ///
    /// # Errors
    ///
    /// For a text that is not a token.
    pub fn of(token: &str) -> Result<Self, Box<dyn Error>> {
        let (message, signature) = token.rsplit_once('.').ok_or("no token")?;
        Ok(Self {
            message: message.as_bytes().to_vec(),
            signature: base64url::decode(signature)?,
        })
    }
}
