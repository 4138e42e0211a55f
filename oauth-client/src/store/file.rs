//! Tokens in a sealed file.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aims_jose::base64url;
use aims_jose::random::{self, SecureRandom};
use aims_jose::secret::SecretText;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};

use super::{StoreFuture, StoreKey, TokenStore, Values};
use crate::Error;

/// The first bytes of the file. They are covered by the seal.
const MAGIC: &[u8] = b"aims tokens 1\n";
const NONCE: usize = 24;
/// The maximum length of the file, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Keeps tokens in one file that only its owner can read, sealed with the key of a key file
/// (XChaCha20-Poly1305). Needs the feature `file-store` and a Unix system.
///
/// Several processes share it: each change is made under a lock of the file system, written to a
/// new file, and renamed. A program that can read both files can use the tokens, so keep the
/// key file on another medium than backups of the store.
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
    cipher: XChaCha20Poly1305,
    random: &'static dyn SecureRandom,
    /// The user that this process runs as.
    user: u32,
}

/// The content of the file.
#[derive(Default, Deserialize, Serialize)]
struct Content {
    last: u64,
    tokens: Vec<(Box<str>, String, u64)>,
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
        let (path, key) = (path.into(), key.as_ref());
        let user = user_beside(&path)?;
        let cipher = cipher(key, user)?;
        let inner = Inner {
            path,
            cipher,
            random: random::SYSTEM,
            user,
        };
        // Tells of a wrong key at once.
        inner.locked(|_| false)?;
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
        Box::pin(self.with(move |inner| {
            let mut found = None;
            inner.locked(|values| {
                found = values.get(&key);
                false
            })?;
            Ok(found)
        }))
    }

    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<SecretText>,
    ) -> StoreFuture<'a, Option<u64>> {
        let key = key.clone();
        Box::pin(self.with(move |inner| {
            let mut swapped = None;
            inner.locked(|values| {
                swapped = values.swap(&key, version, value);
                swapped.is_some()
            })?;
            Ok(swapped)
        }))
    }
}

impl Inner {
    /// Reads the values under the lock, and writes them if the function returns `true`.
    fn locked(&self, change: impl FnOnce(&mut Values) -> bool) -> Result<(), Error> {
        let lock = open(&beside(&self.path, "lock"), self.user)?;
        lock.lock().map_err(unavailable)?;
        let mut values = self.read()?;
        if change(&mut values) {
            self.write(&values)?;
        }
        // The lock ends with the file.
        drop(lock);
        Ok(())
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
        let rest = sealed.strip_prefix(MAGIC).ok_or(Error::StoreContent)?;
        let (nonce, text) = rest.split_at_checked(NONCE).ok_or(Error::StoreContent)?;
        let nonce = XNonce::try_from(nonce).or(Err(Error::StoreContent))?;
        let payload = Payload {
            msg: text,
            aad: MAGIC,
        };
        let opened = self
            .cipher
            .decrypt(&nonce, payload)
            .or(Err(Error::StoreContent))?;
        let opened = zeroize::Zeroizing::new(opened);
        let content: Content = serde_json::from_slice(&opened).or(Err(Error::StoreContent))?;
        let all = content.tokens.into_iter();
        Ok(Values {
            all: all
                .map(|(key, text, version)| (key, (SecretText::new(text), version)))
                .collect(),
            last: content.last,
        })
    }

    fn write(&self, values: &Values) -> Result<(), Error> {
        let tokens = values.all.iter();
        let content = Content {
            last: values.last,
            tokens: tokens
                .map(|(key, (text, version))| (key.clone(), text.expose().to_owned(), *version))
                .collect(),
        };
        let plain = serde_json::to_vec(&content).or(Err(Error::StoreContent))?;
        let plain = zeroize::Zeroizing::new(plain);
        let mut nonce = [0; NONCE];
        self.random.fill(&mut nonce).map_err(Error::Random)?;
        let payload = Payload {
            msg: &plain,
            aad: MAGIC,
        };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.or(Err(Error::StoreContent))?;
        let new = beside(&self.path, "new");
        // A file that a killed process left is replaced.
        let _absent = fs::remove_file(&new);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&new);
        let mut file = file.map_err(unavailable)?;
        for part in [MAGIC, &nonce, &sealed] {
            file.write_all(part).map_err(unavailable)?;
        }
        file.sync_all().map_err(unavailable)?;
        fs::rename(&new, &self.path).map_err(unavailable)?;
        // The name is durable when the folder is.
        if let Some(folder) = self.path.parent().filter(|it| !it.as_os_str().is_empty()) {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(unavailable)?;
        }
        Ok(())
    }
}

/// Returns the cipher of a key file, which is created if it does not exist.
fn cipher(path: &Path, user: u32) -> Result<XChaCha20Poly1305, Error> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let mut key = zeroize::Zeroizing::new([0; 32]);
            random::SYSTEM
                .fill(key.as_mut_slice())
                .map_err(Error::Random)?;
            let text = SecretText::new(base64url::encode(key.as_slice()));
            file.write_all(text.expose().as_bytes())
                .map_err(unavailable)?;
            file.sync_all().map_err(unavailable)?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unavailable(error)),
    }
    let file = File::open(path).map_err(unavailable)?;
    check(path, &file, user)?;
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = file.take(1_024).read_to_string(&mut text);
    read.map_err(unavailable)?;
    let key = base64url::decode(text.trim()).or(Err(Error::StoreContent))?;
    let key = zeroize::Zeroizing::new(key);
    XChaCha20Poly1305::new_from_slice(&key).or(Err(Error::StoreContent))
}

/// Opens a file that may not exist yet.
fn open(path: &Path, user: u32) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.mode(0o600).open(path).map_err(unavailable)?;
    check(path, &file, user)?;
    Ok(file)
}

/// Checks that a file belongs to this user, and that no other user can read or write it.
fn check(path: &Path, file: &File, user: u32) -> Result<(), Error> {
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

/// Returns the user of this process: the owner of a new file beside the store.
fn user_beside(path: &Path) -> Result<u32, Error> {
    let id = random::id128(random::SYSTEM).map_err(Error::Random)?;
    let probe = beside(path, &id);
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&probe);
    let file = file.map_err(unavailable)?;
    let user = file.metadata().map(|it| it.uid()).map_err(unavailable);
    fs::remove_file(&probe).map_err(unavailable)?;
    user
}

/// Returns the path of a file beside this one.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

fn unavailable(error: io::Error) -> Error {
    Error::Store(Arc::new(error))
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}
