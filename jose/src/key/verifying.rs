//! Keys that verify.

use core::fmt;
use std::sync::{Arc, OnceLock};

use super::checks::is_well_formed;
use crate::Error;
use crate::alg::{Algorithm, AlgorithmSet};
use crate::jwk::{Jwk, Thumbprint};
use crate::provider::{PreparedKey, Provider};

/// A public key, checked and prepared once, that verifies with its own algorithms.
///
/// Clones share the prepared key. Verification takes no lock and allocates nothing. Each algorithm
/// has its own prepared form, so a verification is one virtual call.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    jwk: Jwk,
    /// Computed when it is first needed.
    thumbprint: OnceLock<Thumbprint>,
    algorithms: AlgorithmSet,
    prepared: Vec<(AlgorithmSet, Arc<dyn PreparedKey>)>,
}

impl VerifyingKey {
    /// Prepares a public key for the algorithms that it names or implies ([`Jwk::algorithms`]).
    /// `use`, if present, must be `sig`, and `key_ops` must contain `verify` (RFC 7517 §4.2-4.3).
    ///
    /// ```
    /// # #[cfg(feature = "aws-lc-rs")] {
    /// use aims_jose::jwk::Jwk;
    /// use aims_jose::key::VerifyingKey;
    /// use aims_jose::provider::AWS_LC;
    ///
    /// let jwk = Jwk::parse(br#"{"kty":"OKP","crv":"Ed25519",
    ///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
    /// let key = VerifyingKey::from_jwk(&jwk, AWS_LC)?;
    /// assert_eq!(key.thumbprint(), &jwk.thumbprint());
    /// # }
    /// # Ok::<(), aims_jose::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `jwk.alg` if an RSA key has no `alg`; `jwk.use`, `jwk.key_ops`, `jwk.point`,
    /// `key.unsupported`.
    pub fn from_jwk(jwk: &Jwk, provider: &'static dyn Provider) -> Result<Self, Error> {
        if jwk.key_use().is_some_and(|found| found != "sig") {
            return Err(Error::JwkUse);
        }
        Self::with_algorithms(jwk.clone(), jwk.algorithms(), provider)
    }

    pub(crate) fn with_algorithms(
        jwk: Jwk,
        algorithms: AlgorithmSet,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        if jwk
            .key_ops()
            .is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
        {
            return Err(Error::JwkKeyOps);
        }
        if algorithms.is_empty() {
            return Err(Error::JwkAlgorithm);
        }
        let mut prepared: Vec<(AlgorithmSet, Arc<dyn PreparedKey>)> = Vec::new();
        for algorithm in algorithms.iter() {
            if !jwk.public_key().fits(algorithm) {
                return Err(Error::JwkAlgorithm);
            }
            if !provider.supports(algorithm) {
                return Err(Error::Unsupported {
                    algorithm,
                    provider: provider.name(),
                });
            }
            // Both names of Ed25519 are one algorithm.
            if let (Algorithm::Ed25519, Some((names, _))) = (algorithm, prepared.first_mut()) {
                *names = algorithms;
                continue;
            }
            let key = provider.prepare(algorithm, jwk.public_key())?;
            prepared.push((algorithm.into(), Arc::from(key)));
        }
        Ok(Self(Arc::new(Inner {
            jwk,
            thumbprint: OnceLock::new(),
            algorithms,
            prepared,
        })))
    }

    /// Returns the same key under another `kid`.
    pub(crate) fn with_key_id(&self, key_id: String) -> Self {
        let mut inner = (*self.0).clone();
        inner.jwk = inner.jwk.with_key_id(key_id);
        Self(Arc::new(inner))
    }

    /// Returns the algorithms that it verifies with.
    #[must_use]
    pub fn algorithms(&self) -> AlgorithmSet {
        self.0.algorithms
    }

    /// Returns its `kid`, an opaque name for comparison only (RFC 7517 §4.5).
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.0.jwk.key_id()
    }

    /// Returns its thumbprint (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        let Inner {
            thumbprint, jwk, ..
        } = &*self.0;
        thumbprint.get_or_init(|| jwk.thumbprint())
    }

    /// Returns the JWK that it was made from.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.0.jwk
    }

    /// Verifies the signature of a message, in its JOSE encoding.
    ///
    /// # Errors
    ///
    /// `jws.algorithm` if the key is not for this algorithm, which is checked before any
    /// cryptography; `jws.signature` for every other defect.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        self.check(algorithm, signature, |key| key.verify(message, signature))
    }

    /// Verifies the signature of a message whose SHA-256 the caller has computed.
    pub(crate) fn verify_hashed(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        sha256: &[u8; 32],
        signature: &[u8],
    ) -> Result<(), Error> {
        self.check(algorithm, signature, |key| {
            key.verify_hashed(message, sha256, signature)
        })
    }

    fn check(
        &self,
        algorithm: Algorithm,
        signature: &[u8],
        verify: impl FnOnce(&dyn PreparedKey) -> bool,
    ) -> Result<(), Error> {
        let (_, key) = self
            .0
            .prepared
            .iter()
            .find(|(names, _)| names.contains(algorithm))
            .ok_or(Error::AlgorithmMismatch { algorithm })?;
        let well_formed = is_well_formed(algorithm, self.0.jwk.public_key(), signature);
        if well_formed && verify(&**key) {
            Ok(())
        } else {
            Err(Error::Signature)
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("key_id", &self.key_id())
            .field("algorithms", &self.0.algorithms)
            .field("thumbprint", self.thumbprint())
            .finish()
    }
}
