//! A signer that is local or remote.

use core::fmt;
use std::sync::Arc;

use super::{AsyncSigner, SignFuture, Signer};
use crate::alg::Algorithm;

/// A signer in this process, or one in a device or behind a network. It is for code that accepts
/// both.
///
/// Create it from an `Arc` of a [`Signer`], or from an `Arc<dyn AsyncSigner>`. Sign with
/// [`AsyncSigner::sign_async`]. If [`local`](Self::local) returns a signer, you can also sign
/// without waiting.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use std::sync::Arc;
///
/// use aims_jose::Algorithm;
/// use aims_jose::key::{AnySigner, AsyncSigner, SignFuture, Signature, SigningKey};
/// use aims_jose::provider::AWS_LC;
///
/// struct Kms;
///
/// impl AsyncSigner for Kms {
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::Es256
///     }
///     fn key_id(&self) -> Option<&str> {
///         Some("key-1")
///     }
///     fn sign_async<'a>(&'a self, _message: &'a [u8]) -> SignFuture<'a> {
///         Box::pin(async { Ok(Signature::from_bytes(vec![0; 64])) })
///     }
/// }
///
/// let remote = AnySigner::remote(Kms);
/// assert!(remote.local().is_none());
///
/// let local = AnySigner::from(Arc::new(SigningKey::generate(Algorithm::Es256, AWS_LC)?));
/// assert!(local.local().is_some());
/// # }
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum AnySigner {
    /// Signs at once.
    Local(Arc<dyn Signer>),
    /// Signs after a call to a device or a service.
    Remote(Arc<dyn AsyncSigner>),
}

impl AnySigner {
    /// Wraps a signer in a device or behind a network.
    #[must_use]
    pub fn remote(signer: impl AsyncSigner + 'static) -> Self {
        Self::Remote(Arc::new(signer))
    }

    /// Returns the algorithm that it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Local(signer) => Signer::algorithm(signer),
            Self::Remote(signer) => signer.algorithm(),
        }
    }

    /// Returns the `kid` for headers.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        match self {
            Self::Local(signer) => Signer::key_id(signer),
            Self::Remote(signer) => signer.key_id(),
        }
    }

    /// Returns the signer, if it signs without waiting.
    #[must_use]
    pub const fn local(&self) -> Option<&Arc<dyn Signer>> {
        match self {
            Self::Local(signer) => Some(signer),
            Self::Remote(_) => None,
        }
    }
}

impl AsyncSigner for AnySigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm()
    }

    fn key_id(&self) -> Option<&str> {
        self.key_id()
    }

    fn sign_async<'a>(&'a self, message: &'a [u8]) -> SignFuture<'a> {
        match self {
            Self::Local(signer) => Box::pin(core::future::ready(signer.sign(message))),
            Self::Remote(signer) => signer.sign_async(message),
        }
    }
}

impl<S: Signer + 'static> From<Arc<S>> for AnySigner {
    fn from(signer: Arc<S>) -> Self {
        Self::Local(signer)
    }
}

impl From<Arc<dyn Signer>> for AnySigner {
    fn from(signer: Arc<dyn Signer>) -> Self {
        Self::Local(signer)
    }
}

impl From<Arc<dyn AsyncSigner>> for AnySigner {
    fn from(signer: Arc<dyn AsyncSigner>) -> Self {
        Self::Remote(signer)
    }
}

impl fmt::Debug for AnySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(match self {
            Self::Local(_) => "Local",
            Self::Remote(_) => "Remote",
        })
        .field("algorithm", &self.algorithm())
        .field("key_id", &self.key_id())
        .finish_non_exhaustive()
    }
}
