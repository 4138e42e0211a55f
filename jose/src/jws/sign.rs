//! Signing: what is to be signed is made first, so that a key behind a network can sign it.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::digest::Fingerprint;
use crate::jwk::Jwk;
use crate::key::{AsyncSigner, Signature, Signer};
use crate::secret::SecretText;
use crate::{Algorithm, Error, base64url};

/// Header and claims of a token, ready to be signed.
#[derive(Clone, Debug)]
#[must_use = "a token comes into being with `sign`"]
pub struct SigningInput {
    text: SecretText,
    alg: Algorithm,
}

impl SigningInput {
    /// Writes header and claims. `alg` is that of the key that will sign; `typ` is written as it is
    /// given.
    ///
    /// # Errors
    ///
    /// [`Error::Serialize`] where the claims are no JSON object.
    pub fn new(
        typ: &str,
        alg: Algorithm,
        kid: Option<&str>,
        claims: &impl Serialize,
    ) -> Result<Self, Error> {
        let header = serde_json::to_vec(&Members {
            alg: alg.name(),
            kid,
            typ,
            jwk: None,
        });
        Self::of(header, alg, claims)
    }

    /// The same for a token that brings the public key that verifies it, in the header's `jwk`
    /// (RFC 9449 §4.2). Only what a verifier needs of the key is written, no `kid` and no `use`.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new); [`Error::JwkAlgorithm`] where the key is not for `alg`.
    pub fn with_embedded_key(
        typ: &str,
        alg: Algorithm,
        jwk: &Jwk,
        claims: &impl Serialize,
    ) -> Result<Self, Error> {
        if !jwk.public_key().fits(alg) {
            return Err(Error::JwkAlgorithm);
        }
        let bare = Jwk::from_public_key(jwk.public_key().clone())?.to_json();
        let header = serde_json::to_vec(&Members {
            alg: alg.name(),
            kid: None,
            typ,
            jwk: Some(RawValue::from_string(bare).or(Err(Error::Serialize))?),
        });
        Self::of(header, alg, claims)
    }

    fn of(
        header: serde_json::Result<Vec<u8>>,
        alg: Algorithm,
        claims: &impl Serialize,
    ) -> Result<Self, Error> {
        let header = header.or(Err(Error::Serialize))?;
        let claims = serde_json::to_vec(claims).or(Err(Error::Serialize))?;
        if claims.first() != Some(&b'{') {
            return Err(Error::Serialize);
        }
        let text = format!(
            "{}.{}",
            base64url::encode(&header),
            base64url::encode(&claims)
        );
        Ok(Self {
            text: SecretText::new(text),
            alg,
        })
    }

    /// The bytes that are signed (RFC 7515 §5.1).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.expose().as_bytes()
    }

    /// Signs with a key at hand.
    ///
    /// # Errors
    ///
    /// [`Error::AlgorithmMismatch`] where the signer has another algorithm, or the signer's own
    /// error.
    pub fn sign(self, signer: &dyn Signer) -> Result<CompactJws, Error> {
        self.fits(signer.algorithm())?;
        let signature = signer.sign(self.as_bytes())?;
        Ok(self.with(&signature))
    }

    /// Signs with a key behind a device or a network.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Self::sign).
    pub async fn sign_async(self, signer: &dyn AsyncSigner) -> Result<CompactJws, Error> {
        self.fits(signer.algorithm())?;
        let signature = signer.sign_async(self.as_bytes()).await?;
        Ok(self.with(&signature))
    }

    fn fits(&self, algorithm: Algorithm) -> Result<(), Error> {
        if algorithm == self.alg {
            Ok(())
        } else {
            Err(Error::AlgorithmMismatch {
                algorithm: self.alg,
            })
        }
    }

    fn with(&self, signature: &Signature) -> CompactJws {
        let signature = base64url::encode(signature.as_ref());
        CompactJws(SecretText::new(format!(
            "{}.{signature}",
            self.text.expose()
        )))
    }
}

#[derive(Serialize)]
struct Members<'a> {
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<Box<RawValue>>,
}

/// A signed token. It is a credential: `Debug` shows its fingerprint, and its memory is wiped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompactJws(SecretText);

impl CompactJws {
    /// The token's text, for the one place where it goes into a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What stands for the token in records.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }

    /// The token as a secret text.
    #[must_use]
    pub fn into_secret(self) -> SecretText {
        self.0
    }
}
