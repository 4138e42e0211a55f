//! The profiles of JWT access tokens.

use std::fmt;

/// The name of the profile by which an access token was accepted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProfileName {
    /// The JWT profile for access tokens (RFC 9068).
    Rfc9068,
}

impl ProfileName {
    /// The name as text: `rfc9068`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rfc9068 => "rfc9068",
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
