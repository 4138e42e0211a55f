//! Hashes content in pieces: to compute digests, and to compare them at the end.

use core::fmt;

use sha2::{Digest as _, Sha256, Sha512};

use super::digests::Digests;
use super::{Algorithm, ContentDigest, ReprDigest};
use crate::Error;

/// Computes digests of content that arrives in pieces, in constant memory.
///
/// ```
/// use aims_http_sig::digest::{Algorithm, ContentDigest, Hasher};
///
/// let mut hasher = Hasher::new([Algorithm::Sha256]);
/// hasher.update(b"{\"hello\": ");
/// hasher.update(b"\"world\"}");
/// let digest = hasher.content_digest();
/// assert_eq!(digest.to_string(), "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
/// assert_eq!(digest, ContentDigest::of(b"{\"hello\": \"world\"}"));
/// ```
#[derive(Clone)]
pub struct Hasher {
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
    length: u64,
}

impl Hasher {
    /// Creates a hasher for these algorithms, or for `sha-256` if there is none.
    #[must_use]
    pub fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let mut hasher = Self {
            sha256: None,
            sha512: None,
            length: 0,
        };
        for algorithm in algorithms {
            match algorithm {
                Algorithm::Sha256 => hasher.sha256 = Some(Sha256::new()),
                Algorithm::Sha512 => hasher.sha512 = Some(Sha512::new()),
            }
        }
        if hasher.sha256.is_none() && hasher.sha512.is_none() {
            hasher.sha256 = Some(Sha256::new());
        }
        hasher
    }

    /// Adds the next piece, without an allocation.
    pub fn update(&mut self, piece: &[u8]) {
        if let Some(hash) = &mut self.sha256 {
            hash.update(piece);
        }
        if let Some(hash) = &mut self.sha512 {
            hash.update(piece);
        }
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(length);
    }

    /// Returns the number of bytes added so far.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Returns the digests of the added bytes as content.
    #[must_use]
    pub fn content_digest(self) -> ContentDigest {
        ContentDigest(self.finish())
    }

    /// Returns the digests of the added bytes as representation.
    #[must_use]
    pub fn repr_digest(self) -> ReprDigest {
        ReprDigest(self.finish())
    }

    pub(super) fn finish(self) -> Digests {
        Digests::counting(
            self.sha256.map(|hash| hash.finalize().into()),
            self.sha512.map(|hash| hash.finalize().into()),
        )
    }
}

/// Prints none of the hashed content.
impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Hashes content that arrives in pieces, and compares it at its end with the received digests.
///
/// The content is unverified until [`finish`](Self::finish) succeeds.
///
/// ```
/// use aims_http_sig::digest::ContentDigest;
///
/// let field = b"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
/// let digest = ContentDigest::parse([&field[..]])?;
/// let mut hashing = digest.hashing()?;
/// hashing.update(b"{\"hello\": ");
/// hashing.update(b"\"world\"}");
/// assert_eq!(hashing.finish()?.length(), 18);
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is compared until `finish` is called"]
pub struct Hashing {
    hasher: Hasher,
    expected: Digests,
}

impl Hashing {
    /// Creates it for digests with `sha-256` or `sha-512`.
    pub(super) fn of(digests: &Digests) -> Self {
        Self {
            hasher: Hasher::new(digests.algorithms()),
            expected: Digests::counting(digests.sha256, digests.sha512),
        }
    }

    /// Adds the next piece, without an allocation.
    pub fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
    }

    /// Returns the number of bytes added so far.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.hasher.length()
    }

    /// Ends the content, and compares each `sha-256` and `sha-512` digest with it.
    ///
    /// # Errors
    ///
    /// `digest.mismatch`.
    pub fn finish(self) -> Result<Matched, Error> {
        let length = self.hasher.length();
        let found = self.hasher.finish();
        for algorithm in self.expected.algorithms() {
            if self.expected.get(algorithm) != found.get(algorithm) {
                return Err(Error::DigestMismatch { algorithm });
            }
        }
        Ok(Matched {
            length,
            digests: self.expected,
        })
    }
}

/// Proof that a content or representation matches all `sha-256` and `sha-512` digests that were
/// sent with it. Only a comparison creates it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Matched {
    length: u64,
    digests: Digests,
}

/// The SHA-256 of no bytes.
const SHA256_OF_NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

impl Matched {
    /// Creates the result for a message that has neither content nor digest.
    pub(crate) const fn empty() -> Self {
        Self {
            length: 0,
            digests: Digests::counting(Some(SHA256_OF_NOTHING), None),
        }
    }

    /// Returns the length of the content in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Returns the compared algorithms, at least one.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.digests.algorithms()
    }

    /// Returns the compared digest, [`Algorithm::length`] bytes long.
    #[must_use]
    pub fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        self.digests.get(algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_content_matches_the_digest_of_no_bytes() {
        let compared = ContentDigest::of(b"").verify(b"").unwrap();
        assert_eq!(Matched::empty(), compared);
    }
}
