//! Public keys as JSON (RFC 7517), key sets, and thumbprints (RFC 7638).
//!
//! Keys in a proof or of a client are parsed exactly ([`Jwk::parse`]): exact lengths, no `null`.
//! Keys that a server publishes are parsed tolerantly ([`Jwk::parse_published`], [`JwkSet`]): other
//! spellings of the same key are accepted. Both refuse non-canonical base64url, repeated members,
//! and private members with a value. Unknown members are ignored (RFC 7517 §4).

mod parse;
mod set;
mod skipped;
mod thumbprint;

use core::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub(crate) use parse::PrivateMembers;
use parse::Spelling;
pub use set::{JwkSet, MAX_SET_KEYS, MAX_SET_LEN, PublicJwkSet, SetRules};
pub use skipped::{Skipped, SkippedKeys};
pub use thumbprint::Thumbprint;

use crate::alg::{Algorithm, AlgorithmSet};
use crate::key::{check_ed25519, check_rsa};
use crate::provider::{Provider, PublicKey};
use crate::{Error, base64url};

/// Maximum length of a JWK: 16 KiB.
pub const MAX_JWK_LEN: usize = 16 * 1024;

/// Maximum length of a `kid`: 256 bytes.
pub const MAX_KEY_ID_LEN: usize = 256;

/// A public key as JSON, parsed and not yet prepared. To verify with it, use
/// [`VerifyingKey::from_jwk`](crate::key::VerifyingKey::from_jwk).
///
/// The type does not implement `Deserialize`, which would lose the code of an error. For a key
/// within another object, deserialize a `&serde_json::value::RawValue` and parse its text.
///
/// ```
/// use aims_jose::jwk::Jwk;
/// let jwk = Jwk::parse(br#"{"kty":"OKP","crv":"Ed25519","kid":"1",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
/// assert_eq!(jwk.key_id(), Some("1"));
/// // RFC 8037, appendix A.3
/// assert_eq!(jwk.thumbprint().to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Jwk {
    key: PublicKey,
    algorithm: Option<Algorithm>,
    key_id: Option<String>,
    key_use: Option<String>,
    key_ops: Option<Vec<String>>,
}

