//! The hash functions that count as verification (RFC 9530 §5, §7.2).

use core::fmt;

/// A hash function with the registry status "Active". Only these two count as verification.
///
/// The other registered algorithms (`md5`, `sha`, `unixsum`, `unixcksum`, `adler`, `crc32c`) are
/// deprecated and do not stop an attacker who changes a body. They are ignored, and so are
/// unregistered names.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Algorithm {
    /// `sha-256`, 32 bytes.
    Sha256,
    /// `sha-512`, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// All algorithms, in the order of default preference. SHA-256 is first, because every peer
    /// supports it.
    pub const ALL: &'static [Self] = &[Self::Sha256, Self::Sha512];

    /// Returns the registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    /// Returns the algorithm with this name, in lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }

    /// Returns the length of a digest in bytes.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
