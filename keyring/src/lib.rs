#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-keyring/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use aims_jose::secret::SecretText;
use aims_oauth_client::SealingKey;
pub use keyring_core;
use keyring_core::{CredentialStore, Entry};
use zeroize::Zeroizing;

pub use error::Error;

/// A keyring that holds the keys of sealed files.
#[derive(Clone)]
pub struct Keyring(Arc<CredentialStore>);

impl Keyring {
    /// Connects to the Secret Service of the user's session. Blocks.
    ///
    /// # Errors
    ///
    /// `keyring.unavailable` if there is none, as on most servers.
    #[cfg(feature = "secret-service")]
    #[cfg_attr(docsrs, doc(cfg(feature = "secret-service")))]
    pub fn system() -> Result<Self, Error> {
        let store = zbus_secret_service_keyring_store::Store::new();
        Ok(Self::over(store.map_err(Error::unavailable)?))
    }

    /// Uses another store, such as one of another operating system.
    #[must_use]
    pub fn over(store: Arc<CredentialStore>) -> Self {
        Self(store)
    }

    /// Returns the key of the sealed file at this path. It is created if the file does not exist.
    /// Blocks, and the keyring may ask the user to unlock it.
    ///
    /// A file beside this one, with the extension `keyring`, is locked meanwhile, so that programs
    /// that start at the same time get one key.
    ///
    /// # Errors
    ///
    /// - `keyring.unavailable` if the keyring cannot be used.
    /// - `keyring.lost` if the file exists and the keyring has no key for it.
    /// - `keyring.content` if the entry is no key.
    /// - `keyring.file` if the folder of the file cannot be used.
    pub fn sealing_key(&self, path: &Path) -> Result<SealingKey, Error> {
        let path = absolute(path)?;
        let _locked = lock(&path)?;
        let entry = Entry::new_in_store(&self.0, SERVICE, &path.to_string_lossy());
        let entry = entry.map_err(Error::unavailable)?;
        let text = match read(&entry)? {
            Some(text) => text,
            None if fs::symlink_metadata(&path).is_ok() => return Err(Error::Lost { path }),
            None => create(&entry)?,
        };
        SealingKey::from_text(&text).map_err(Error::Content)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.0.vendor()).finish()
    }
}

/// Returns the text of an entry, or `None` if there is no entry.
fn read(entry: &Entry) -> Result<Option<SecretText>, Error> {
    match entry.get_secret() {
        Ok(secret) => {
            let secret = Zeroizing::new(secret);
            // What is not UTF-8 is no key either.
            let text = str::from_utf8(&secret).unwrap_or_default();
            Ok(Some(SecretText::new(text)))
        }
        Err(keyring_core::Error::NoEntry) => Ok(None),
        Err(error) => Err(Error::unavailable(error)),
    }
}

/// Creates a key. Returns it as the keyring kept it.
fn create(entry: &Entry) -> Result<SecretText, Error> {
    let text = SealingKey::generate().map_err(Error::Content)?;
    let kept = entry.set_secret(text.expose().as_bytes());
    kept.map_err(Error::unavailable)?;
    let kept = read(entry)?;
    kept.ok_or_else(|| Error::unavailable(keyring_core::Error::NoEntry))
}

/// Returns the path by which the entry is named, whatever the folder of the program is.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let of = |error| Error::File {
        path: path.to_owned(),
        error,
    };
    let name = path.file_name().ok_or_else(|| {
        let reason = "expected the name of a file";
        of(io::Error::new(io::ErrorKind::InvalidInput, reason))
    })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(folder.canonicalize().map_err(of)?.join(name))
}

/// Locks the file beside the sealed one until it is dropped.
fn lock(path: &Path) -> Result<File, Error> {
    let beside = path.with_added_extension("keyring");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let locked = options.open(&beside).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    locked.map_err(|error| Error::File {
        path: beside,
        error,
    })
}

/// The name under which keyrings show the entries.
const SERVICE: &str = "aims";
