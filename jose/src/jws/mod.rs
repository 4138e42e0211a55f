//! Compact JWS (RFC 7515 §7.1): parses strictly, verifies with a key that the caller chose, and
//! signs.
//!
//! A token never chooses its key or its algorithm. The caller uses the header to find a key among
//! trusted keys, and the key decides whether the algorithm fits.
//!
//! The text of a token does not identify it: for every ECDSA signature there is a second valid one
//! over the same content. Identify a spent or revoked token by what was signed,
//! [`Unverified::signed_hash`].

mod header;
mod sign;

pub use header::Header;
use header::KeysInHeader;
pub use sign::{CompactJws, SigningInput};

use std::cell::OnceCell;
use std::sync::Arc;

use serde::Deserialize;

use crate::digest::{sha256, sha256_of_both};
use crate::key::VerifyingKey;
use crate::{Error, base64url, jwt};

/// Maximum length in bytes of a token for [`Unverified::parse`].
pub const MAX_LENGTH: usize = 16 * 1024;

/// A token that was split and whose header was parsed. None of it is trusted yet.
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
    header: Arc<Header>,
    /// The payload, once it was decoded.
    decoded: OnceCell<Vec<u8>>,
    /// The hashes, once they were computed.
    hashes: OnceCell<TokenHashes>,
}

impl<'a> Unverified<'a> {
    /// Splits a token of at most [`MAX_LENGTH`] bytes and parses its header.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`], which is checked first; [`Error::Parts`]; [`Error::Base64`]; for the
    /// header [`Error::Header`], [`Error::Crit`], [`Error::KeyInHeader`],
    /// [`Error::UnknownAlgorithm`], and the errors of
    /// [`json::check_object`](crate::json::check_object).
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        Self::parse_within(text, MAX_LENGTH)
    }

    /// Parses a token like [`parse`](Self::parse), with another limit in bytes.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_within(text: &'a str, limit: usize) -> Result<Self, Error> {
        Self::split(text, limit, KeysInHeader::Refused)
    }

    /// Parses a token of a server that also refers to its key or certificate in the header.
    ///
    /// `jku`, `x5u` and `x5c` are ignored and never fetched. `jwk`, which is a key itself, is
    /// refused.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_ignoring_key_references(text: &'a str, limit: usize) -> Result<Self, Error> {
        Self::split(text, limit, KeysInHeader::ReferencesIgnored)
    }

    /// Parses a token that contains the key that signed it, such as a proof of possession (RFC 9449
    /// §4.2).
    ///
    /// The header must have `jwk`, a public key, which is parsed like [`Jwk::parse`]. The
    /// references `jku`, `x5u` and `x5c` are refused. The sender chose the
    /// [`embedded_key`](Header::embedded_key): compare its thumbprint with a trusted one before you
    /// rely on the signature.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse) and of [`Jwk::parse`]; [`Error::NoKeyInHeader`] without
    /// `jwk`.
    ///
    /// [`Jwk::parse`]: crate::jwk::Jwk::parse
    pub fn parse_with_embedded_key(text: &'a str, limit: usize) -> Result<Self, Error> {
        Self::split(text, limit, KeysInHeader::JwkRequired)
    }

    /// Parses a token whose header is, byte for byte, one that was parsed before. Returns `None` if
    /// the token has another header.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`], which is checked first; [`Error::Parts`].
    pub fn parse_known(
        text: &'a str,
        limit: usize,
        known: &KnownHeader,
    ) -> Result<Option<Self>, Error> {
        let parts = Parts::of(text, limit)?;
        let is_known = parts.header == &*known.text;
        Ok(is_known.then(|| Self::new(text, &parts, Arc::clone(&known.header))))
    }

    fn split(text: &'a str, limit: usize, keys: KeysInHeader) -> Result<Self, Error> {
        let parts = Parts::of(text, limit)?;
        let header = Header::parse(&base64url::decode(parts.header)?, keys)?;
        Ok(Self::new(text, &parts, Arc::new(header)))
    }

    const fn new(text: &'a str, parts: &Parts<'a>, header: Arc<Header>) -> Self {
        Self {
            text,
            signed: parts.signed,
            payload: parts.payload,
            signature: parts.signature,
            header,
            decoded: OnceCell::new(),
            hashes: OnceCell::new(),
        }
    }

    /// Returns the header, by which the caller selects a key.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the header with its text, to parse further tokens with the same one by
    /// [`parse_known`](Self::parse_known).
    #[must_use]
    pub fn known_header(&self) -> KnownHeader {
        let text = self.signed.split('.').next().unwrap_or_default();
        KnownHeader {
            text: text.into(),
            header: Arc::clone(&self.header),
        }
    }

    /// Returns the token as received.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the bytes of the payload before verification. Use them to select a key, or to show
    /// them to a user as unverified.
    ///
    /// # Errors
    ///
    /// [`Error::Base64`].
    pub fn unverified_payload(&self) -> Result<&[u8], Error> {
        if self.decoded.get().is_none() {
            // The cell is not shared between threads, so it is still empty.
            let _set = self.decoded.set(base64url::decode(self.payload)?);
        }
        Ok(self.decoded.get().map_or(&[], Vec::as_slice))
    }

    /// Returns the SHA-256 of header and payload as they are signed.
    ///
    /// It is the same for every signature over them. For every ECDSA signature there is a second
    /// valid one.
    #[must_use]
    pub fn signed_hash(&self) -> [u8; 32] {
        sha256(self.signed.as_bytes())
    }

    /// Returns [`signed_hash`](Self::signed_hash) and the SHA-256 of the whole text, in one pass.
    ///
    /// Call it before [`verify`](Self::verify), which then does not hash what an ES256 signature
    /// signs again.
    #[must_use]
    pub fn hashes(&self) -> TokenHashes {
        *self.hashes.get_or_init(|| {
            let rest = self.text.get(self.signed.len()..).unwrap_or_default();
            let (signed, text) = sha256_of_both(self.signed.as_bytes(), rest.as_bytes());
            TokenHashes { signed, text }
        })
    }

    /// Verifies the signature, with at most one public-key operation.
    ///
    /// # Errors
    ///
    /// [`Error::AlgorithmMismatch`] if the key is for another algorithm, [`Error::Signature`],
    /// [`Error::Base64`].
    pub fn verify(self, key: &VerifyingKey) -> Result<Verified, Error> {
        let mut buffer = [0; MAX_SIGNATURE];
        let signature = base64url::decode_into(self.signature, &mut buffer)?;
        let (algorithm, signed) = (self.header.alg(), self.signed.as_bytes());
        match self.hashes.get() {
            Some(known) => key.verify_hashed(algorithm, signed, &known.signed, signature)?,
            None => key.verify(algorithm, signed, signature)?,
        }
        Ok(Verified {
            payload: match self.decoded.into_inner() {
                Some(payload) => payload,
                None => base64url::decode(self.payload)?,
            },
            header: self.header,
        })
    }
}

