//! The right of one program to do something that others who share a store must not do meanwhile.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::secret::SecretText;
use aims_jose::time::{self, Clock, SystemClock, UnixTime, at};
use tokio::runtime::Handle;

use super::{StoreKey, StoredValue, TokenStore};
use crate::Error;

/// The time between two attempts.
const LOOK: Duration = Duration::from_millis(100);
/// How long a program waits beyond the lease of another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A lease in a [`TokenStore`]: of all programs that share the store, one at a time has it.
///
/// It is for renewals that another library makes. A `TokenSource` has its own. It ends when it is
/// dropped, or after its time, if its program was killed. Needs the feature `tokio`.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use aims_oauth_client::{Error, StoreKey, StoreLease, TokenStore};
///
/// async fn alone(store: Arc<dyn TokenStore>) -> Result<(), Error> {
///     let key = StoreKey::of_program(&["my-agent", "nightly report"]);
///     let lease = StoreLease::acquire(store, key, Duration::from_secs(30)).await?;
///     // …
///     drop(lease);
///     Ok(())
/// }
/// ```
#[must_use = "the lease ends when it is dropped"]
pub struct StoreLease {
    store: Arc<dyn TokenStore>,
    key: StoreKey,
    version: u64,
}

impl StoreLease {
    /// Waits until no other program has the lease, and takes it for at most this time.
    ///
    /// # Errors
    ///
    /// `grant.busy` if others have it for longer than this time and five seconds, and the errors of
    /// the store.
    pub async fn acquire(
        store: Arc<dyn TokenStore>,
        key: StoreKey,
        longest: Duration,
    ) -> Result<Self, Error> {
        let clock = SystemClock::new();
        let taking = async {
            loop {
                let now = clock.now();
                let found = store.load(&key).await?;
                let until = found.as_ref().map_or(Ok(at(0)), |(text, _)| read(text))?;
                if until <= now {
                    let until = time::after(now, longest);
                    let text = SecretText::new(until.as_secs().to_string());
                    let value = StoredValue::new(text, Some(until));
                    let before = found.map(|(_, version)| version);
                    if let Some(version) = store.swap(&key, before, Some(value)).await? {
                        return Ok(version);
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let most = longest.saturating_add(PATIENCE);
        let taken = tokio::time::timeout(most, taking).await;
        let version = taken.unwrap_or(Err(Error::Busy))?;
        Ok(Self {
            store,
            key,
            version,
        })
    }
}

fn read(text: &SecretText) -> Result<UnixTime, Error> {
    text.expose().parse().map(at).or(Err(Error::StoreContent))
}

impl Drop for StoreLease {
    /// Gives the lease back. Without a runtime it ends after its time.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (store, key, version) = (Arc::clone(&self.store), self.key.clone(), self.version);
        runtime.spawn(async move { store.swap(&key, Some(version), None).await });
    }
}

impl fmt::Debug for StoreLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreLease").finish_non_exhaustive()
    }
}
