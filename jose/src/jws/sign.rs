//! Signs tokens. The signed bytes are prepared first, so that a key behind a network can sign them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::digest::Fingerprint;
use crate::jwk::Jwk;
use crate::key::{AsyncSigner, Signature, Signer};
use crate::secret::SecretText;
use crate::{Algorithm, Error, base64url};

/// Header and claims of a token, ready to be signed.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use aims_jose::jws::SigningInput;
/// use aims_jose::{Algorithm, key::SigningKey, provider};
///
/// let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC)?;
/// let claims = std::collections::BTreeMap::from([("sub", "alice")]);
/// let input = SigningInput::new("example+jwt", Algorithm::Es256, None, &claims)?;
/// // A service that holds the key could sign `input.as_bytes()` instead.
/// let token = input.sign(&key)?;
/// assert_eq!(token.expose().split('.').count(), 3);
/// # }
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a token comes into being with `sign`"]
pub struct SigningInput {
    text: SecretText,
    alg: Algorithm,
}

impl SigningInput {
    /// Serializes header and claims. `alg` is the algorithm of the key that will sign; `typ` is
    /// written as given.
    ///
    /// # Errors
    ///
    /// [`Error::Serialize`] if the claims do not serialize to a JSON object.
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

    /// Serializes a token that contains the public key that verifies it, in `jwk` of the header
    /// (RFC 9449 §4.2). Only the required members of the key are written, without `kid` and `use`.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new); [`Error::JwkAlgorithm`] if the key is not for `alg`.
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

    /// Returns the bytes that are signed (RFC 7515 §5.1).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.expose().as_bytes()
    }

    /// Signs with a local key.
    ///
    /// # Errors
    ///
    /// [`Error::AlgorithmMismatch`] if the signer has another algorithm; the errors of the signer.
    pub fn sign(self, signer: &dyn Signer) -> Result<CompactJws, Error> {
        self.fits(signer.algorithm())?;
        let signature = signer.sign(self.as_bytes())?;
        Ok(self.with(&signature))
    }

    /// Signs with a key in a device or behind a network.
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

/// A signed token. It is a credential: `Debug` prints its fingerprint, and its memory is wiped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompactJws(SecretText);

impl CompactJws {
    /// Returns the text of the token. Use it only to write the token into a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Returns the fingerprint of the token, for records.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }

    /// Returns the token as a secret text.
    #[must_use]
    pub fn into_secret(self) -> SecretText {
        self.0
    }
}
