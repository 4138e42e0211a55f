//! SHA-256, for hashes of tokens and for fingerprints in logs.
//!
//! Always computed by the `sha2` crate, whichever provider is in use: a digest has no key to
//! protect and one right answer, so a choice would only add a way to fail. `sha2` uses the
//! processor's SHA instructions where there are some.

use core::fmt;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::base64url;

/// The SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The SHA-256 of some bytes, and that of the same bytes with more behind them, in one pass.
#[must_use]
pub(crate) fn sha256_of_both(start: &[u8], rest: &[u8]) -> ([u8; 32], [u8; 32]) {
    let mut hash = Sha256::new_with_prefix(start);
    let of_start = hash.clone().finalize().into();
    hash.update(rest);
    (of_start, hash.finalize().into())
}

/// The SHA-256 of a text in base64url, 43 characters: `wth`, `ath`, `tth` (RFC 9449 §4.2,
/// draft-ietf-wimse-wpt-02 §3).
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

/// A text and its SHA-256, computed once for all who ask, and not before one asks.
#[derive(Clone)]
pub struct Hashed<'a> {
    text: &'a str,
    sha256: OnceLock<[u8; 32]>,
}

impl<'a> Hashed<'a> {
    /// A text whose hash may be asked for.
    #[must_use]
    pub const fn of(text: &'a str) -> Self {
        let sha256 = OnceLock::new();
        Self { text, sha256 }
    }

    /// The text.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// Its SHA-256.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        self.sha256.get_or_init(|| sha256(self.text.as_bytes()))
    }

    /// Its fingerprint.
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

/// How a secret shows up in logs, errors and records: the first 8 bytes of its SHA-256 in hex.
///
/// ```
/// assert_eq!(aims_jose::digest::Fingerprint::of(b"abc").to_string(), "ba7816bf8f01cfea");
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// The fingerprint of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_sha256(&sha256(bytes))
    }

    /// The fingerprint of what has this SHA-256.
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
