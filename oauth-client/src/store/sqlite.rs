//! Sealed tokens in a SQLite file.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use aims_jose::random;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, SystemClock};
use aims_sqlite::rusqlite::{self, OptionalExtension as _, Transaction, params};
use aims_sqlite::{Database, Durability, Migrations};

use super::{CAPACITY, SealingKey, StoreFuture, StoreKey, StoredValue, TokenStore};
use crate::Error;

const SCHEMA: Migrations = Migrations::new(
    0x6169_746b,
    &["
    CREATE TABLE tokens (
        key TEXT PRIMARY KEY,
        value BLOB NOT NULL,
        version INTEGER NOT NULL,
        until INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX ends ON tokens (until);
    "],
);

/// Keeps tokens in a SQLite file, each sealed with a key. Needs the feature `sqlite`.
///
/// A change is on disk before it counts, and several processes may share the file. It is made for
/// its owner alone, and holds at most 10,000 values. A change costs less than one of a
/// `FileStore` if there are many values.
///
/// ```
/// use aims_oauth_client::{Error, SealingKey, SqliteStore};
///
/// fn store(folder: &std::path::Path) -> Result<SqliteStore, Error> {
///     let key = SealingKey::from_file(folder.join("tokens.key"))?;
///     SqliteStore::open(folder.join("tokens.db"), key)
/// }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    database: Database,
    key: SealingKey,
    clock: Arc<dyn Clock>,
    capacity: usize,
}

enum Swapped {
    Done,
    Other,
    Full,
}

impl SqliteStore {
    /// Opens a store. The file is created if it does not exist.
    ///
    /// # Errors
    ///
    /// `store.unavailable` if the file cannot be opened, belongs to another program, or others can
    /// read it. The source says which.
    pub fn open(path: impl AsRef<Path>, key: SealingKey) -> Result<Self, Error> {
        Ok(Self {
            database: Database::open(path, SCHEMA).map_err(unavailable)?,
            key,
            clock: Arc::new(SystemClock::new()),
            capacity: CAPACITY,
        })
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

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let database = self.database.clone();
        let task = tokio::task::spawn_blocking(move || database.run(Durability::Full, job));
        let done = task.await.or(Err(Error::Interrupted))?;
        done.map_err(unavailable)
    }
}

impl TokenStore for SqliteStore {
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>> {
        Box::pin(async move {
            let name = key.as_str().to_owned();
            let found = self.run(move |transaction| {
                let query = "SELECT value, version FROM tokens WHERE key = ?1";
                let row = transaction.query_row(query, [name], |row| {
                    Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
                });
                row.optional()
            });
            let Some((sealed, version)) = found.await? else {
                return Ok(None);
            };
            let text = self.key.open(key.as_str().as_bytes(), &sealed)?;
            Ok(Some((text, version.unsigned_abs())))
        })
    }

    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<StoredValue>,
    ) -> StoreFuture<'a, Option<u64>> {
        Box::pin(async move {
            let name = key.as_str().to_owned();
            let place = name.as_bytes();
            let sealed = value.as_ref().map(|it| self.key.seal(place, it.text()));
            let sealed = sealed.transpose()?;
            let until = value
                .and_then(|it| it.until())
                .map(|it| signed(it.as_secs()));
            let now = signed(self.clock.now().as_secs());
            let (capacity, new) = (self.capacity, random_version()?);
            let version = version.map(signed);
            let swapped = self.run(move |transaction| {
                let query = "SELECT version FROM tokens WHERE key = ?1";
                let own: Option<i64> = transaction
                    .query_row(query, [&name], |row| row.get(0))
                    .optional()?;
                if own != version {
                    return Ok(Swapped::Other);
                }
                let Some(sealed) = sealed else {
                    transaction.execute("DELETE FROM tokens WHERE key = ?1", [name])?;
                    return Ok(Swapped::Done);
                };
                if own.is_none() && !make_room(transaction, capacity, now)? {
                    return Ok(Swapped::Full);
                }
                transaction.execute(
                    "INSERT OR REPLACE INTO tokens VALUES (?1, ?2, ?3, ?4)",
                    params![name, sealed, signed(new), until],
                )?;
                Ok(Swapped::Done)
            });
            match swapped.await? {
                Swapped::Done => Ok(Some(new)),
                Swapped::Other => Ok(None),
                Swapped::Full => Err(Error::StoreFull),
            }
        })
    }

    fn keys<'a>(&'a self, group: &'a str) -> StoreFuture<'a, Vec<StoreKey>> {
        let (from, to) = StoreKey::range(group);
        Box::pin(async move {
            let keys = self.run(move |transaction| {
                let query = "SELECT key FROM tokens WHERE key >= ?1 AND key < ?2";
                let mut statement = transaction.prepare_cached(query)?;
                let keys = statement.query_map([from, to], |row| row.get::<_, String>(0))?;
                keys.collect::<rusqlite::Result<Vec<String>>>()
            });
            let keys = keys.await?;
            keys.iter().map(|it| it.parse()).collect()
        })
    }

    fn is_sealed(&self) -> bool {
        true
    }
}

/// Removes expired values, and if there are still too many the one that ends first. Returns whether
/// there is room for one more.
fn make_room(transaction: &Transaction<'_>, capacity: usize, now: i64) -> rusqlite::Result<bool> {
    transaction.execute("DELETE FROM tokens WHERE until <= ?1", [now])?;
    let count: i64 = transaction.query_row("SELECT count(*) FROM tokens", [], |row| row.get(0))?;
    if usize::try_from(count).unwrap_or(usize::MAX) < capacity {
        return Ok(true);
    }
    let first = "DELETE FROM tokens WHERE key = (SELECT key FROM tokens
        WHERE until IS NOT NULL ORDER BY until LIMIT 1)";
    Ok(transaction.execute(first, [])? == 1)
}

fn random_version() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    random::SecureRandom::fill(random::SYSTEM, &mut bytes).map_err(Error::Random)?;
    Ok(u64::from_le_bytes(bytes) >> 1)
}

/// Returns a number as SQLite keeps it. Versions and times fit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unavailable(error: aims_sqlite::Error) -> Error {
    Error::Store(Arc::new(io::Error::other(error)))
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}
