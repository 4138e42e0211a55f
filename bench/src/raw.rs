//! The floor: the backend alone, on the bytes that a token signs.

use std::error::Error;

use aims::jose::base64url;
use aims::jose::key::SigningKey;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use serde::Deserialize;

/// A P-256 key as the backend keeps it.
#[derive(Debug)]
pub struct RawKey {
    point: Vec<u8>,
    parsed: ParsedPublicKey,
}

#[derive(Deserialize)]
struct Coordinates {
    x: String,
    y: String,
}

impl RawKey {
    /// The public half of a key.
    ///
    /// # Errors
    ///
    /// For a key on another curve.
    pub fn of(key: &SigningKey) -> Result<Self, Box<dyn Error>> {
        let Coordinates { x, y } = serde_json::from_str(&key.public_jwk().to_json())?;
        let mut point = vec![4];
        point.extend(base64url::decode(&x)?);
        point.extend(base64url::decode(&y)?);
        let parsed = prepare(&point)?;
        Ok(Self { point, parsed })
    }

    /// One verification with the prepared key.
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

    /// `x` and `y` in base64url.
    #[must_use]
    pub fn coordinates(&self) -> (String, String) {
        let (x, y) = self.point.get(1..).unwrap_or_default().split_at(32);
        (base64url::encode(x), base64url::encode(y))
    }
}

fn prepare(point: &[u8]) -> Result<ParsedPublicKey, aws_lc_rs::error::KeyRejected> {
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
}

/// What a compact JWS signs, and its signature, decoded.
#[derive(Debug)]
pub struct Signed {
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// For what is no token.
    pub fn of(token: &str) -> Result<Self, Box<dyn Error>> {
        let (message, signature) = token.rsplit_once('.').ok_or("no token")?;
        Ok(Self {
            message: message.as_bytes().to_vec(),
            signature: base64url::decode(signature)?,
        })
    }
}
