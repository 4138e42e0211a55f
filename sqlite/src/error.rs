//! Errors of databases.

use std::path::PathBuf;
use std::sync::Arc;

/// A database could not be opened, or a job was not carried out.
///
/// An error of a job means that its outcome is unknown: the caller must neither assume that it
/// happened nor that it did not.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be created, or other users may read or write it.
    #[error("cannot use the file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The defect, and what to do.
        reason: Arc<str>,
    },
    /// The file is a database of another program, or no database.
    #[error(
        "the file {} is not a database of this program: expected the application id {expected}, found {found}; name another file",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The application id of the program.
        expected: i32,
        /// The application id in the file.
        found: i32,
    },
    /// A newer version of the program has changed the file.
    #[error(
        "the file {} has version {found}, expected at most {known}; use the newer version of the program that wrote it, or another file",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The latest version that this program knows.
        known: usize,
        /// The version of the file.
        found: i64,
    },
    /// SQLite refused a statement, or a commit.
    #[error("the database cannot do this now")]
    Statement(#[source] Arc<rusqlite::Error>),
    /// Too many jobs wait.
    #[error("too many jobs wait for the database, expected at most {limit}; retry later")]
    Busy {
        /// The maximum number of waiting jobs.
        limit: usize,
    },
    /// The thread of the database has ended.
    #[error("the database is closed")]
    Closed,
}

impl Error {
    aims_error::codes! {
        Self::File { .. } => Configuration "sqlite.file",
        Self::Foreign { .. } => Configuration "sqlite.foreign",
        Self::Newer { .. } => Configuration "sqlite.newer",
        Self::Statement(_) => Unavailable "sqlite.statement",
        Self::Busy { .. } => Unavailable "sqlite.busy",
        Self::Closed => Unavailable "sqlite.closed",
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Statement(Arc::new(error))
    }
}
