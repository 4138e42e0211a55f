//! Crypto providers as values.
//!
//! A provider turns key material into prepared keys; a key keeps what its provider made and never
//! asks for a provider again. [`AWS_LC`] and [`RUSTCRYPTO`] give the same answers to the same
//! bytes: what differs between libraries (signature lengths, ranges of r, s and S, weak Ed25519
//! points, RSA sizes) is decided before a provider is asked, in [`crate::key`] and [`crate::jwk`].
//! So a third implementation of [`Provider`] gets those checks too.
//!
//! Switching on both features adds the second value and changes no verdict. Only [`default`] looks
//! at which ones are there, in its written order.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "rustcrypto")]
mod rustcrypto;

use core::fmt::Debug;

use zeroize::Zeroizing;

use crate::Error;
use crate::alg::Algorithm;

/// aws-lc-rs: every algorithm. P-256 verification is several times faster than in pure Rust.
#[cfg(feature = "aws-lc-rs")]
#[cfg_attr(docsrs, doc(cfg(feature = "aws-lc-rs")))]
pub static AWS_LC: &dyn Provider = &aws_lc::AwsLc;

/// Pure Rust (`p256`, `p384`, `ed25519-dalek`, `rsa`): every algorithm except ES512.
///
/// **RSA signing** here is exposed to timing attacks, RUSTSEC-2023-0071 ("Marvin"): the `rsa`
/// crate's private operation is not constant time. Operations are blinded, which hides much and
/// not all; do not sign with RSA by this provider where an attacker can measure the time. RSA
/// verification holds no secret and is not affected.
#[cfg(feature = "rustcrypto")]
#[cfg_attr(docsrs, doc(cfg(feature = "rustcrypto")))]
pub static RUSTCRYPTO: &dyn Provider = &rustcrypto::RustCrypto;

/// The first of [`AWS_LC`], [`RUSTCRYPTO`] that is compiled in.
///
/// For programs, not for libraries: it is the one place where a feature that another crate switches
/// on could change which code runs.
#[cfg(any(feature = "aws-lc-rs", feature = "rustcrypto"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "aws-lc-rs", feature = "rustcrypto"))))]
#[must_use]
pub fn default() -> &'static dyn Provider {
    #[cfg(feature = "aws-lc-rs")]
    {
        AWS_LC
    }
    #[cfg(not(feature = "aws-lc-rs"))]
    {
        RUSTCRYPTO
    }
}

/// The provider that `default` returns, or `None` where no provider is compiled in. It is there
/// with every set of features.
#[must_use]
pub fn compiled() -> Option<&'static dyn Provider> {
    #[cfg(any(feature = "aws-lc-rs", feature = "rustcrypto"))]
    {
        Some(default())
    }
    #[cfg(not(any(feature = "aws-lc-rs", feature = "rustcrypto")))]
    {
        None
    }
}

/// An elliptic curve for ECDSA.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "one for each ECDSA algorithm, which are exhaustive too"
)]
pub enum Curve {
    /// NIST P-256, for ES256.
    P256,
    /// NIST P-384, for ES384.
    P384,
    /// NIST P-521, for ES512.
    P521,
}

impl Curve {
    /// The name in `crv` (RFC 7518 §6.2.1.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The length of a coordinate, of a private scalar, of r and of s: 32, 48 or 66 bytes.
    #[must_use]
    pub const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The one algorithm of the curve (RFC 7518 §3.4).
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
        }
    }
}

/// Public key material, as a provider gets it: lengths, sizes and encodings have been checked.
/// Whether a point lies on its curve is for the provider to say.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a provider must handle every kind of key"
)]
pub enum PublicKey {
    /// A point of a NIST curve, uncompressed: `04 ‖ x ‖ y`.
    Ec {
        /// The curve.
        curve: Curve,
        /// `1 + 2 *` [`Curve::field_len`] bytes.
        point: Box<[u8]>,
    },
    /// An Ed25519 key: canonical and not of small order.
    Ed25519 {
        /// The 32 bytes of RFC 8032.
        point: [u8; 32],
    },
    /// An RSA key: odd modulus of 2048 to 4096 bits, odd exponent of at least 3 and at most 33
    /// bits.
    Rsa {
        /// The modulus, big endian without leading zeros.
        n: Box<[u8]>,
        /// The exponent, big endian without leading zeros.
        e: Box<[u8]>,
    },
}

impl PublicKey {
    /// Whether this kind of key can be used with the algorithm at all.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Ec { curve, .. } => curve.algorithm() == algorithm,
            Self::Ed25519 { .. } => {
                matches!(algorithm, Algorithm::EdDsa | Algorithm::Ed25519)
            }
            Self::Rsa { .. } => algorithm.is_rsa(),
        }
    }
}

/// A public key prepared for one algorithm.
pub trait PreparedKey: Debug + Send + Sync {
    /// Whether the signature, in its JOSE encoding, is that of the message. Lengths and ranges have
    /// been checked. Must be ready to be called from many threads at once without waiting.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// A private key loaded for one algorithm, with its public half inside.
///
/// Its `Debug` must not print key material, and dropping it must wipe what it holds.
pub trait PrivateKey: Debug + Send + Sync {
    /// The public half, computed from the private one.
    fn public_key(&self) -> PublicKey;

    /// Appends the signature of the message in its JOSE encoding to `signature`.
    ///
    /// # Errors
    ///
    /// `key.sign` where the library fails.
    fn sign(&self, message: &[u8], signature: &mut Vec<u8>) -> Result<(), Error>;
}

/// A crypto library. Object safe; see the [module](self) for what is checked around it.
pub trait Provider: Debug + Send + Sync {
    /// A short name for messages.
    fn name(&self) -> &'static str;

    /// Whether it can sign and verify with this algorithm.
    fn supports(&self, algorithm: Algorithm) -> bool;

    /// Prepares a public key for one algorithm that [fits](PublicKey::fits) it.
    ///
    /// # Errors
    ///
    /// `jwk.point` where the point is not on the curve, `jwk.rsa_modulus` for a key that the
    /// library does not take, `key.unsupported`.
    fn prepare(&self, algorithm: Algorithm, key: &PublicKey)
    -> Result<Box<dyn PreparedKey>, Error>;

    /// Loads a private key from PKCS#8 version 1 in DER (RFC 5958). EC keys come without their
    /// public half, which is computed.
    ///
    /// # Errors
    ///
    /// `key.pkcs8` where the library does not take the key, `key.unsupported`.
    fn load(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, Error>;

    /// Generates an RSA key of that many bits, as PKCS#8 in DER. Keys of the other kinds are random
    /// bytes, which come from [`crate::random::SYSTEM`].
    ///
    /// # Errors
    ///
    /// `key.generate`.
    fn generate_rsa(&self, bits: u16) -> Result<Zeroizing<Vec<u8>>, Error>;
}

/// The error for an algorithm that a provider leaves out.
#[cfg(feature = "rustcrypto")]
pub(crate) fn unsupported(provider: &dyn Provider, algorithm: Algorithm) -> Error {
    Error::Unsupported {
        algorithm,
        provider: provider.name(),
    }
}
