//! Opening, migrating and writing a file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use aims_sqlite::rusqlite::{Connection, Error as Sql};
use aims_sqlite::{Database, Durability, Error, Migrations};

const APPLICATION: i32 = 0x7465_7374;
const FIRST: &str = "CREATE TABLE used (name TEXT PRIMARY KEY) STRICT";
const SECOND: &str = "ALTER TABLE used ADD COLUMN at INTEGER NOT NULL DEFAULT 7";
const ONE: Migrations = Migrations::new(APPLICATION, &[FIRST]);
const TWO: Migrations = Migrations::new(APPLICATION, &[FIRST, SECOND]);

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("aims-sqlite-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn insert(database: &Database, name: &str) -> Result<usize, Error> {
    let name = name.to_owned();
    database.run(Durability::Full, move |transaction| {
        transaction.execute("INSERT OR IGNORE INTO used (name) VALUES (?1)", [name])
    })
}

fn count(database: &Database) -> i64 {
    let counted = database.run(Durability::Relaxed, |transaction| {
        transaction.query_row("SELECT count(*) FROM used", [], |row| row.get(0))
    });
    counted.unwrap()
}

fn code(path: &Path, migrations: Migrations) -> &'static str {
    Database::open(path, migrations).unwrap_err().code()
}

#[test]
fn a_file_keeps_its_rows_over_a_migration() {
    let folder = Folder::new();
    let database = Database::open(folder.file(), ONE).unwrap();
    assert_eq!(insert(&database, "a").unwrap(), 1);
    assert_eq!(insert(&database, "a").unwrap(), 0);
    drop(database);
    let database = Database::open(folder.file(), TWO).unwrap();
    assert_eq!(insert(&database, "a").unwrap(), 0);
    let at: i64 = database
        .run(Durability::Full, |it| {
            it.query_row("SELECT at FROM used", [], |row| row.get(0))
        })
        .unwrap();
    assert_eq!(at, 7);
    drop(database);
    // The older program does not know the version of the file.
    assert_eq!(code(&folder.file(), ONE), "sqlite.newer");
    assert!(Database::open(folder.file(), TWO).is_ok());
}

/// A file of another program is left as it is.
#[test]
fn a_foreign_file_is_refused() {
    let folder = Folder::new();
    drop(Database::open(folder.file(), ONE).unwrap());
    let other = Migrations::new(APPLICATION + 1, &[FIRST]);
    assert_eq!(code(&folder.file(), other), "sqlite.foreign");

    let plain = folder.0.join("plain.db");
    let connection = Connection::open(&plain).unwrap();
    connection.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(connection);
    protect(&plain);
    assert_eq!(code(&plain, ONE), "sqlite.foreign");

    let text = folder.0.join("notes.txt");
    std::fs::write(&text, "these are notes and no database".repeat(100)).unwrap();
    protect(&text);
    assert_eq!(code(&text, ONE), "sqlite.statement");
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("these"));
}

fn protect(path: &Path) {
    #[cfg(unix)]
    {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt as _;
        set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// All files of a database are for their owner alone; others are refused.
#[cfg(unix)]
#[test]
fn others_cannot_read_the_files() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    let database = Database::open(folder.file(), ONE).unwrap();
    insert(&database, "a").unwrap();
    let modes: Vec<_> = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert!(
        modes.len() > 1 && modes.iter().all(|mode| *mode == 0o600),
        "{modes:?}"
    );
    drop(database);
    for mode in [0o640, 0o604, 0o660, 0o666] {
        set_permissions(folder.file(), Permissions::from_mode(mode)).unwrap();
        assert_eq!(code(&folder.file(), ONE), "sqlite.file", "{mode:o}");
    }
    assert_eq!(code(&folder.0, ONE), "sqlite.file", "a directory");
    assert_eq!(code(&folder.0.join("no/where.db"), ONE), "sqlite.file");
}

/// A migration that fails leaves the file as it was.
#[test]
fn a_failed_migration_changes_nothing() {
    let folder = Folder::new();
    drop(Database::open(folder.file(), ONE).unwrap());
    let broken = Migrations::new(APPLICATION, &[FIRST, SECOND, "CREATE TABLE used (x)"]);
    assert_eq!(code(&folder.file(), broken), "sqlite.statement");
    let database = Database::open(folder.file(), TWO).unwrap();
    assert_eq!(count(&database), 0);
}

/// An error of a job undoes this job alone, and nothing of those that share its commit.
#[test]
fn a_failed_job_is_undone_alone() {
    let folder = Folder::new();
    let database = Database::open(folder.file(), ONE).unwrap();
    thread::scope(|scope| {
        for number in 0..64 {
            let database = &database;
            scope.spawn(move || {
                let done = database.run(Durability::Full, move |transaction| {
                    let name = format!("job {number}");
                    transaction.execute("INSERT INTO used (name) VALUES (?1)", [name])?;
                    if number % 2 == 0 {
                        Ok(number)
                    } else {
                        Err(Sql::QueryReturnedNoRows)
                    }
                });
                assert_eq!(done.is_ok(), number % 2 == 0);
                if let Err(error) = done {
                    assert_eq!(error.code(), "sqlite.statement");
                }
            });
        }
    });
    assert_eq!(count(&database), 32);
}

/// Of many threads and two processes' handles of one file, exactly one inserts.
#[test]
fn one_of_many_writers_wins() {
    let folder = Folder::new();
    let handles = [(); 2].map(|()| Database::open(folder.file(), ONE).unwrap());
    let passed: Vec<_> = (0..20).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for number in 0..16 {
            let (database, passed) = (&handles[number % 2], &passed);
            scope.spawn(move || {
                for (round, passed) in passed.iter().enumerate() {
                    let inserted = insert(database, &round.to_string()).unwrap();
                    passed.fetch_add(inserted, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(passed.iter().all(|it| it.load(Ordering::Relaxed) == 1));
}

/// A change that an answer depends on is synchronized with the disk before it.
#[test]
fn full_durability_is_synchronous() {
    let folder = Folder::new();
    let database = Database::open(folder.file(), ONE).unwrap();
    for (durability, expected) in [
        (Durability::Full, 2),
        (Durability::Relaxed, 1),
        (Durability::Full, 2),
    ] {
        let level: i64 = database
            .run(durability, |it| {
                it.pragma_query_value(None, "synchronous", |row| row.get(0))
            })
            .unwrap();
        assert_eq!(level, expected);
    }
}

/// A job that panics gets an error, and its changes are undone.
#[test]
fn a_panic_leaves_no_half_job() {
    let folder = Folder::new();
    let database = Database::open(folder.file(), ONE).unwrap();
    let panicked = database.run(Durability::Full, |transaction| {
        transaction.execute("INSERT INTO used (name) VALUES ('x')", [])?;
        if transaction.is_autocommit() {
            return Ok(());
        }
        panic!("in the middle");
    });
    assert_eq!(panicked.unwrap_err().code(), "sqlite.closed");
    assert_eq!(insert(&database, "y").unwrap_err().code(), "sqlite.closed");
    drop(database);
    let database = Database::open(folder.file(), ONE).unwrap();
    assert_eq!(count(&database), 0);
}
