//! [`SqliteState`]: the state in a SQLite file.

use std::path::Path;

use aims_jose::time::{UnixTime, at};
use aims_sqlite::rusqlite::{self, OptionalExtension as _, Transaction, named_params};
use aims_sqlite::{Database, Durability, Migrations};

use super::{Change, Entry, Kind, State, Stored};
use crate::Error;

/// Default maximum number of entries of one kind.
const CAPACITY: u32 = 1_048_576;

/// The schema. Versions are drawn from one sequence, so no entry ever gets a version again.
const SCHEMA: Migrations = Migrations::new(
    0x6169_6d73,
    &["
    CREATE TABLE entries (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        until INTEGER NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX ends ON entries (until);
    CREATE TABLE counts (kind TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TRIGGER counted AFTER INSERT ON entries BEGIN
        INSERT INTO counts VALUES (NEW.kind, 1) ON CONFLICT DO UPDATE SET number = number + 1;
    END;
    CREATE TRIGGER uncounted AFTER DELETE ON entries BEGIN
        UPDATE counts SET number = number - 1 WHERE kind = OLD.kind;
    END;
    CREATE TABLE versions (last INTEGER NOT NULL) STRICT;
    INSERT INTO versions VALUES (0);
    "],
);

/// The state of an authorization server in a SQLite file, which survives the process.
///
/// A change is on disk when [`swap`](State::swap) returns (`synchronous=FULL`), and happens wholly
/// or not at all. So a used code stays used, and a rotated refresh token stays rotated, even if the
/// process is killed in the middle. Several processes may use one file. It holds at most 1,048,576
/// entries of each kind. Clones share the file.
///
/// The file has names of users and clients, and hashes of codes and tokens. It is created for its
/// owner alone.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use aims_authority::{Authority, SqliteState};
/// use aims_jose::{provider, time::UnixTime};
///
/// let authority = Authority::builder("https://authority.example", provider::default())
///     .trust_domain("example.org")
///     .state(Arc::new(SqliteState::open("/var/lib/authority/state.db")?))
///     .build(UnixTime::now())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteState {
    database: Database,
    capacity: u32,
}

impl SqliteState {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    ///
    /// Those of [`aims_sqlite::Database::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, aims_sqlite::Error> {
        Ok(Self {
            database: Database::open(path, SCHEMA)?,
            capacity: CAPACITY,
        })
    }

    /// Sets the maximum number of entries of each kind.
    #[must_use]
    pub const fn with_capacity(mut self, capacity: u32) -> Self {
        self.capacity = capacity;
        self
    }
}

impl State for SqliteState {
    fn load(&self, kind: Kind, key: &str, now: UnixTime) -> Result<Option<Stored>, Error> {
        let (key, now) = (key.to_owned(), seconds(now));
        self.database
            .run(Durability::Relaxed, move |transaction| {
                transaction
                    .prepare_cached(
                        "SELECT value, until, version FROM entries
                         WHERE kind = :kind AND key = :key AND until >= :now",
                    )?
                    .query_row(
                        named_params! { ":kind": kind.name(), ":key": key, ":now": now },
                        |row| {
                            let (until, version): (i64, i64) = (row.get(1)?, row.get(2)?);
                            Ok(Stored {
                                entry: Entry::new(row.get(0)?, at(until.unsigned_abs())),
                                version: version.unsigned_abs(),
                            })
                        },
                    )
                    .optional()
            })
            .map_err(Error::unavailable)
    }

    fn swap(
        &self,
        kind: Kind,
        key: &str,
        change: Change<'_>,
        now: UnixTime,
    ) -> Result<bool, Error> {
        let swap = Swap {
            kind: kind.name(),
            key: key.to_owned(),
            expected: match change {
                Change::Insert(_) => None,
                Change::Replace(version, _) | Change::Remove(version) => Some(version),
            },
            new: match change {
                Change::Insert(entry) | Change::Replace(_, entry) => Some(entry.clone()),
                Change::Remove(_) => None,
            },
            now: seconds(now),
            capacity: self.capacity,
        };
        let outcome = self
            .database
            .run(Durability::Full, move |transaction| swap.run(transaction))
            .map_err(Error::unavailable)?;
        match outcome {
            Outcome::Made => Ok(true),
            Outcome::Differs => Ok(false),
            Outcome::Full => Err(Error::StateFull { kind }),
        }
    }
}

struct Swap {
    kind: &'static str,
    key: String,
    expected: Option<u64>,
    new: Option<Entry>,
    now: i64,
    capacity: u32,
}

enum Outcome {
    Made,
    Differs,
    Full,
}

impl Swap {
    fn run(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Outcome> {
        let Self { kind, key, now, .. } = self;
        // Forget what has ended, in small steps.
        transaction
            .prepare_cached(
                "DELETE FROM entries WHERE (kind, key) IN
                 (SELECT kind, key FROM entries WHERE until < ?1 ORDER BY until LIMIT 64)",
            )?
            .execute([now])?;
        let found: Option<i64> = transaction
            .prepare_cached(
                "SELECT version FROM entries
                 WHERE kind = :kind AND key = :key AND until >= :now",
            )?
            .query_row(
                named_params! { ":kind": kind, ":key": key, ":now": now },
                |row| row.get(0),
            )
            .optional()?;
        if found.map(i64::unsigned_abs) != self.expected {
            return Ok(Outcome::Differs);
        }
        transaction
            .prepare_cached("DELETE FROM entries WHERE kind = ?1 AND key = ?2")?
            .execute((kind, key))?;
        let Some(new) = &self.new else {
            return Ok(Outcome::Made);
        };
        let stored: Option<i64> = transaction
            .prepare_cached("SELECT number FROM counts WHERE kind = ?1")?
            .query_row([kind], |row| row.get(0))
            .optional()?;
        if self.expected.is_none() && stored.unwrap_or(0) >= self.capacity.into() {
            return Ok(Outcome::Full);
        }
        let version: i64 = transaction
            .prepare_cached("UPDATE versions SET last = last + 1 RETURNING last")?
            .query_row([], |row| row.get(0))?;
        transaction
            .prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((kind, key, &new.value, seconds(new.until), version))?;
        Ok(Outcome::Made)
    }
}

/// Converts to the seconds of a column. Later times become the maximum.
fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
