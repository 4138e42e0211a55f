//! Files that only their owner can read, and the key file among them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aims_jose::random;
use aims_jose::secret::SecretText;
use zeroize::Zeroizing;

use super::SealingKey;
use crate::Error;

impl SealingKey {
    /// Reads a key file, which is created with the permissions `0600` if it does not exist. Needs a
    /// Unix system.
    ///
    /// The file appears complete: it is written under another name, and linked.
    ///
    /// # Errors
    ///
    /// - `store.permissions` if it belongs to another user, or others can read it.
    /// - `store.content` if it is not a key.
    /// - `store.unavailable` if it cannot be read or written.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let user = match fs::symlink_metadata(path) {
            Ok(_exists) => user_beside(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(unavailable(error)),
        };
        let file = File::open(path).map_err(unavailable)?;
        check(path, &file, user)?;
        let mut text = Zeroizing::new(String::new());
        let read = file.take(1_024).read_to_string(&mut text);
        read.map_err(unavailable)?;
        Self::from_text(&SecretText::new(text.as_str()))
    }
}

/// Creates a key file, unless another process is faster. Returns the user of this process.
fn create(path: &Path) -> Result<u32, Error> {
    let (new, mut file) = temporary(path)?;
    let made = (|| {
        let user = file.metadata().map_err(unavailable)?.uid();
        let text = SealingKey::generate()?;
        let text = text.expose().as_bytes();
        file.write_all(text).map_err(unavailable)?;
        file.sync_all().map_err(unavailable)?;
        match fs::hard_link(&new, path) {
            Ok(()) => sync_folder(path)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unavailable(error)),
        }
        Ok(user)
    })();
    fs::remove_file(&new).map_err(unavailable)?;
    made
}

/// Returns the user of this process: the owner of a new file beside this one.
pub(super) fn user_beside(path: &Path) -> Result<u32, Error> {
    let (probe, file) = temporary(path)?;
    let user = file.metadata().map(|it| it.uid()).map_err(unavailable);
    fs::remove_file(&probe).map_err(unavailable)?;
    user
}

/// Creates a file with a random name beside this one.
fn temporary(path: &Path) -> Result<(PathBuf, File), Error> {
    let id = random::id128(random::SYSTEM).map_err(Error::Random)?;
    let path = beside(path, &id);
    let file = new_file(&path)?;
    Ok((path, file))
}

/// Creates a file that must not exist.
pub(super) fn new_file(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.map_err(unavailable)
}

/// Makes the name of a file durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(unavailable)
}

/// Opens a file that may not exist yet.
#[cfg(feature = "file-store")]
pub(super) fn open(path: &Path, user: u32) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.mode(0o600).open(path).map_err(unavailable)?;
    check(path, &file, user)?;
    Ok(file)
}

/// Checks that a file belongs to this user, and that no other user can read or write it.
pub(super) fn check(path: &Path, file: &File, user: u32) -> Result<(), Error> {
    let found = file.metadata().map_err(unavailable)?;
    if found.uid() == user && found.mode() & 0o077 == 0 && found.is_file() {
        return Ok(());
    }
    Err(Error::StorePermissions {
        path: path.display().to_string().into(),
        mode: found.mode() & 0o777,
        is_own: found.uid() == user,
    })
}

/// Returns the path of a file beside this one.
pub(super) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

pub(super) fn unavailable(error: io::Error) -> Error {
    Error::Store(Arc::new(error))
}
