//! Keys, and where they are found.
//!
//! The two kinds are apart: a public key never becomes a shared one, whatever a message calls it
//! (RFC 9421 §7.3.3).

mod set;
mod shared;

use std::fmt::Debug;
use std::sync::Arc;

use aims_error::shown;
use aims_jose::key::VerifyingKey;

pub use shared::{SharedKey, SharedKeys};

use crate::{Algorithm, Error, Parameters};

/// A key that verifies signatures.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "RFC 9421 has these two kinds")]
pub enum Key {
    /// The public key of the signer.
    Public(VerifyingKey),
    /// A key that the signer has as well.
    Shared(SharedKey),
}

impl Key {
    /// The algorithm of this key, which `alg` can only repeat (RFC 9421 §7.3.6). Where a key has
    /// several, `alg` chooses one of them.
    ///
    /// # Errors
    ///
    /// `sig.algorithm`; `sig.key_ambiguous` where it has several and `alg` is not there.
    pub(crate) fn algorithm(&self, alg: Option<&str>) -> Result<Algorithm, Error> {
        let has = |algorithm: &Algorithm| match self {
            Self::Public(key) => algorithm.within(key.algorithms()).is_some(),
            Self::Shared(_) => *algorithm == Algorithm::HmacSha256,
        };
        if let Some(name) = alg {
            return Algorithm::from_name(name)
                .filter(has)
                .ok_or_else(|| self.other_algorithm(Some(name)));
        }
        let mut all = Algorithm::ALL.iter().copied().filter(has);
        match (all.next(), all.next()) {
            (Some(algorithm), None) => Ok(algorithm),
            (Some(_), Some(_)) => Err(Error::AlgorithmAmbiguous),
            (None, _) => Err(Error::AlgorithmNone),
        }
    }

    /// # Errors
    ///
    /// `sig.signature`, opaque on purpose.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        base: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        match self {
            Self::Public(key) => {
                let name = algorithm.within(key.algorithms());
                let name = name.ok_or_else(|| self.other_algorithm(Some(algorithm.name())))?;
                key.verify(name, base, signature)
                    .map_err(|_opaque| Error::Signature)
            }
            Self::Shared(key) => key.verify(base, signature),
        }
    }

    /// The signature names this algorithm, and the key has others.
    pub(crate) fn other_algorithm(&self, found: Option<&str>) -> Error {
        match self {
            Self::Public(key) => other_algorithm(found, &[key]),
            Self::Shared(_) => Error::Algorithm {
                found: shown(found),
                expected: shown([Algorithm::HmacSha256.name()]),
            },
        }
    }

    /// What stands for the key where nonces are remembered.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Public(key) => key.thumbprint().to_string(),
            Self::Shared(key) => key.identity(),
        }
    }
}

impl From<VerifyingKey> for Key {
    fn from(key: VerifyingKey) -> Self {
        Self::Public(key)
    }
}

impl From<SharedKey> for Key {
    fn from(key: SharedKey) -> Self {
        Self::Shared(key)
    }
}

/// Finds the key of a signature, by `keyid`, by `tag` or by whatever else its parameters say.
/// Nothing of them is verified yet.
///
/// [`VerifyingKey`] and [`SharedKey`] are the one key there is, [`JwkSet`](aims_jose::jwk::JwkSet)
/// and [`SharedKeys`] are looked up by `keyid`.
///
/// A JWK set that belongs to none of the protocols that [`SetRules`](aims_jose::jwk::SetRules)
/// names is read by `SetRules::wimse().exact()`: `use` is absent or `sig`, no `kid` stands twice,
/// and an RSA key says by `alg` what it is for (`PS512` for `rsa-pss-sha512`, `RS256` for
/// `rsa-v1_5-sha256`).
///
/// Another one, which has a key for each purpose:
///
/// ```
/// use aims_http_sig::{Error, Key, Keys, Parameters};
/// use aims_jose::key::VerifyingKey;
///
/// #[derive(Debug)]
/// struct ByPurpose { payments: VerifyingKey }
///
/// impl Keys for ByPurpose {
///     fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
///         match parameters.tag().as_deref() {
///             Some("payments") => Ok(self.payments.clone().into()),
///             _ => Err(Error::KeyUnknown),
///         }
///     }
/// }
/// ```
pub trait Keys: Debug + Send + Sync {
    /// The one key of this signature.
    ///
    /// # Errors
    ///
    /// `sig.key_unknown`, `sig.key_ambiguous`, `sig.algorithm`.
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error>;
}

impl<K: Keys + ?Sized> Keys for &K {
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        (**self).find(parameters)
    }
}

impl<K: Keys + ?Sized> Keys for Arc<K> {
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        (**self).find(parameters)
    }
}

impl Keys for VerifyingKey {
    /// This key, unless `keyid` names another one: it must be the `kid` or the thumbprint, where
    /// the key has a `kid` (RFC 9421 §3.2, step 5).
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        match (parameters.key_id(), self.key_id()) {
            (Some(id), Some(own)) if id != own && !set::is_thumbprint(&id, self) => {
                Err(Error::KeyUnknown)
            }
            _ => Ok(Key::Public(self.clone())),
        }
    }
}

/// The signature names this algorithm, and these keys have others.
fn other_algorithm(found: Option<&str>, keys: &[&VerifyingKey]) -> Error {
    let has = |algorithm: &&Algorithm| {
        let mut keys = keys.iter();
        keys.any(|key| algorithm.within(key.algorithms()).is_some())
    };
    Error::Algorithm {
        found: shown(found),
        expected: shown(Algorithm::ALL.iter().filter(has).map(|it| it.name())),
    }
}
