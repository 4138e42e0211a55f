//! [`Database`]: opens, migrates, and passes jobs to its thread.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};

use crate::writer::Writer;
use crate::{Error, file};

/// Maximum time to wait for another process that writes to the same file.
const BUSY: Duration = Duration::from_secs(5);

/// The schema of a program: its id, and the statements that lead from one version to the next.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    application_id: i32,
    steps: &'static [&'static str],
}

impl Migrations {
    /// Creates a schema.
    ///
    /// `application_id` distinguishes the files of this program from those of others; it is not 0.
    /// A program only ever appends to `steps`: the version of a file is the number of steps that it
    /// has seen.
    #[must_use]
    pub const fn new(application_id: i32, steps: &'static [&'static str]) -> Self {
        Self {
            application_id,
            steps,
        }
    }
}

/// Whether a job's effect must be on disk when [`Database::run`] returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "on disk or not, and never more")]
pub enum Durability {
    /// It is on disk, and stays after a loss of power (`PRAGMA synchronous=FULL`). Use it where an
    /// answer depends on it.
    Full,
    /// It stays after the end of the process. A loss of power may undo the latest of these jobs, as
    /// if they had not happened.
    Relaxed,
}

/// A SQLite file that one thread of this process reads and writes. Clones share the thread.
///
/// Every job is a transaction: it happens wholly or not at all, also if the process is killed. Jobs
/// that wait at the same time share one commit, and so one write to the disk. Several processes may
/// open one file.
#[derive(Clone)]
pub struct Database {
    writer: Arc<Writer>,
}

impl Database {
    /// Opens a file, or creates it for its owner alone, and brings it to the latest version.
    ///
    /// # Errors
    ///
    /// `sqlite.file` if the file cannot be created, or other users can read or write it;
    /// `sqlite.foreign` for a file of another program; `sqlite.newer` for one of a later version;
    /// `sqlite.statement` if SQLite refuses it.
    pub fn open(path: impl AsRef<Path>, migrations: Migrations) -> Result<Self, Error> {
        let path = path.as_ref();
        file::prepare(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        // A damaged or hostile file must not run code or read outside of its schema.
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "secure_delete", true)?;
        migrate(&mut connection, path, migrations)?;
        // Readers then see only what is committed, and a commit writes once.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        Ok(Self {
            writer: Arc::new(Writer::start(connection)?),
        })
    }

    /// Runs a job in a transaction on the thread of the database, and waits for its commit.
    ///
    /// If the job returns an error, its changes are undone.
    ///
    /// # Errors
    ///
    /// `sqlite.statement` with the error of the job or of the commit; `sqlite.busy` if 1,024 jobs
    /// wait already; `sqlite.closed`.
    pub fn run<T, F>(&self, durability: Durability, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.writer.run(durability, job)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// Checks whose file it is, and runs the steps that it has not seen, all or none.
fn migrate(connection: &mut Connection, path: &Path, migrations: Migrations) -> Result<(), Error> {
    let transaction = Transaction::new(connection, rusqlite::TransactionBehavior::Immediate)?;
    let number = |name: &str| transaction.pragma_query_value(None, name, |row| row.get(0));
    let (found, version): (i64, i64) = (number("application_id")?, number("user_version")?);
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_new = found == 0 && version == 0 && tables == 0;
    if !is_new && found != i64::from(migrations.application_id) {
        return Err(Error::Foreign {
            path: path.to_owned(),
            expected: migrations.application_id,
            found: i32::try_from(found).unwrap_or(0),
        });
    }
    let known = migrations.steps.len();
    let seen = usize::try_from(version).ok().filter(|seen| *seen <= known);
    let Some(seen) = seen else {
        return Err(Error::Newer {
            path: path.to_owned(),
            known,
            found: version,
        });
    };
    for step in migrations.steps.iter().skip(seen) {
        transaction.execute_batch(step)?;
    }
    let latest = i64::try_from(known).unwrap_or(i64::MAX);
    transaction.pragma_update(None, "application_id", migrations.application_id)?;
    transaction.pragma_update(None, "user_version", latest)?;
    Ok(transaction.commit()?)
}
