//! Compact JWS (RFC 7515 §7.1): parse strictly, verify with a key that was chosen beforehand, sign.
//!
//! A token never chooses its key or its algorithm: the header is looked at to find a key among
//! those that are trusted, and the key decides whether the algorithm fits. The text of a token is
//! no unique name for it: an ECDSA signature has a twin that verifies as well, so what was
//! spent or revoked is named by what was signed, [`Unverified::signed_hash`].

mod header;
mod sign;

pub use header::Header;
use header::KeysInHeader;
pub use sign::{CompactJws, SigningInput};

use std::cell::OnceCell;

use serde::Deserialize;

use crate::digest::{sha256, sha256_of_both};
use crate::key::VerifyingKey;
use crate::{Error, base64url, jwt};

/// The longest token that [`Unverified::parse`] takes, in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// A token that was split and whose header was read. Nothing in it is to be believed yet.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use aims_jose::jws::{SigningInput, Unverified};
/// use aims_jose::{Algorithm, key::SigningKey, provider};
///
/// let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC)?;
/// let claims = std::collections::BTreeMap::from([("sub", "spiffe://example.org/a")]);
/// let token = SigningInput::new("wit+jwt", Algorithm::Es256, Some("1"), &claims)?.sign(&key)?;
///
/// let unverified = Unverified::parse(token.expose())?;
/// assert!(unverified.header().is_typ("wit+jwt"));
/// let verified = unverified.verify(key.verifying_key())?;
/// assert_eq!(verified.payload(), br#"{"sub":"spiffe://example.org/a"}"#);
/// # }
/// # Ok::<(), aims_jose::Error>(())
/// ```
pub struct Unverified<'a> {
    text: &'a str,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    header: Header,
    /// The payload, once it was decoded.
    decoded: OnceCell<Vec<u8>>,
}

impl<'a> Unverified<'a> {
    /// Splits a token of [`MAX_LENGTH`] bytes at most and reads its header.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] before anything else; [`Error::Parts`]; [`Error::Base64`]; what is wrong
    /// with the header: [`Error::Header`], [`Error::Crit`], [`Error::KeyInHeader`],
    /// [`Error::UnknownAlgorithm`], and the errors of
    /// [`json::check_object`](crate::json::check_object).
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        Self::parse_within(text, MAX_LENGTH)
    }

    /// The same with another limit in bytes.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_within(text: &'a str, limit: usize) -> Result<Self, Error> {
        Self::split(text, limit, KeysInHeader::Refused)
    }

    /// The same for a token of a server that names its key or certificate in the header as well:
    /// `jku`, `x5u` and `x5c` are ignored, and nothing is fetched from them. `jwk`, which is a key
    /// itself, is refused as before.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_ignoring_key_references(text: &'a str, limit: usize) -> Result<Self, Error> {
        Self::split(text, limit, KeysInHeader::ReferencesIgnored)
    }

    /// The same for a token that brings the key that signed it, as proofs of possession do (RFC
    /// 9449 §4.2): the header has `jwk`, a public key, read as strictly as [`Jwk::parse`] does. The
    /// references `jku`, `x5u` and `x5c` are refused as before.
    ///
    /// [`embedded_key`](Header::embedded_key) is the sender's word. Compare its thumbprint with one
    /// that is trusted before the signature says anything.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse) and of [`Jwk::parse`]; [`Error::NoKeyInHeader`].
    ///
    /// [`Jwk::parse`]: crate::jwk::Jwk::parse
    pub fn parse_with_embedded_key(text: &'a str, limit: usize) -> Result<Self, Error> {
        Self::split(text, limit, KeysInHeader::JwkRequired)
    }

    fn split(text: &'a str, limit: usize, keys: KeysInHeader) -> Result<Self, Error> {
        if text.len() > limit {
            return Err(Error::TooLong { limit });
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Error::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Parts)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.')
        {
            return Err(Error::Parts);
        }
        let header = Header::parse(&base64url::decode(header)?, keys)?;
        Ok(Self {
            text,
            signed,
            payload,
            signature,
            header,
            decoded: OnceCell::new(),
        })
    }

    /// The header, to choose a key by.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The token as it came.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The payload's bytes before any verification: to look for a key by, or to show to a person
    /// who was told.
    ///
    /// # Errors
    ///
    /// [`Error::Base64`].
    pub fn unverified_payload(&self) -> Result<&[u8], Error> {
        if self.decoded.get().is_none() {
            // Nobody else can have set it: it is no cell for several threads.
            let _set = self.decoded.set(base64url::decode(self.payload)?);
        }
        Ok(self.decoded.get().map_or(&[], Vec::as_slice))
    }

    /// SHA-256 of header and payload as they are signed: the same for every signature over them.
    /// ECDSA signatures have twins.
    #[must_use]
    pub fn signed_hash(&self) -> [u8; 32] {
        sha256(self.signed.as_bytes())
    }

    /// [`signed_hash`](Self::signed_hash), and the SHA-256 of the whole text, in one pass.
    #[must_use]
    pub fn hashes(&self) -> TokenHashes {
        let rest = self.text.get(self.signed.len()..).unwrap_or_default();
        let (signed, text) = sha256_of_both(self.signed.as_bytes(), rest.as_bytes());
        TokenHashes { signed, text }
    }

    /// Verifies the signature: one public-key operation at most.
    ///
    /// # Errors
    ///
    /// [`Error::AlgorithmMismatch`] where the key is for another algorithm, [`Error::Signature`],
    /// [`Error::Base64`].
    pub fn verify(self, key: &VerifyingKey) -> Result<Verified, Error> {
        let mut buffer = [0; MAX_SIGNATURE];
        let signature = base64url::decode_into(self.signature, &mut buffer)?;
        key.verify(self.header.alg(), self.signed.as_bytes(), signature)?;
        Ok(Verified {
            payload: match self.decoded.into_inner() {
                Some(payload) => payload,
                None => base64url::decode(self.payload)?,
            },
            header: self.header,
        })
    }
}

/// The two hashes that a token is known by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenHashes {
    /// SHA-256 of header and payload: what a revocation names.
    pub signed: [u8; 32],
    /// SHA-256 of the text: `ath`, `wth`, `tth`.
    pub text: [u8; 32],
}

impl std::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unverified")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// A token whose signature was verified with a key that the caller chose. Its claims are still to
/// be judged.
pub struct Verified {
    header: Header,
    payload: Vec<u8>,
}

impl Verified {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The payload's bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Reads the claims from the payload, by [`jwt::claims`]. They may borrow from it.
    ///
    /// # Errors
    ///
    /// Those of [`jwt::claims`].
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        jwt::claims(&self.payload)
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// RSA with a modulus of 4096 bits has the longest signatures, and base64 decoding wants room to
/// the next three bytes.
const MAX_SIGNATURE: usize = 516;
