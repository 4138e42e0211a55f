//! Shared keys, for `hmac-sha256` (RFC 9421 §3.3.3).

use std::fmt;
use std::sync::Arc;

use aims_jose::digest::sha256;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Key, Keys};
use crate::{Error, Parameters};

/// Minimum length of a shared key: 32 bytes, the length of the MAC (RFC 2104 §3).
const LEAST: usize = 32;

/// A secret key that signer and verifier share. Each verifier can also sign with it.
///
/// It is wiped from memory when the last clone is dropped. `Debug` prints the id only. A policy
/// accepts it only if it [allows](crate::Policy::with_algorithms) `hmac-sha256`.
///
/// ```
/// use aims_http_sig::SharedKey;
///
/// let key = SharedKey::new("gateway-1", [7; 32])?;
/// assert_eq!(format!("{key:?}"), r#"SharedKey("gateway-1")"#);
/// assert_eq!(SharedKey::new("short", [7; 31]).unwrap_err().code(), "sig.shared_key");
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedKey {
    id: Arc<str>,
    /// The key as one block: padded with zeros, or hashed if it is longer (RFC 2104 §2).
    block: Arc<Zeroizing<[u8; 64]>>,
}

impl SharedKey {
    /// Creates a key from at least 32 random bytes, with its `keyid`.
    ///
    /// # Errors
    ///
    /// `sig.shared_key` if it is shorter.
    pub fn new(id: impl Into<Arc<str>>, secret: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let secret = Zeroizing::new(secret.into());
        if secret.len() < LEAST {
            return Err(Error::SharedKey { least: LEAST });
        }
        let mut block = Zeroizing::new([0; 64]);
        let hash = Zeroizing::new(sha256(&secret));
        let bytes: &[u8] = if secret.len() > block.len() {
            &*hash
        } else {
            &secret
        };
        block
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        Ok(Self {
            id: id.into(),
            block: Arc::new(block),
        })
    }

    /// Returns the `keyid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn sign(&self, base: &[u8]) -> Vec<u8> {
        self.mac(base).finalize().into_bytes().to_vec()
    }

    /// Verifies in constant time.
    pub(super) fn verify(&self, base: &[u8], signature: &[u8]) -> Result<(), Error> {
        self.mac(base)
            .verify_slice(signature)
            .map_err(|_opaque| Error::Signature)
    }

    fn mac(&self, base: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new((&**self.block).into());
        mac.update(base);
        mac
    }

    pub(super) fn identity(&self) -> String {
        format!("hmac-sha256 {}", self.id)
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedKey").field(&self.id).finish()
    }
}

impl Keys for SharedKey {
    /// Returns this key, unless `keyid` names another one.
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        match parameters.key_id() {
            Some(id) if id != self.id() => Err(Error::KeyUnknown),
            _ => Ok(Key::Shared(self.clone())),
        }
    }
}

/// Several shared keys, looked up by `keyid`.
#[derive(Clone, Debug, Default)]
pub struct SharedKeys(Vec<SharedKey>);

impl Keys for SharedKeys {
    /// Returns the key with this id; without `keyid`, the only key.
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        let id = parameters.key_id();
        let mut fitting = self
            .0
            .iter()
            .filter(|key| id.as_deref().is_none_or(|id| id == key.id()));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(Key::Shared(key.clone())),
            (Some(_), Some(_)) => Err(Error::KeyAmbiguous),
            (None, _) => Err(Error::KeyUnknown),
        }
    }
}

impl FromIterator<SharedKey> for SharedKeys {
    fn from_iter<I: IntoIterator<Item = SharedKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}
