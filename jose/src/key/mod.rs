//! Keys that verify and keys that sign.
//!
//! An algorithm is a property of a key: it comes from `alg`, or from the curve. The header of a
//! token can only repeat it.

mod any;
mod checks;
pub(crate) mod der;
mod field;
mod pem;
pub(crate) mod pkcs8;
mod signing;
mod verifying;

use core::fmt;
use core::pin::Pin;

pub use any::AnySigner;
pub use signing::SigningKey;
pub use verifying::VerifyingKey;

pub(crate) use checks::{check_ed25519, check_rsa};

use crate::Error;
use crate::alg::Algorithm;

/// A signature in its JOSE encoding: `r ‖ s` for ECDSA (RFC 7518 §3.4), raw bytes otherwise.
#[derive(Clone, Eq, PartialEq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// Wraps the bytes that a device or service returned.
    ///
    /// ECDSA signatures must be `r ‖ s`. Most services return DER, which the caller must convert
    /// first.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} bytes)", self.0.len())
    }
}

/// Signs with one private key, without waiting.
///
/// [`SigningKey`] implements it. Implement it for a key in a TPM or PKCS#11 token:
///
/// ```
/// use aims_jose::key::{Signature, Signer};
/// use aims_jose::{Algorithm, Error};
///
/// struct Device;
///
/// impl Signer for Device {
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::Es256
///     }
///     fn key_id(&self) -> Option<&str> {
///         Some("slot-1")
///     }
///     fn sign(&self, _message: &[u8]) -> Result<Signature, Error> {
///         Ok(Signature::from_bytes(vec![0; 64]))
///     }
/// }
///
/// let signer: &dyn Signer = &Device;
/// assert_eq!(signer.key_id(), Some("slot-1"));
/// ```
pub trait Signer: Send + Sync {
    /// Returns the algorithm that it signs with.
    fn algorithm(&self) -> Algorithm;

    /// Returns the `kid` for headers.
    fn key_id(&self) -> Option<&str>;

    /// Signs the whole message. The implementation hashes it.
    ///
    /// # Errors
    ///
    /// `key.sign` or `key.signer_unavailable`.
    fn sign(&self, message: &[u8]) -> Result<Signature, Error>;
}

impl<S: Signer + ?Sized> Signer for &S {
    fn algorithm(&self) -> Algorithm {
        (**self).algorithm()
    }

    fn key_id(&self) -> Option<&str> {
        (**self).key_id()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        (**self).sign(message)
    }
}

impl<S: Signer + ?Sized> Signer for std::sync::Arc<S> {
    fn algorithm(&self) -> Algorithm {
        (**self).algorithm()
    }

    fn key_id(&self) -> Option<&str> {
        (**self).key_id()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        (**self).sign(message)
    }
}

/// The future of [`AsyncSigner::sign_async`].
pub type SignFuture<'a> = Pin<Box<dyn Future<Output = Result<Signature, Error>> + Send + 'a>>;

/// Signs with one private key behind a network, such as a KMS or a signing service.
///
/// Every [`Signer`] implements it too. If both traits are in scope, name the trait in the call.
/// Report failures by [`Error::signer_unavailable`], and give the call a timeout.
///
/// ```
/// use aims_jose::key::{AsyncSigner, SignFuture, Signature};
/// use aims_jose::Algorithm;
///
/// struct Kms;
///
/// impl AsyncSigner for Kms {
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::Ed25519
///     }
///     fn key_id(&self) -> Option<&str> {
///         None
///     }
///     fn sign_async<'a>(&'a self, _message: &'a [u8]) -> SignFuture<'a> {
///         Box::pin(async { Ok(Signature::from_bytes(vec![0; 64])) })
///     }
/// }
/// # let _: &dyn AsyncSigner = &Kms;
/// ```
pub trait AsyncSigner: Send + Sync {
    /// Returns the algorithm that it signs with.
    fn algorithm(&self) -> Algorithm;

    /// Returns the `kid` for headers.
    fn key_id(&self) -> Option<&str>;

    /// Signs the whole message. The implementation hashes it.
    ///
    /// # Errors
    ///
    /// Those of [`Signer::sign`].
    fn sign_async<'a>(&'a self, message: &'a [u8]) -> SignFuture<'a>;
}

impl<S: Signer + ?Sized> AsyncSigner for S {
    fn algorithm(&self) -> Algorithm {
        Signer::algorithm(self)
    }

    fn key_id(&self) -> Option<&str> {
        Signer::key_id(self)
    }

    fn sign_async<'a>(&'a self, message: &'a [u8]) -> SignFuture<'a> {
        Box::pin(core::future::ready(self.sign(message)))
    }
}
