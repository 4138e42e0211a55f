//! A token store as the credential store of rmcp's own authorization.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aims::jose::secret::SecretText;
use aims::oauth_client::{Error, StoreKey, StoreLease, StoredValue, TokenStore};
use async_trait::async_trait;
use rmcp::transport::auth::{
    AuthError, CredentialRefreshGuard, CredentialStore, StoredCredentials,
};

/// How long one process may renew, before others may.
const LONGEST: Duration = Duration::from_secs(60);
/// The maximum number of attempts to replace a value that others change.
const ATTEMPTS: usize = 32;

/// The credentials of one user for one MCP server, in a [`TokenStore`], for rmcp's
/// `AuthorizationManager`. Needs the feature `credential-store`.
///
/// Processes that share the store renew one at a time, each with the newest refresh token. If a
/// user logs out during a renewal, the renewal does not bring the credentials back. They stay apart
/// from those of a `TokenSource` in the same store, because the formats differ.
///
/// ```
/// use std::sync::Arc;
///
/// use aims::oauth_client::{MemoryStore, TokenStore};
/// use aims_rmcp::StoredLogin;
/// use rmcp::transport::auth::AuthorizationManager;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
/// let url = "https://tools.example/mcp";
/// let mut manager = AuthorizationManager::new(url).await?;
/// manager.set_credential_store(StoredLogin::new(store, url, Some("alice")));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StoredLogin {
    store: Arc<dyn TokenStore>,
    key: StoreKey,
    lease: StoreKey,
    /// The version that a renewal began with, while one is running.
    renewing: Arc<Renewing>,
}

#[derive(Default)]
struct Renewing {
    is_running: AtomicBool,
    version: Mutex<Option<u64>>,
}

/// The end of a renewal.
struct Ending {
    renewing: Arc<Renewing>,
    _lease: StoreLease,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.renewing.is_running.store(false, Ordering::Release);
    }
}

impl StoredLogin {
    /// Creates the store of this user's credentials for the MCP server at this URL.
    #[must_use]
    pub fn new(store: Arc<dyn TokenStore>, url: &str, user: Option<&str>) -> Self {
        let is_named = if user.is_some() { "user" } else { "" };
        let parts = |kind| ["rmcp", kind, url, is_named, user.unwrap_or_default()];
        Self {
            store,
            key: StoreKey::of_program(&parts("credentials")),
            lease: StoreKey::of_program(&parts("lease")),
            renewing: Arc::default(),
        }
    }

    fn set_version(&self, version: Option<u64>) {
        let own = &self.renewing.version;
        *own.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }

    fn version(&self) -> Option<u64> {
        let own = &self.renewing.version;
        *own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self) -> Result<Option<(StoredCredentials, u64)>, AuthError> {
        let found = self.store.load(&self.key).await.map_err(failed)?;
        let Some((text, version)) = found else {
            return Ok(None);
        };
        let read = serde_json::from_str(text.expose());
        Ok(Some((read.or(Err(failed(Error::StoreContent)))?, version)))
    }

    async fn replace(&self, value: Option<StoredValue>) -> Result<(), AuthError> {
        for _ in 0..ATTEMPTS {
            let found = self.store.load(&self.key).await.map_err(failed)?;
            let version = found.map(|(_, version)| version);
            if version.is_none() && value.is_none() {
                return Ok(());
            }
            let swapped = self.store.swap(&self.key, version, value.clone()).await;
            if swapped.map_err(failed)?.is_some() {
                return Ok(());
            }
        }
        Err(failed(Error::Busy))
    }
}

#[async_trait]
impl CredentialStore for StoredLogin {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        let found = self.read().await?;
        if self.renewing.is_running.load(Ordering::Acquire) {
            self.set_version(found.as_ref().map(|(_, version)| *version));
        }
        Ok(found.map(|(credentials, _)| credentials))
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        let text = serde_json::to_string(&credentials);
        let text = SecretText::new(text.or(Err(failed(Error::StoreContent)))?);
        let value = Some(StoredValue::new(text, None));
        if !self.renewing.is_running.load(Ordering::Acquire) {
            return self.replace(value).await;
        }
        if let Some(version) = self.version() {
            let swapped = self.store.swap(&self.key, Some(version), value).await;
            if let Some(version) = swapped.map_err(failed)? {
                self.set_version(Some(version));
                return Ok(());
            }
        }
        Err(AuthError::CredentialStoreError(
            "the user logged out, or in again, during the renewal".to_owned(),
        ))
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.replace(None).await
    }

    async fn on_refresh_token_rejected(
        &self,
        rejected: &StoredCredentials,
    ) -> Result<(), AuthError> {
        let Some((stored, version)) = self.read().await? else {
            return Ok(());
        };
        let text = |it: &StoredCredentials| serde_json::to_value(it).ok();
        if text(&stored) == text(rejected) {
            // Credentials that replaced them meanwhile stay.
            let swapped = self.store.swap(&self.key, Some(version), None).await;
            swapped.map_err(failed)?;
        }
        Ok(())
    }

    async fn acquire_refresh_guard(&self) -> Result<Option<CredentialRefreshGuard>, AuthError> {
        let (store, key) = (Arc::clone(&self.store), self.lease.clone());
        let lease = StoreLease::acquire(store, key, LONGEST).await;
        let lease = lease.map_err(failed)?;
        self.set_version(None);
        self.renewing.is_running.store(true, Ordering::Release);
        Ok(Some(CredentialRefreshGuard::new(Ending {
            renewing: Arc::clone(&self.renewing),
            _lease: lease,
        })))
    }
}

/// Returns rmcp's form of an error, which has no field for a source.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: Error) -> AuthError {
    AuthError::CredentialStoreError(format!("{}: {}", error.code(), aims::jose::Chain(&error)))
}

impl fmt::Debug for StoredLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredLogin")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
