//! The algorithms of RFC 9421 §3.3.

use std::fmt;

use aims_jose::alg::{Algorithm as JwsAlgorithm, AlgorithmSet as JwsAlgorithms};

/// An algorithm of the registry "HTTP Signature Algorithms". More algorithms may be registered
/// later.
///
/// It differs from the `alg` of a JWK, [`aims_jose::alg::Algorithm`]. [`of_jws`](Self::of_jws)
/// converts from that type.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Algorithm {
    /// `ecdsa-p256-sha256`: r ‖ s, 64 bytes (RFC 9421 §3.3.4).
    EcdsaP256Sha256,
    /// `ecdsa-p384-sha384`: r ‖ s, 96 bytes (RFC 9421 §3.3.5).
    EcdsaP384Sha384,
    /// `ed25519` (RFC 9421 §3.3.6).
    Ed25519,
    /// `hmac-sha256`, for a [`SharedKey`](crate::SharedKey) (RFC 9421 §3.3.3).
    HmacSha256,
    /// `rsa-pss-sha512` with a salt of 64 bytes (RFC 9421 §3.3.1).
    RsaPssSha512,
    /// `rsa-v1_5-sha256` (RFC 9421 §3.3.2).
    RsaV15Sha256,
}

impl Algorithm {
    /// All algorithms that this crate supports.
    pub const ALL: &'static [Self] = &[
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::Ed25519,
        Self::HmacSha256,
        Self::RsaPssSha512,
        Self::RsaV15Sha256,
    ];

    /// Returns the registered name, the value of the parameter `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::Ed25519 => "ed25519",
            Self::HmacSha256 => "hmac-sha256",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }

    /// Returns the algorithm with this name, compared byte for byte.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.name() == name)
    }

    /// Returns the algorithm of a key with this JWS algorithm, or `None` if RFC 9421 has none.
    #[must_use]
    pub const fn of_jws(algorithm: JwsAlgorithm) -> Option<Self> {
        match algorithm {
            JwsAlgorithm::EdDsa | JwsAlgorithm::Ed25519 => Some(Self::Ed25519),
            JwsAlgorithm::Es256 => Some(Self::EcdsaP256Sha256),
            JwsAlgorithm::Es384 => Some(Self::EcdsaP384Sha384),
            JwsAlgorithm::Ps512 => Some(Self::RsaPssSha512),
            JwsAlgorithm::Rs256 => Some(Self::RsaV15Sha256),
            _ => None,
        }
    }

    /// Returns the JWS algorithms that correspond to this one; none for `hmac-sha256`.
    pub(crate) const fn jws(self) -> &'static [JwsAlgorithm] {
        match self {
            Self::EcdsaP256Sha256 => &[JwsAlgorithm::Es256],
            Self::EcdsaP384Sha384 => &[JwsAlgorithm::Es384],
            Self::Ed25519 => &[JwsAlgorithm::EdDsa, JwsAlgorithm::Ed25519],
            Self::HmacSha256 => &[],
            Self::RsaPssSha512 => &[JwsAlgorithm::Ps512],
            Self::RsaV15Sha256 => &[JwsAlgorithm::Rs256],
        }
    }

    /// Returns the JWS name that a key has for this algorithm.
    pub(crate) fn within(self, key: JwsAlgorithms) -> Option<JwsAlgorithm> {
        self.jws().iter().copied().find(|name| key.contains(*name))
    }

    /// Returns the length of a signature in bytes, or `None` if it depends on the key (RSA).
    #[must_use]
    pub const fn signature_len(self) -> Option<usize> {
        match self {
            Self::EcdsaP256Sha256 | Self::Ed25519 => Some(64),
            Self::EcdsaP384Sha384 => Some(96),
            Self::HmacSha256 => Some(32),
            Self::RsaPssSha512 | Self::RsaV15Sha256 => None,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::EcdsaP256Sha256 => 1,
            Self::EcdsaP384Sha384 => 1 << 1,
            Self::Ed25519 => 1 << 2,
            Self::HmacSha256 => 1 << 3,
            Self::RsaPssSha512 => 1 << 4,
            Self::RsaV15Sha256 => 1 << 5,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of algorithms that a policy allows.
///
/// ```
/// use aims_http_sig::{Algorithm, Algorithms};
/// assert!(Algorithms::PUBLIC_KEY.contains(Algorithm::Ed25519));
/// assert!(!Algorithms::PUBLIC_KEY.contains(Algorithm::HmacSha256));
/// ```
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Algorithms(u8);

impl Algorithms {
    /// The five algorithms with a public key, which excludes `hmac-sha256`.
    pub const PUBLIC_KEY: Self = Self::of(&[
        Algorithm::EcdsaP256Sha256,
        Algorithm::EcdsaP384Sha384,
        Algorithm::Ed25519,
        Algorithm::RsaPssSha512,
        Algorithm::RsaV15Sha256,
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
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = |algorithm: &Algorithm| self.contains(*algorithm);
        f.debug_set()
            .entries(
                Algorithm::ALL
                    .iter()
                    .filter(|one| held(one))
                    .map(|one| one.name()),
            )
            .finish()
    }
}
