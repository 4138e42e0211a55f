//! SHA-256, for hashes of tokens and for fingerprints in logs.
//!
//! The `sha2` crate computes it with every provider. A digest has no key and one correct result, so
//! a choice of implementation would add only failures. `sha2` uses the SHA instructions of the
//! processor if it has them.

use core::fmt;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::base64url;

/// Returns the SHA-256 of these bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns the SHA-256 of `start`, and that of `start` followed by `rest`, in one pass.
#[must_use]
pub(crate) fn sha256_of_both(start: &[u8], rest: &[u8]) -> ([u8; 32], [u8; 32]) {
    let mut hash = Sha256::new_with_prefix(start);
    let of_start = hash.clone().finalize().into();
    hash.update(rest);
    (of_start, hash.finalize().into())
}

/// Returns the SHA-256 of a text in base64url, 43 characters. It is the value of the claims `wth`,
/// `ath` and `tth` (RFC 9449 §4.2, draft-ietf-wimse-wpt-02 §3).
///
/// ```
/// assert_eq!(
///     aims_jose::digest::sha256_base64url("abc"),
///     "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
/// );
/// ```
#[must_use]
pub fn sha256_base64url(text: &str) -> String {
    base64url::encode(&sha256(text.as_bytes()))
}

/// A text with its SHA-256, which is computed once, when it is first needed.
///
/// ```
/// use aims_jose::digest::{Hashed, sha256};
///
/// let token = Hashed::of("abc");
/// assert_eq!(token.sha256(), &sha256(b"abc"));
/// assert_eq!(token.fingerprint().to_string(), "ba7816bf8f01cfea");
/// ```
#[derive(Clone)]
pub struct Hashed<'a> {
    text: &'a str,
    sha256: OnceLock<[u8; 32]>,
}

impl<'a> Hashed<'a> {
    /// Wraps a text. The hash is not computed yet.
    #[must_use]
    pub const fn of(text: &'a str) -> Self {
        let sha256 = OnceLock::new();
        Self { text, sha256 }
    }

    /// Returns the text.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the SHA-256 of the text.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        self.sha256.get_or_init(|| sha256(self.text.as_bytes()))
    }

    /// Returns the fingerprint of the text.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_sha256(self.sha256())
    }
}

impl fmt::Debug for Hashed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hashed").field(&self.fingerprint()).finish()
    }
}

/// The form of a secret in logs, errors and records: the first 8 bytes of its SHA-256 in hex.
///
/// ```
/// assert_eq!(aims_jose::digest::Fingerprint::of(b"abc").to_string(), "ba7816bf8f01cfea");
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// Returns the fingerprint of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_sha256(&sha256(bytes))
    }

    /// Returns the fingerprint of a text with this SHA-256.
    #[must_use]
    pub const fn of_sha256(hash: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *hash;
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
