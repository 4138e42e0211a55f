//! Stores of tokens, which programs share and keep over restarts.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use aims_jose::digest::sha256_base64url;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, SystemClock, UnixTime};

use crate::Error;

#[cfg(feature = "file-store")]
mod file;
#[cfg(all(feature = "seal", unix))]
mod key_file;
mod lease;
mod record;
#[cfg(feature = "seal")]
mod seal;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "file-store")]
pub use file::FileStore;
pub use lease::StoreLease;
pub(crate) use record::{Lease, Owner, Record};
#[cfg(feature = "seal")]
pub use seal::SealingKey;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// The default maximum number of values in a store.
const CAPACITY: usize = 10_000;
/// The maximum number of attempts to change a value that others change, too.
pub(crate) const ATTEMPTS: usize = 32;

/// The future of a [`TokenStore`].
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Keeps the tokens of one or more programs, each under a [key](StoreKey).
///
/// A `TokenSource` with a store renews a token once for all programs that share the store: the one
/// that renews it holds a lease, and the new refresh token is stored before the access token is
/// used. A logout removes the value, and a renewal that ends later does not put it back.
///
/// The values are secret. [`MemoryStore`] keeps them in this process; `FileStore` and `SqliteStore`
/// keep them in a file, sealed. A store of another kind seals them with a `SealingKey`, and says so
/// by [`is_sealed`](Self::is_sealed). Needs the feature `tokio`.
pub trait TokenStore: Debug + Send + Sync {
    /// Returns the value and its version, if there is one.
    ///
    /// # Errors
    ///
    /// `store.unavailable` if the store cannot be read, and others of the store.
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>>;

    /// Replaces the value if its version is still this one, or if there is still none. `None` as
    /// the new value removes it. Returns the new version, which no value had before, or `None` if
    /// another program was faster.
    ///
    /// A new value may make the store remove values whose [end](StoredValue::until) has passed. If
    /// it is full, it removes a value that has an end, and refuses a new one if there is none.
    ///
    /// # Errors
    ///
    /// `store.full`, and those of [`load`](Self::load).
    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<StoredValue>,
    ) -> StoreFuture<'a, Option<u64>>;

    /// Returns the keys of this [group](StoreKey::group).
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    fn keys<'a>(&'a self, group: &'a str) -> StoreFuture<'a, Vec<StoreKey>>;

    /// Returns whether the values are protected from other programs: they are in the memory of this
    /// process alone, or sealed with a key. Only such a store keeps the private DPoP keys of a
    /// `Connector`; tokens in another one are not bound to such a key. Defaults to `false`.
    fn is_sealed(&self) -> bool {
        false
    }
}

/// A value of a [`TokenStore`]. `Debug` hides it.
#[derive(Clone, Debug)]
pub struct StoredValue {
    text: SecretText,
    until: Option<UnixTime>,
}

impl StoredValue {
    /// Creates a value. The store may remove it after this end; without one it must keep it.
    #[must_use]
    pub const fn new(text: SecretText, until: Option<UnixTime>) -> Self {
        Self { text, until }
    }

    /// Returns the text, which is secret.
    #[must_use]
    pub const fn text(&self) -> &SecretText {
        &self.text
    }

    /// Returns when the value ends, or `None` if its loss could need the user.
    #[must_use]
    pub const fn until(&self) -> Option<UnixTime> {
        self.until
    }
}

/// The key of a stored token: a hash of its issuer, a dot, and a hash of its issuer, client,
/// subject, resource, scopes, authorization details and DPoP key. Tokens that differ in one of them
/// are never mixed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StoreKey(Box<str>);

impl StoreKey {
    /// Creates the key of these parts in the group of the first ones. No two lists of parts have
    /// the same key.
    pub(crate) fn of(group: &[Option<&str>], parts: &[Option<&str>]) -> Self {
        let all = [group, parts].concat();
        let key = [Self::group_of(group), hash(&all)].join(".");
        Self(key.into())
    }

    /// Creates the key of a value that a program keeps beside its tokens. The first part is the
    /// group. No two lists of parts have the same key.
    #[must_use]
    pub fn of_program(parts: &[&str]) -> Self {
        let parts: Vec<_> = parts.iter().map(|it| Some(*it)).collect();
        let (group, rest) = parts.split_at(parts.len().min(1));
        Self::of(&[&[Some("program")], group].concat(), rest)
    }

