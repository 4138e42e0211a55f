//! The file of a database: only its owner can read or write it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::Error;

/// Creates the file if it does not exist. SQLite gives its further files the same access rights.
///
/// # Errors
///
/// `sqlite.file`; also if other users can read or write an existing file.
pub(crate) fn prepare(path: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(path) {
        Ok(_new) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_rights(path),
        Err(error) => Err(refused(path, &error.to_string())),
    }
}

/// Refuses a file that other users can read or write: it has hashes of secrets, and who can write
/// it decides what the program remembers.
#[cfg(unix)]
fn check_rights(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;

    let metadata = std::fs::metadata(path).map_err(|error| refused(path, &error.to_string()))?;
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 == 0 {
        return Ok(());
    }
    let reason = format!(
        "expected a file that only its owner can read and write (mode 0600), found mode {mode:04o}"
    );
    Err(refused(path, &reason))
}

/// On this platform, the access rights of other users are not checked.
#[cfg(not(unix))]
fn check_rights(_: &Path) -> Result<(), Error> {
    Ok(())
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::File {
        path: path.to_owned(),
        reason: Arc::from(reason),
    }
}
