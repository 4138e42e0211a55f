//! Keys, and the lookup of keys.
//!
//! Public and shared keys are different types: a public key is never used as a shared key, whatever
//! a message states (RFC 9421 §7.3.3).

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
    /// A secret key that the signer has as well.
    Shared(SharedKey),
}

impl Key {
    /// Returns the algorithm of this key. `alg` may only repeat it (RFC 9421 §7.3.6), or choose one
    /// if the key has several.
    ///
    /// # Errors
    ///
    /// `sig.algorithm` for another `alg`; `sig.key_ambiguous` if the key has several algorithms and
    /// the signature has no `alg`.
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

    /// Verifies a signature over these bytes.
    ///
    /// # Errors
    ///
    /// `sig.signature`, deliberately unspecific.
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

    /// Returns the error for a signature whose `alg` is not an algorithm of the key.
    pub(crate) fn other_algorithm(&self, found: Option<&str>) -> Error {
        match self {
            Self::Public(key) => other_algorithm(found, &[key]),
            Self::Shared(_) => Error::Algorithm {
                found: shown(found),
                expected: shown([Algorithm::HmacSha256.name()]),
            },
        }
    }

    /// Returns the name of the key that scopes its nonces in a replay store.
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

/// Finds the key of a signature by its parameters, such as `keyid` or `tag`. The parameters are not
/// verified yet.
///
/// [`VerifyingKey`] and [`SharedKey`] implement it for a single key.
/// [`JwkSet`](aims_jose::jwk::JwkSet) and [`SharedKeys`] look a key up by `keyid`.
///
/// Parse a JWK set of another protocol than those that [`SetRules`](aims_jose::jwk::SetRules) names
/// with `SetRules::wimse().exact()`. There `use` is absent or `sig`, no `kid` occurs twice, and an
/// RSA key states its algorithm in `alg` (`PS512` for `rsa-pss-sha512`, `RS256` for
/// `rsa-v1_5-sha256`).
///
/// This example selects a key by purpose:
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
    /// Returns the one key of this signature.
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
    /// Returns this key, unless `keyid` names another one. If the key has a `kid`, `keyid` must be
    /// the `kid` or the thumbprint (RFC 9421 §3.2, step 5).
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        match (parameters.key_id(), self.key_id()) {
            (Some(id), Some(own)) if id != own && !set::is_thumbprint(&id, self) => {
                Err(Error::KeyUnknown)
            }
            _ => Ok(Key::Public(self.clone())),
        }
    }
}

/// Returns the error for a signature whose `alg` is not an algorithm of these keys.
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