impl Jwk {
    /// Parses a public key of at most [`MAX_JWK_LEN`] bytes, in the exact form of the standards.
    /// Use it for keys in tokens, proofs and registrations of clients.
    ///
    /// # Errors
    ///
    /// `jwk.private` for a private or symmetric key (without its value), `jwk.json`,
    /// `jws.duplicate_member`, `jwk.too_long`, `jwk.kty`, `jwk.crv`, `jwk.member`,
    /// `jwk.weak_point`, `jwk.rsa_modulus`, `jwk.rsa_exponent`, `jwk.alg`, `jwk.use`,
    /// `jwk.key_ops`, `jwk.kid`.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        parse::public(json, Spelling::Exact)
    }

    /// Parses a public key of at most [`MAX_JWK_LEN`] bytes, in the forms in which servers publish
    /// keys.
    ///
    /// In addition to the input of [`parse`](Self::parse), it accepts:
    ///
    /// - a key in the [frame](crate::json::document) of a document;
    /// - a member that is `null` or an empty string, which counts as absent, also if it is private;
    /// - leading zero bytes in `n` and `e`, which are removed before their sizes are checked;
    /// - `x` and `y` of a key on a NIST curve without their leading zero bytes. They are never
    ///   longer than the field.
    ///
    /// The result has the canonical form, so thumbprint and equality do not depend on the spelling.
    /// [`check_point`](Self::check_point) checks whether a point lies on its curve.
    ///
    /// ```
    /// use aims_jose::jwk::Jwk;
    ///
    /// let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    /// let key = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    /// let published = key.replacen('{', "{\"d\":null,\"alg\":null,\"kid\":\"\",", 1);
    ///
    /// assert_eq!(Jwk::parse_published(published.as_bytes())?, Jwk::parse(key.as_bytes())?);
    /// assert_eq!(Jwk::parse(published.as_bytes()).unwrap_err().code(), "jwk.private");
    /// # Ok::<(), aims_jose::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_published(json: &[u8]) -> Result<Self, Error> {
        parse::public(json, Spelling::Published)
    }

    /// Checks that the point of an EC key lies on its curve. Keys of other types were checked when
    /// they were parsed.
    ///
    /// # Errors
    ///
    /// `jwk.point` if it does not; `key.unsupported` if the provider does not support the curve.
    pub fn check_point(&self, provider: &dyn Provider) -> Result<(), Error> {
        match &self.key {
            PublicKey::Ec { curve, .. } => provider.prepare(curve.algorithm(), &self.key).map(drop),
            PublicKey::Ed25519 { .. } | PublicKey::Rsa { .. } => Ok(()),
        }
    }

    pub(crate) fn parse_private(json: &[u8]) -> Result<(Self, PrivateMembers), Error> {
        parse::private(json)
    }

    /// Creates a JWK from key material, without further members.
    ///
    /// # Errors
    ///
    /// `jwk.member`, `jwk.weak_point`, `jwk.rsa_modulus`, `jwk.rsa_exponent`.
    pub fn from_public_key(key: PublicKey) -> Result<Self, Error> {
        match &key {
            PublicKey::Ec { curve, point } => {
                if point.len() != 1 + 2 * curve.field_len() || point.first() != Some(&4) {
                    return Err(Error::JwkMember { member: "x" });
                }
            }
            PublicKey::Ed25519 { point } => check_ed25519(point)?,
            PublicKey::Rsa { n, e } => check_rsa(n, e)?,
        }
        Ok(Self {
            key,
            algorithm: None,
            key_id: None,
            key_use: None,
            key_ops: None,
        })
    }

    /// Returns `kty`: `EC`, `OKP` or `RSA`.
    #[must_use]
    pub const fn key_type(&self) -> &'static str {
        key_type(&self.key)
    }

    /// Returns the key material.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns `alg`, if the key has one.
    #[must_use]
    pub const fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// Returns the algorithms that the key may be used with.
    ///
    /// They are its `alg`, or without one the algorithms of its curve. For Ed25519 these are both
    /// names of the same algorithm (RFC 9864 §2.2). An RSA key without `alg` has none.
    #[must_use]
    pub fn algorithms(&self) -> AlgorithmSet {
        match (self.algorithm, &self.key) {
            (Some(algorithm), _) => algorithm.into(),
            (None, PublicKey::Ec { curve, .. }) => curve.algorithm().into(),
            (None, PublicKey::Ed25519 { .. }) => AlgorithmSet::ED25519,
            (None, PublicKey::Rsa { .. }) => AlgorithmSet::EMPTY,
        }
    }

    /// Returns `kid`: opaque, 1 to 256 bytes, for comparison only (RFC 7517 §4.5).
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns `use`: `sig`, `enc`, or a value that a profile defines (SPIFFE: `jwt-svid`,
    /// `wit-svid`).
    #[must_use]
    pub fn key_use(&self) -> Option<&str> {
        self.key_use.as_deref()
    }

    /// Returns `key_ops`, each value once.
    #[must_use]
    pub fn key_ops(&self) -> Option<&[String]> {
        self.key_ops.as_deref()
    }

    /// Returns the SHA-256 thumbprint over the required members (RFC 7638 §3).
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        thumbprint::of(&self.key)
    }

    /// Sets `alg`.
    ///
    /// # Errors
    ///
    /// `jwk.alg` if the algorithm does not fit the key.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, Error> {
        if !self.key.fits(algorithm) {
            return Err(Error::JwkAlgorithm);
        }
        self.algorithm = Some(algorithm);
        Ok(self)
    }

    /// Sets `kid`.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Sets `use`.
    #[must_use]
    pub fn with_use(mut self, key_use: impl Into<String>) -> Self {
        self.key_use = Some(key_use.into());
        self
    }

    /// Returns the JSON text without white space, with members in the order of [`Serialize`].
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and base64url always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Jwk {
    /// Writes `kty`, then `use`, `key_ops`, `alg` and `kid` if set, then the key material.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kty", self.key_type())?;
        if let Some(key_use) = &self.key_use {
            map.serialize_entry("use", key_use)?;
        }
        if let Some(key_ops) = &self.key_ops {
            map.serialize_entry("key_ops", key_ops)?;
        }
        if let Some(algorithm) = self.algorithm {
            map.serialize_entry("alg", &algorithm)?;
        }
        if let Some(key_id) = &self.key_id {
            map.serialize_entry("kid", key_id)?;
        }
        write_material(&self.key, &mut map)?;
        map.end()
    }
}

/// The required members of a key alone: `kty` and the key material.
pub(crate) struct Required<'a>(pub(crate) &'a PublicKey);

impl Serialize for Required<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kty", key_type(self.0))?;
        write_material(self.0, &mut map)?;
        map.end()
    }
}

const fn key_type(key: &PublicKey) -> &'static str {
    match key {
        PublicKey::Ec { .. } => "EC",
        PublicKey::Ed25519 { .. } => "OKP",
        PublicKey::Rsa { .. } => "RSA",
    }
}

fn write_material<M: SerializeMap>(key: &PublicKey, map: &mut M) -> Result<(), M::Error> {
    match key {
        PublicKey::Ec { curve, point } => {
            let (x, y) = point
                .get(1..)
                .unwrap_or_default()
                .split_at(curve.field_len());
            map.serialize_entry("crv", curve.name())?;
            map.serialize_entry("x", &base64url::encode(x))?;
            map.serialize_entry("y", &base64url::encode(y))
        }
        PublicKey::Ed25519 { point } => {
            map.serialize_entry("crv", "Ed25519")?;
            map.serialize_entry("x", &base64url::encode(point))
        }
        PublicKey::Rsa { n, e } => {
            map.serialize_entry("n", &base64url::encode(n))?;
            map.serialize_entry("e", &base64url::encode(e))
        }
    }
}

impl fmt::Display for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk")
            .field("key_type", &self.key_type())
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .field("key_use", &self.key_use)
            .field("thumbprint", &self.thumbprint())
            .finish_non_exhaustive()
    }
}
