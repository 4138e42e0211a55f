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
/// use replay::{Error, ReplayKey, ReplayStore};
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
    /// Spends a key that must not be seen again up to and including `until`. Of all calls with one key, one at most succeeds within that time.
    ///
    /// # Errors
    ///
    /// Every error means that the thing is to be refused; see [`Error`].
    fn spend(&self, key: &ReplayKey, until: UnixTime, now: UnixTime) -> Result<(), Error>;
}

impl<T: ReplayStore + ?Sized> ReplayStore for Arc<T> {
    fn spend(&self, key: &ReplayKey, until: UnixTime, now: UnixTime) -> Result<(), Error> {
        (**self).spend(key, until, now)
    }
}