/// The texts of a compact JWS.
struct Parts<'a> {
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str, limit: usize) -> Result<Self, Error> {
        if text.len() > limit {
            return Err(Error::TooLong { limit });
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Error::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Parts)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.')
        {
            return Err(Error::Parts);
        }
        Ok(Self {
            signed,
            header,
            payload,
            signature,
        })
    }
}

/// The header of a token that was parsed, with its text.
///
/// A sender that makes many tokens with one key writes the same header into each. The header then
/// needs to be parsed once ([`Unverified::parse_known`]). It is as untrusted as the token that it
/// came with.
#[derive(Clone, Debug)]
pub struct KnownHeader {
    text: Box<str>,
    header: Arc<Header>,
}

/// The two hashes that identify a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenHashes {
    /// SHA-256 of header and payload, which a revocation names.
    pub signed: [u8; 32],
    /// SHA-256 of the text, the value of `ath`, `wth` and `tth`.
    pub text: [u8; 32],
}

impl std::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unverified")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// A token whose signature was verified with a key that the caller chose. Its claims are not
/// checked yet.
pub struct Verified {
    header: Arc<Header>,
    payload: Vec<u8>,
}

impl Verified {
    /// Returns the header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the bytes of the payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Deserializes the claims of the payload by [`jwt::claims`]. They may borrow from it.
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

/// Maximum length of a signature. RSA with 4096 bits has the longest, and the base64 decoder needs
/// room up to a multiple of three bytes.
const MAX_SIGNATURE: usize = 516;