    /// Returns the name of the group of these parts.
    pub(crate) fn group_of(parts: &[Option<&str>]) -> String {
        hash(parts)
    }

    /// Returns the key as text: 43 characters of base64url, a dot, and 43 more.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the group: the first 43 characters. Tokens of one issuer are in one group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.0.split_once('.').map_or("", |(group, _)| group)
    }

    /// Returns the first possible key of a group, and the end of its keys.
    #[cfg(feature = "sqlite")]
    fn range(group: &str) -> (String, String) {
        // A slash follows the dot.
        (format!("{group}."), format!("{group}/"))
    }
}

/// Reads what [`StoreKey::as_str`] returns.
impl FromStr for StoreKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_hash = |part: &str| {
            let is_base64url = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
            part.len() == 43 && part.bytes().all(is_base64url)
        };
        match text.split_once('.') {
            Some((group, key)) if is_hash(group) && is_hash(key) => Ok(Self(text.into())),
            _ => Err(Error::StoreContent),
        }
    }
}

fn hash(parts: &[Option<&str>]) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Some(part) => text.push_str(&format!("{}:{part}", part.len())),
            None => text.push('-'),
        }
    }
    sha256_base64url(&text)
}

/// Keeps tokens in memory, for sources of one process. It holds at most 10,000 values.
///
/// ```
/// use std::sync::Arc;
///
/// use aims_oauth_client::{MemoryStore, TokenStore};
///
/// let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
/// # drop(store);
/// ```
pub struct MemoryStore {
    values: Mutex<Values>,
    clock: Arc<dyn Clock>,
    capacity: usize,
}

#[derive(Default)]
struct Values {
    all: HashMap<Box<str>, Entry>,
    /// The last version. A version is never given twice.
    last: u64,
}

struct Entry {
    value: StoredValue,
    version: u64,
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            values: Mutex::default(),
            clock: Arc::new(SystemClock::new()),
            capacity: CAPACITY,
        }
    }

    /// Sets the clock by which expired values are removed. Defaults to the system clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the maximum number of values. Defaults to 10,000.
    #[must_use]
    pub const fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Values {
    fn get(&self, key: &StoreKey) -> Option<(SecretText, u64)> {
        let Entry { value, version } = self.all.get(key.as_str())?;
        Some((value.text.clone(), *version))
    }

    fn swap(
        &mut self,
        key: &StoreKey,
        version: Option<u64>,
        value: Option<StoredValue>,
        capacity: usize,
        now: UnixTime,
    ) -> Result<Option<u64>, Error> {
        let own = self.all.get(key.as_str()).map(|it| it.version);
        if own != version {
            return Ok(None);
        }
        let last = self.last.saturating_add(1);
        match value {
            Some(value) => {
                if own.is_none() {
                    self.make_room(capacity, now)?;
                }
                let version = last;
                self.all
                    .insert(key.as_str().into(), Entry { value, version });
            }
            None => drop(self.all.remove(key.as_str())),
        }
        self.last = last;
        Ok(Some(last))
    }

    /// Removes expired values, and if there are still too many the one that ends first.
    fn make_room(&mut self, capacity: usize, now: UnixTime) -> Result<(), Error> {
        self.all
            .retain(|_, it| it.value.until.is_none_or(|until| until > now));
        if self.all.len() < capacity {
            return Ok(());
        }
        let ends = self.all.iter();
        let ends = ends.filter_map(|(key, it)| Some((it.value.until?, key)));
        let (_, first) = ends.min().ok_or(Error::StoreFull)?;
        let first = first.clone();
        self.all.remove(&first);
        Ok(())
    }

    fn keys(&self, group: &str) -> Vec<StoreKey> {
        let keys = self.all.keys().filter_map(|key| key.parse().ok());
        keys.filter(|key: &StoreKey| key.group() == group).collect()
    }
}

impl TokenStore for MemoryStore {
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let found = values.get(key);
        Box::pin(std::future::ready(Ok(found)))
    }

    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<StoredValue>,
    ) -> StoreFuture<'a, Option<u64>> {
        let now = self.clock.now();
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let swapped = values.swap(key, version, value, self.capacity, now);
        Box::pin(std::future::ready(swapped))
    }

    fn keys<'a>(&'a self, group: &'a str) -> StoreFuture<'a, Vec<StoreKey>> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = values.keys(group);
        Box::pin(std::future::ready(Ok(keys)))
    }

    fn is_sealed(&self) -> bool {
        true
    }
}

impl Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
