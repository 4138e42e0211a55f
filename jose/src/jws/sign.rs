//! Signs tokens. The signed bytes are prepared first, so that a key behind a network can sign them.

use serde::Serialize;

use crate::digest::Fingerprint;
use crate::jwk::{Jwk, Required};
use crate::key::{AsyncSigner, Signature, Signer};
use crate::secret::SecretText;
use crate::{Algorithm, Error, base64url, json};

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
        let header = Members {
            alg: alg.name(),
            kid,
            typ,
            jwk: None,
        };
        Self::of(&header, alg, &written(claims)?)
    }

    /// Takes claims that are JSON already, and that [`json::check_object`] accepts.
    ///
    /// ```
    /// use aims_jose::Algorithm;
    /// use aims_jose::jws::SigningInput;
    ///
    /// let of = |json: &str| {
    ///     SigningInput::from_json("example+jwt", Algorithm::Es256, None, json.as_bytes())
    /// };
    /// assert!(of(r#"{"sub":"alice"}"#).is_ok());
    /// assert_eq!(of(r#"{"sub":1,"sub":2}"#).unwrap_err().code(), "jws.duplicate_member");
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`json::check_object`].
    pub fn from_json(
        typ: &str,
        alg: Algorithm,
        kid: Option<&str>,
        claims: &[u8],
    ) -> Result<Self, Error> {
        json::check_object(claims)?;
        let header = Members {
            alg: alg.name(),
            kid,
            typ,
            jwk: None,
        };
        Self::of(&header, alg, claims)
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
        let header = Members {
            alg: alg.name(),
            kid: None,
            typ,
            jwk: Some(Required(jwk.public_key())),
        };
        Self::of(&header, alg, &written(claims)?)
    }

    fn of(header: &Members<'_>, alg: Algorithm, claims: &[u8]) -> Result<Self, Error> {
        let header = serde_json::to_vec(header).or(Err(Error::Serialize))?;
        let bytes = header.len().saturating_add(claims.len());
        let mut text = String::with_capacity(bytes / 3 * 4 + ROOM);
        base64url::encode_onto(&header, &mut text);
        text.push('.');
        base64url::encode_onto(claims, &mut text);
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

    fn with(self, signature: &Signature) -> CompactJws {
        let mut text = self.text;
        text.text_mut().push('.');
        base64url::encode_onto(signature.as_ref(), text.text_mut());
        CompactJws(text)
    }
}

/// Room for the two dots, the partial groups of base64, and a signature on an elliptic curve. An
/// RSA signature makes the text grow once; what is copied then is not signed yet.
const ROOM: usize = 192;

fn written(claims: &impl Serialize) -> Result<Vec<u8>, Error> {
    let claims = serde_json::to_vec(claims).or(Err(Error::Serialize))?;
    if claims.first() == Some(&b'{') {
        Ok(claims)
    } else {
        Err(Error::Serialize)
    }
}

#[derive(Serialize)]
struct Members<'a> {
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<Required<'a>>,
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
