//! Lookup of keys in a JWK set.

use aims_jose::jwk::{JwkSet, Thumbprint};
use aims_jose::key::VerifyingKey;

use super::{Key, Keys, other_algorithm};
use crate::{Algorithm, Error, Parameters};

impl Keys for JwkSet {
    /// Returns the key whose `kid` or thumbprint (RFC 7638) is `keyid`; without `keyid`, the only
    /// key of the set. If several fit, `alg` must select one.
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        let id = parameters.key_id();
        let alg = parameters.alg();
        let named = |key: &&VerifyingKey| {
            id.as_deref()
                .is_none_or(|id| key.key_id() == Some(id) || is_thumbprint(id, key))
        };
        let of_alg = |key: &&VerifyingKey| {
            alg.as_deref().is_none_or(|name| {
                Algorithm::from_name(name).is_some_and(|alg| alg.within(key.algorithms()).is_some())
            })
        };
        let mut fitting = self.iter().filter(named).filter(of_alg);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(Key::Public(key.clone())),
            (Some(_), Some(_)) => Err(Error::KeyAmbiguous),
            (None, _) => {
                let others: Vec<&VerifyingKey> = self.iter().filter(named).collect();
                if others.is_empty() {
                    return Err(Error::KeyUnknown);
                }
                Err(other_algorithm(alg.as_deref(), &others))
            }
        }
    }
}

/// Compares only a text with the shape of a thumbprint, so that other texts cost no hash.
pub(super) fn is_thumbprint(id: &str, key: &VerifyingKey) -> bool {
    id.parse::<Thumbprint>()
        .is_ok_and(|thumbprint| thumbprint == *key.thumbprint())
}
