//! Hashing piece by piece: to make digests, and to compare them at the end.

use core::fmt;

use sha2::{Digest as _, Sha256, Sha512};

use super::digests::Digests;
use super::{Algorithm, ContentDigest, ReprDigest};
use crate::Error;

/// Makes digests of content that comes in pieces, in constant memory.
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
    /// For these algorithms; for `sha-256` where there is none.
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

    /// Adds the next piece. Allocates nothing.
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

    /// How much was added, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The digests of what was added, as content.
    #[must_use]
    pub fn content_digest(self) -> ContentDigest {
        ContentDigest(self.finish())
    }

    /// The digests of what was added, as representation.
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

/// Without what is being hashed.
impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Hashes content that comes in pieces and compares it, at its end, with the digests that were
/// sent.
///
/// What was read before [`finish`](Self::finish) is a part of something that nobody has vouched
/// for.
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
    /// For digests of which one counts.
    pub(super) fn of(digests: &Digests) -> Self {
        Self {
            hasher: Hasher::new(digests.algorithms()),
            expected: Digests::counting(digests.sha256, digests.sha512),
        }
    }

    /// Adds the next piece. Allocates nothing.
    pub fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
    }

    /// How much was added, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.hasher.length()
    }

    /// The end: every digest that counts has to be the one of what was added.
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

/// Content, or a representation, had every digest that was sent with it; only a comparison makes
/// one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Matched {
    length: u64,
    digests: Digests,
}

impl Matched {
    /// Its length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The algorithms that were compared; at least one.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.digests.algorithms()
    }

    /// The digest that was compared, of [`Algorithm::length`] bytes.
    #[must_use]
    pub fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        self.digests.get(algorithm)
    }
}
