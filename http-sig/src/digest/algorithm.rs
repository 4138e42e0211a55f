//! The hash functions that count (RFC 9530 §5, §7.2).

use core::fmt;

/// A hash function of the registry whose status is "Active": the only two that count as
/// verification.
///
/// The registry's others (`md5`, `sha`, `unixsum`, `unixcksum`, `adler`, `crc32c`) are deprecated
/// and stop nobody who wants to change a body; they, and names that are not registered, are read
/// past.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Algorithm {
    /// `sha-256`, 32 bytes.
    Sha256,
    /// `sha-512`, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// All, in the order in which they are preferred where nobody says otherwise: SHA-256 is the
    /// one that every peer has.
    pub const ALL: &'static [Self] = &[Self::Sha256, Self::Sha512];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    /// The algorithm of that name; names are in lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }

    /// The length of a digest, in bytes.
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
