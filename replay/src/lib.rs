#![doc = include_str!("../README.md")]

mod error;
mod key;
mod memory;

use std::{fmt::Debug, sync::Arc};

pub use error::Error;
pub use key::ReplayKey;
pub use memory::ReplayCache;
use rustls_pki_types::UnixTime;

/// Remembers what was spent. One method, so that several servers can share a store.
///
/// ```
/// use std::{collections::HashSet, sync::Mutex};
///
/// use aims_replay::{Error, ReplayKey, ReplayStore};
/// use rustls_pki_types::UnixTime;
///
/// /// Forgets nothing, for a test.
/// #[derive(Debug, Default)]
/// struct Forever(Mutex<HashSet<[u8; 32]>>);
///
/// impl ReplayStore for Forever {
///     fn spend(&self, key: &ReplayKey, _until: UnixTime, _now: UnixTime) -> Result<(), Error> {
///         let mut seen = self.0.lock().map_err(|_| Error::Unavailable)?;
///         if seen.insert(*key.as_bytes()) { Ok(()) } else { Err(Error::Replayed) }
///     }
/// }
/// ```
pub trait ReplayStore: Debug + Send + Sync {
    /// Spends a key that must not be seen again up to and including `until`. Of all calls with one
    /// key, one at most succeeds within that time.
    ///
    /// # Errors
    ///
    /// Every error means that the thing is to be refused; see [`Error`].
    fn spend(&self, key: &ReplayKey, until: UnixTime, now: UnixTime) -> Result<(), Error>;
}

/// Spends a key in a store, unless its time is over: what has ended is refused before the store is
/// asked, which may keep a time of its own and have let the key go.
///
/// Give the time at which the thing is acted on, not the one at which its verification began.
///
/// # Errors
///
/// [`Error::Expired`], and those of [`ReplayStore::spend`].
pub fn spend(
    store: &dyn ReplayStore,
    key: &ReplayKey,
    until: UnixTime,
    now: UnixTime,
) -> Result<(), Error> {
    if now > until {
        return Err(Error::Expired);
    }
    store.spend(key, until, now)
}

impl<T: ReplayStore + ?Sized> ReplayStore for Arc<T> {
    fn spend(&self, key: &ReplayKey, until: UnixTime, now: UnixTime) -> Result<(), Error> {
        (**self).spend(key, until, now)
    }
}
