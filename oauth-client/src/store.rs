//! Stores of tokens, which programs share and keep over restarts.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use aims_jose::digest::sha256_base64url;
use aims_jose::secret::SecretText;

use crate::Error;

#[cfg(feature = "file-store")]
mod file;
mod record;

#[cfg(feature = "file-store")]
pub use file::FileStore;
pub(crate) use record::{Lease, Record};

/// The future of a [`TokenStore`].
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Keeps the tokens of one or more programs, each under a [key](StoreKey).
///
/// A `TokenSource` with a store renews a token once for all programs that share the store: the one
/// that renews it holds a lease, and the new refresh token is stored before the access token is
/// used.
///
/// The values are secret. [`MemoryStore`] keeps them in this process, and `FileStore` in a sealed
/// file. Needs the feature `tokio`.
pub trait TokenStore: Debug + Send + Sync {
    /// Returns the value and its version, if there is one.
    ///
    /// # Errors
    ///
    /// `store.unavailable` if the store cannot be read, and others of the store.
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>>;

    /// Replaces the value if its version is still this one, or if there is still none. `None` as
    /// the new value removes it. Returns the new version, or `None` if another program was faster.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<SecretText>,
    ) -> StoreFuture<'a, Option<u64>>;
}

/// The key of a stored token: a hash of its issuer, client, subject, resource, scopes,
/// authorization details and DPoP key. Tokens that differ in one of them are never mixed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StoreKey(Box<str>);

impl StoreKey {
    /// Creates the key of these parts. No two lists of parts have the same key.
    pub(crate) fn of(parts: &[Option<&str>]) -> Self {
        let mut text = String::new();
        for part in parts {
            match part {
                Some(part) => text.push_str(&format!("{}:{part}", part.len())),
                None => text.push('-'),
            }
        }
        Self(sha256_base64url(&text).into())
    }

    /// Returns the key as text: 43 characters of base64url.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Keeps tokens in memory, for sources of one process.
///
/// ```
/// use std::sync::Arc;
///
/// use aims_oauth_client::{MemoryStore, TokenStore};
///
/// let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
/// # drop(store);
/// ```
#[derive(Default)]
pub struct MemoryStore(Mutex<Values>);

#[derive(Default)]
pub(crate) struct Values {
    all: HashMap<Box<str>, (SecretText, u64)>,
    /// The last version. A version is never given twice.
    last: u64,
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Values {
    pub(crate) fn get(&self, key: &StoreKey) -> Option<(SecretText, u64)> {
        self.all.get(key.as_str()).cloned()
    }

    pub(crate) fn swap(
        &mut self,
        key: &StoreKey,
        version: Option<u64>,
        value: Option<SecretText>,
    ) -> Option<u64> {
        let own = self.all.get(key.as_str()).map(|(_, version)| *version);
        if own != version {
            return None;
        }
        self.last = self.last.saturating_add(1);
        match value {
            Some(value) => self.all.insert(key.as_str().into(), (value, self.last)),
            None => self.all.remove(key.as_str()),
        };
        Some(self.last)
    }
}

impl TokenStore for MemoryStore {
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = values.get(key);
        Box::pin(std::future::ready(Ok(found)))
    }

    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<SecretText>,
    ) -> StoreFuture<'a, Option<u64>> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let swapped = values.swap(key, version, value);
        Box::pin(std::future::ready(Ok(swapped)))
    }
}

impl Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
