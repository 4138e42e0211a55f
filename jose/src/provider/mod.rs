//! Crypto providers as values.
//!
//! A provider turns key material into prepared keys. A key keeps what its provider prepared, and
//! needs no provider afterwards. [`AWS_LC`] and [`RUSTCRYPTO`] give the same result for the same
//! bytes. Libraries differ in signature lengths, ranges of r, s and S, weak Ed25519 points and RSA
//! sizes; [`crate::key`] and [`crate::jwk`] check these before they call a provider. Your own
//! implementation of [`Provider`] gets the same checks.
//!
//! Enabling both features adds the second value and changes no result. Only [`default`] depends on
//! the enabled features, in its documented order.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "rustcrypto")]
mod rustcrypto;

use core::fmt::Debug;

use zeroize::Zeroizing;

use crate::Error;
use crate::alg::Algorithm;

/// The provider of aws-lc-rs. It supports every algorithm. Its P-256 verification is several times
/// faster than that of pure Rust.
#[cfg(feature = "aws-lc-rs")]
#[cfg_attr(docsrs, doc(cfg(feature = "aws-lc-rs")))]
pub static AWS_LC: &dyn Provider = &aws_lc::AwsLc;

/// The provider in pure Rust (`p256`, `p384`, `ed25519-dalek`, `rsa`). It supports every algorithm
/// except ES512.
///
/// **RSA signing** with it is exposed to timing attacks, RUSTSEC-2023-0071 ("Marvin"): the private
/// operation of the crate `rsa` does not run in constant time. Blinding reduces the leak and does
/// not remove it. Do not sign with RSA by this provider if an attacker can measure the time. RSA
/// verification uses no secret and is not affected.
#[cfg(feature = "rustcrypto")]
#[cfg_attr(docsrs, doc(cfg(feature = "rustcrypto")))]
pub static RUSTCRYPTO: &dyn Provider = &rustcrypto::RustCrypto;

/// Returns the first of [`AWS_LC`] and [`RUSTCRYPTO`] that is compiled in.
///
/// It is for programs, not for libraries: features that another crate enables can change its
/// result.
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

/// Returns the provider that `default` returns, or `None` if no provider is compiled in. It exists
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
    /// Returns the name in `crv` (RFC 7518 §6.2.1.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Returns the length of a coordinate, of a private scalar, of r and of s: 32, 48 or 66 bytes.
    #[must_use]
    pub const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Returns the algorithm of the curve (RFC 7518 §3.4).
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
        }
    }
}

/// Public key material for a provider. Lengths, sizes and encodings were checked. The provider
/// checks whether a point lies on its curve.
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
        /// The point, `1 + 2 *` [`Curve::field_len`] bytes.
        point: Box<[u8]>,
    },
    /// An Ed25519 key: canonical and not of small order.
    Ed25519 {
        /// The 32 bytes of RFC 8032.
        point: [u8; 32],
    },
    /// An RSA key: an odd modulus of 2048 to 4096 bits, and an odd exponent from 3 to 33 bits.
    Rsa {
        /// The modulus, big endian without leading zeros.
        n: Box<[u8]>,
        /// The exponent, big endian without leading zeros.
        e: Box<[u8]>,
    },
}

impl PublicKey {
    /// Returns whether this kind of key can be used with the algorithm.
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
    /// Returns whether the signature, in its JOSE encoding, is that of the message. Lengths and
    /// ranges were checked. Many threads may call it at once; it must not wait.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;

    /// Returns the same as [`verify`](Self::verify), for a message with this SHA-256. A key whose
    /// algorithm signs that hash, such as ES256, does not compute it again.
    ///
    /// The caller has computed the hash from the message. By default, the method ignores it.
    fn verify_hashed(&self, message: &[u8], sha256: &[u8; 32], signature: &[u8]) -> bool {
        let _unneeded = sha256;
        self.verify(message, signature)
    }
}

/// A private key loaded for one algorithm, with its public key.
///
/// Its `Debug` must not print key material, and dropping it must wipe its memory.
pub trait PrivateKey: Debug + Send + Sync {
    /// Returns the public key, computed from the private key.
    fn public_key(&self) -> PublicKey;

    /// Appends the signature of the message, in its JOSE encoding, to `signature`.
    ///
    /// # Errors
    ///
    /// `key.sign` if the library fails.
    fn sign(&self, message: &[u8], signature: &mut Vec<u8>) -> Result<(), Error>;
}

/// A crypto library. The trait is dyn-compatible. See the [module](self) for the checks around it.
pub trait Provider: Debug + Send + Sync {
    /// Returns a short name for messages.
    fn name(&self) -> &'static str;

    /// Returns whether it can sign and verify with this algorithm.
    fn supports(&self, algorithm: Algorithm) -> bool;

    /// Prepares a public key for one algorithm that [fits](PublicKey::fits) it.
    ///
    /// # Errors
    ///
    /// `jwk.point` if the point is not on the curve; `jwk.rsa_modulus` for a key that the library
    /// refuses; `key.unsupported`.
    fn prepare(&self, algorithm: Algorithm, key: &PublicKey)
    -> Result<Box<dyn PreparedKey>, Error>;

    /// Loads a private key from PKCS#8 version 1 in DER (RFC 5958). EC keys have no public key; the
    /// implementation computes it.
    ///
    /// # Errors
    ///
    /// `key.pkcs8` if the library refuses the key; `key.unsupported`.
    fn load(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, Error>;

    /// Generates an RSA key with this number of bits, as PKCS#8 in DER. Keys of other kinds are
    /// random bytes from [`crate::random::SYSTEM`].
    ///
    /// # Errors
    ///
    /// `key.generate`.
    fn generate_rsa(&self, bits: u16) -> Result<Zeroizing<Vec<u8>>, Error>;
}

/// Returns the error for an algorithm that a provider does not support.
#[cfg(feature = "rustcrypto")]
pub(crate) fn unsupported(provider: &dyn Provider, algorithm: Algorithm) -> Error {
    Error::Unsupported {
        algorithm,
        provider: provider.name(),
    }
}
