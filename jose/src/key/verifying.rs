//! Keys that verify.

use core::fmt;
use std::sync::{Arc, OnceLock};

use super::checks::is_well_formed;
use crate::Error;
use crate::alg::{Algorithm, AlgorithmSet};
use crate::jwk::{Jwk, Thumbprint};
use crate::provider::{PreparedKey, Provider};

/// A public key, checked and prepared once, to verify with its own algorithms.
///
/// Clones share what was prepared. Verification takes no lock and allocates nothing; every
/// algorithm has its own prepared form, so it is one virtual call.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    jwk: Jwk,
    /// Worked out when it is asked for.
    thumbprint: OnceLock<Thumbprint>,
    algorithms: AlgorithmSet,
    prepared: Vec<(AlgorithmSet, Arc<dyn PreparedKey>)>,
}

impl VerifyingKey {
    /// Prepares a public key for the algorithms that it carries or implies
    /// ([`Jwk::algorithms`]). `use`, where present, must be `sig`, and `key_ops` must hold
    /// `verify` (RFC 7517 §4.2-4.3).
    ///
    /// # Errors
    ///
    /// `jwk.alg` where nothing says which algorithm an RSA key is for, `jwk.use`, `jwk.key_ops`,
    /// `jwk.point`, `key.unsupported`.
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

    /// The same key under another `kid`.
    pub(crate) fn with_key_id(&self, key_id: String) -> Self {
        let mut inner = (*self.0).clone();
        inner.jwk = inner.jwk.with_key_id(key_id);
        Self(Arc::new(inner))
    }

    /// What it may verify with.
    #[must_use]
    pub fn algorithms(&self) -> AlgorithmSet {
        self.0.algorithms
    }

    /// Its `kid`: an opaque name, to be compared and nothing else (RFC 7517 §4.5).
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.0.jwk.key_id()
    }

    /// Its thumbprint (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        let Inner {
            thumbprint, jwk, ..
        } = &*self.0;
        thumbprint.get_or_init(|| jwk.thumbprint())
    }

    /// The key that it was made of.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.0.jwk
    }

    /// Checks the signature of a message, in its JOSE encoding.
    ///
    /// # Errors
    ///
    /// `jws.algorithm` where the key is not for this algorithm (no cryptography is done then),
    /// `jws.signature` for everything else.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        let (_, key) = self
            .0
            .prepared
            .iter()
            .find(|(names, _)| names.contains(algorithm))
            .ok_or(Error::AlgorithmMismatch { algorithm })?;
        let well_formed = is_well_formed(algorithm, self.0.jwk.public_key(), signature);
        if well_formed && key.verify(message, signature) {
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
