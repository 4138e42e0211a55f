#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-replay/0.1")]

mod error;
mod key;
mod memory;
mod rate;
mod validity;

use std::{fmt::Debug, sync::Arc};

pub use error::Error;
pub use key::ReplayKey;
pub use memory::ReplayCache;
use rustls_pki_types::UnixTime;
pub use validity::Validity;

/// Remembers which keys were spent.
///
/// [`ReplayCache`] implements it in the memory of one process. Implement it yourself to share a
/// store among several servers, for example with the command `SET` and its option `NX` of Redis.
///
/// ```
/// use std::{collections::HashSet, sync::Mutex};
///
/// use aims_replay::{Error, ReplayKey, ReplayStore};
/// use rustls_pki_types::UnixTime;
///
/// /// Never forgets an entry. For a test.
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a memory of used proofs",
    note = "give a `ReplayCache`, or implement `ReplayStore` for a type of your own"
)]
pub trait ReplayStore: Debug + Send + Sync {
    /// Spends a key, and remembers it up to and including `until`.
    ///
    /// Of all calls with one key within that time, at most one succeeds. This must also hold for
    /// calls at the same moment.
    ///
    /// # Errors
    ///
    /// [`Error::Replayed`] if the key was spent before; other errors if the store cannot tell or
    /// has no room. The caller refuses the request for each of them.
    fn spend(&self, key: &ReplayKey, until: UnixTime, now: UnixTime) -> Result<(), Error>;

    /// Spends the key of a proof, and remembers it for as long as the proof is valid.
    ///
    /// A store that can lose its memory refuses a proof whose validity began before it began to
    /// remember: such a proof may have been spent. By default, the method calls
    /// [`spend`](Self::spend), which suits a store that loses nothing. A wrapper of another store
    /// forwards it.
    ///
    /// # Errors
    ///
    /// [`Error::BeforeStart`] for such a proof, and those of [`spend`](Self::spend).
    fn spend_proof(&self, key: &ReplayKey, valid: Validity, now: UnixTime) -> Result<(), Error> {
        self.spend(key, valid.until(), now)
    }

    /// Notes that the store is in use from `now` on, and knows nothing of what was spent before. A
    /// second call changes nothing.
    ///
    /// By default, the method does nothing, which suits a store that outlives the process.
    fn begin(&self, now: UnixTime) {
        let _unneeded = now;
    }
}

/// Spends a key in a store, unless its validity has ended.
///
/// The function checks `until` before it asks the store, because the store may have its own clock
/// and may have forgotten the key already. Pass as `now` the time at which the program acts on the
/// request, not the time at which verification began.
///
/// ```
/// use std::time::Duration;
///
/// use aims_replay::{Error, ReplayCache, ReplayKey};
/// use rustls_pki_types::UnixTime;
///
/// let store = ReplayCache::in_memory(1_000);
/// let key = ReplayKey::new("wpt", "spiffe://example.org/a", &["jti-1"]);
/// let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
/// assert_eq!(aims_replay::spend(&store, &key, at(100), at(101)), Err(Error::Expired));
/// assert_eq!(aims_replay::spend(&store, &key, at(100), at(100)), Ok(()));
/// ```
///
/// # Errors
///
/// [`Error::Expired`] if `now` is after `until`, and the errors of [`ReplayStore::spend`].
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

/// Spends the key of a proof in a store, unless its validity has ended.
///
/// As [`spend`], for something that was not acceptable before a known time.
///
/// ```
/// use std::time::Duration;
///
/// use aims_replay::{Error, ReplayCache, ReplayKey, ReplayStore as _, Validity};
/// use rustls_pki_types::UnixTime;
///
/// let store = ReplayCache::in_memory(1_000);
/// let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
/// store.begin(at(50)); // the process was started anew
/// let key = |id| ReplayKey::new("wpt", "spiffe://example.org/a", &[id]);
/// let spend = |id, from| {
///     aims_replay::spend_proof(&store, &key(id), Validity::new(at(from), at(100)), at(60))
/// };
/// assert_eq!(spend("jti-1", 50), Err(Error::BeforeStart));
/// assert_eq!(spend("jti-2", 51), Ok(()));
/// assert_eq!(spend("jti-2", 51), Err(Error::Replayed));
/// ```
///
/// # Errors
///
/// [`Error::Expired`] if `now` is after the validity, and the errors of
/// [`ReplayStore::spend_proof`].
pub fn spend_proof(
    store: &dyn ReplayStore,
    key: &ReplayKey,
    valid: Validity,
    now: UnixTime,
) -> Result<(), Error> {
    if now > valid.until() {
        return Err(Error::Expired);
    }
    store.spend_proof(key, valid, now)
}

impl<T: ReplayStore + ?Sized> ReplayStore for Arc<T> {
    fn spend(&self, key: &ReplayKey, until: UnixTime, now: UnixTime) -> Result<(), Error> {
        (**self).spend(key, until, now)
    }

    fn spend_proof(&self, key: &ReplayKey, valid: Validity, now: UnixTime) -> Result<(), Error> {
        (**self).spend_proof(key, valid, now)
    }

    fn begin(&self, now: UnixTime) {
        (**self).begin(now);
    }
}
