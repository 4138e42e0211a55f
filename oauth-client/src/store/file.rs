//! Tokens in a sealed file.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, SystemClock, at};
use serde::{Deserialize, Serialize};

use super::key_file::{beside, check, new_file, open, sync_folder, unavailable, user_beside};
use super::{CAPACITY, Entry, SealingKey, StoreFuture, StoreKey, StoredValue, TokenStore, Values};
use crate::Error;

/// The first bytes of the file. They are covered by the seal.
const MAGIC: &[u8] = b"aims tokens 2\n";
/// The maximum length of the file, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Keeps tokens in one file that only its owner can read, sealed with the key of a key file
/// (XChaCha20-Poly1305). Needs the feature `file-store` and a Unix system.
///
/// Several processes share it: each change is made under a lock of the file system, written to a
/// new file, and renamed. A program that can read both files can use the tokens, so keep the
/// key file on another medium than backups of the store. It holds at most 10,000 values.
///
/// ```
/// use aims_oauth_client::{Error, FileStore};
///
/// fn store(folder: &std::path::Path) -> Result<FileStore, Error> {
///     FileStore::open(folder.join("tokens"), folder.join("tokens.key"))
/// }
/// ```
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    key: SealingKey,
    clock: SystemClock,
    /// The user that this process runs as.
    user: u32,
}

/// The content of the file.
#[derive(Default, Deserialize, Serialize)]
struct Content {
    last: u64,
    tokens: Vec<(Box<str>, String, u64, Option<u64>)>,
}

impl FileStore {
    /// Opens a store. Both files are created if they do not exist, with the permissions `0600`.
    ///
    /// # Errors
    ///
    /// - `store.permissions` if a file belongs to another user, or others can read it.
    /// - `store.content` if the file was not sealed with this key, or was changed.
    /// - `store.unavailable` if a file cannot be read or written.
    pub fn open(path: impl Into<PathBuf>, key: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, SealingKey::from_file(key)?)
    }

    /// Opens a store with a key from another place than a key file.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_with(path: impl Into<PathBuf>, key: SealingKey) -> Result<Self, Error> {
        let path = path.into();
        let inner = Inner {
            user: user_beside(&path)?,
            path,
            key,
            clock: SystemClock::new(),
        };
        // Tells of a wrong key at once.
        inner.locked(|_| Ok(((), false)))?;
        Ok(Self(Arc::new(inner)))
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        let task = tokio::task::spawn_blocking(move || work(&inner));
        task.await.unwrap_or(Err(Error::Interrupted))
    }
}

impl TokenStore for FileStore {
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>> {
        let key = key.clone();
        Box::pin(self.with(move |inner| inner.locked(|values| Ok((values.get(&key), false)))))
    }

    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<StoredValue>,
    ) -> StoreFuture<'a, Option<u64>> {
        let key = key.clone();
        Box::pin(self.with(move |inner| {
            inner.locked(|values| {
                let now = inner.clock.now();
                let swapped = values.swap(&key, version, value, CAPACITY, now)?;
                Ok((swapped, swapped.is_some()))
            })
        }))
    }

    fn keys<'a>(&'a self, group: &'a str) -> StoreFuture<'a, Vec<StoreKey>> {
        let group = group.to_owned();
        Box::pin(self.with(move |inner| inner.locked(|values| Ok((values.keys(&group), false)))))
    }

    fn is_sealed(&self) -> bool {
        true
    }
}

impl Inner {
    /// Reads the values under the lock, and writes them if the function returns `true`.
    fn locked<T>(
        &self,
        change: impl FnOnce(&mut Values) -> Result<(T, bool), Error>,
    ) -> Result<T, Error> {
        let lock = open(&beside(&self.path, "lock"), self.user)?;
        lock.lock().map_err(unavailable)?;
        let mut values = self.read()?;
        let (result, is_changed) = change(&mut values)?;
        if is_changed {
            self.write(&values)?;
        }
        // The lock ends with the file.
        drop(lock);
        Ok(result)
    }

    fn read(&self) -> Result<Values, Error> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Values::default()),
            Err(error) => return Err(unavailable(error)),
        };
        check(&self.path, &file, self.user)?;
        if file.metadata().map_err(unavailable)?.len() > MAX_FILE {
            return Err(Error::StoreContent);
        }
        let mut sealed = Vec::new();
        file.read_to_end(&mut sealed).map_err(unavailable)?;
        let sealed = sealed.strip_prefix(MAGIC).ok_or(Error::StoreContent)?;
        let opened = self.key.open(MAGIC, sealed)?;
        let content: Content =
            serde_json::from_str(opened.expose()).or(Err(Error::StoreContent))?;
        let all = content.tokens.into_iter();
        let entry = |(key, text, version, until): (Box<str>, String, u64, Option<u64>)| {
            let text = SecretText::new(text);
            let until = until.map(at);
            let value = StoredValue { text, until };
            (key, Entry { value, version })
        };
        Ok(Values {
            all: all.map(entry).collect(),
            last: content.last,
        })
    }

    fn write(&self, values: &Values) -> Result<(), Error> {
        let tokens = values.all.iter();
        let content = Content {
            last: values.last,
            tokens: tokens
                .map(|(key, Entry { value, version })| {
                    let text = value.text.expose().to_owned();
                    let until = value.until.map(|until| until.as_secs());
                    (key.clone(), text, *version, until)
                })
                .collect(),
        };
        let plain = serde_json::to_string(&content).or(Err(Error::StoreContent))?;
        let sealed = self.key.seal(MAGIC, &SecretText::new(plain))?;
        let new = beside(&self.path, "new");
        // A file that a killed process left is replaced.
        let _absent = fs::remove_file(&new);
        let mut file = new_file(&new)?;
        for part in [MAGIC, &sealed] {
            file.write_all(part).map_err(unavailable)?;
        }
        file.sync_all().map_err(unavailable)?;
        fs::rename(&new, &self.path).map_err(unavailable)?;
        sync_folder(&self.path)
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}
