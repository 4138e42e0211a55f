//! Signature algorithms and sets of them.
//!
//! The crate supports no MAC, no `none` and no encryption: a name outside [`Algorithm::ALL`] is not
//! an algorithm (RFC 8725 §3.1-3.2).

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Error;

/// A JWS signature algorithm, by its registered `alg` name (RFC 7518 §3.1, RFC 8037, RFC 9864).
///
/// The enum is exhaustive, so that code which matches on it handles each algorithm.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new algorithm must be decided on wherever one matches"
)]
pub enum Algorithm {
    /// `EdDSA` with Ed25519 (RFC 8037 §3.1). Ed448 is not supported.
    EdDsa,
    /// `Ed25519`, the fully specified name of the same signature (RFC 9864 §2.2).
    Ed25519,
    /// `ES256`: ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// `ES384`: ECDSA on P-384 with SHA-384.
    Es384,
    /// `ES512`: ECDSA on P-521 with SHA-512.
    Es512,
    /// `PS256`: RSASSA-PSS with SHA-256 and a salt of 32 bytes (RFC 7518 §3.5).
    Ps256,
    /// `PS384`: RSASSA-PSS with SHA-384 and a salt of 48 bytes.
    Ps384,
    /// `PS512`: RSASSA-PSS with SHA-512 and a salt of 64 bytes.
    Ps512,
    /// `RS256`: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    Rs256,
    /// `RS384`: RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// `RS512`: RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

impl Algorithm {
    /// All supported algorithms.
    pub const ALL: [Self; 11] = [
        Self::EdDsa,
        Self::Ed25519,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// Returns the registered name, the value of `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// Returns the algorithm with this name, compared byte for byte.
    ///
    /// ```
    /// use aims_jose::alg::Algorithm;
    /// assert_eq!(Algorithm::from_name("ES256"), Some(Algorithm::Es256));
    /// assert_eq!(Algorithm::from_name("es256"), None);
    /// assert_eq!(Algorithm::from_name("none"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// Returns the length of a signature in bytes, or `None` if it depends on the key (RSA).
    #[must_use]
    pub const fn signature_len(self) -> Option<usize> {
        match self {
            Self::EdDsa | Self::Ed25519 | Self::Es256 => Some(64),
            Self::Es384 => Some(96),
            Self::Es512 => Some(132),
            _ => None,
        }
    }

    /// Returns whether this is one of the six RSA algorithms.
    #[must_use]
    pub const fn is_rsa(self) -> bool {
        matches!(
            self,
            Self::Ps256 | Self::Ps384 | Self::Ps512 | Self::Rs256 | Self::Rs384 | Self::Rs512
        )
    }

    const fn bit(self) -> u16 {
        match self {
            Self::EdDsa => 1,
            Self::Ed25519 => 1 << 1,
            Self::Es256 => 1 << 2,
            Self::Es384 => 1 << 3,
            Self::Es512 => 1 << 4,
            Self::Ps256 => 1 << 5,
            Self::Ps384 => 1 << 6,
            Self::Ps512 => 1 << 7,
            Self::Rs256 => 1 << 8,
            Self::Rs384 => 1 << 9,
            Self::Rs512 => 1 << 10,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::from_name(name).ok_or(Error::UnknownAlgorithm)
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl de::Visitor<'_> for Name {
            type Value = Algorithm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a signature algorithm")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Algorithm, E> {
                Algorithm::from_name(name).ok_or_else(|| E::custom(Error::UnknownAlgorithm))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// A set of algorithms, such as those of a key or those that a profile allows.
///
/// ```
/// use aims_jose::alg::{Algorithm, AlgorithmSet};
/// const MINE: AlgorithmSet = AlgorithmSet::of(&[Algorithm::Es256, Algorithm::Ed25519]);
/// assert!(MINE.contains(Algorithm::Es256));
/// assert!(!AlgorithmSet::SVID.contains(Algorithm::EdDsa));
/// ```
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Every algorithm of [`Algorithm::ALL`].
    pub const ALL: Self = Self::of(&Algorithm::ALL);

    /// Both names of an Ed25519 signature.
    pub const ED25519: Self = Self::of(&[Algorithm::EdDsa, Algorithm::Ed25519]);

    /// The six RSA algorithms.
    pub const RSA: Self = Self::of(&[
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
    ]);

    /// The algorithms that SPIFFE allows in a JWT-SVID and a WIT-SVID: RS, PS and ES 256 to 512,
    /// which excludes EdDSA (JWT-SVID §2.1, WIT-SVID §2.3).
    pub const SVID: Self = Self::of(&[
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
    ]);

    /// Creates a set of these algorithms.
    #[must_use]
    pub const fn of(algorithms: &[Algorithm]) -> Self {
        let mut bits = 0;
        let mut rest = algorithms;
        while let [first, tail @ ..] = rest {
            bits |= first.bit();
            rest = tail;
        }
        Self(bits)
    }

    /// Returns whether the set contains this algorithm.
    #[must_use]
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the algorithms that are in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns whether the other set contains every algorithm of this one.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns the algorithms in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL
            .into_iter()
            .filter(move |algorithm| self.contains(*algorithm))
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Algorithm::name))
            .finish()
    }
}

impl From<Algorithm> for AlgorithmSet {
    fn from(algorithm: Algorithm) -> Self {
        Self(algorithm.bit())
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(
            algorithms
                .into_iter()
                .fold(0, |bits, algorithm| bits | algorithm.bit()),
        )
    }
}
