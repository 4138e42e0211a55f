//! Errors of keyrings.

use std::io;
use std::path::PathBuf;

/// The key of a sealed file cannot be had from a keyring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system has no keyring, or it is locked.
    #[error("the keyring cannot be used; sign in to a desktop session with one, or use a key file")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The sealed file exists, and the keyring has no key for it.
    #[error(
        "the keyring has no key for {}, which exists: use the key file that it was sealed with, or remove the file",
        path.display()
    )]
    Lost {
        /// The sealed file.
        path: PathBuf,
    },
    /// The entry of the keyring is no key.
    #[error("the entry of the keyring is no key; remove the entry and the sealed file")]
    Content(#[source] aims_oauth_client::Error),
    /// The folder of the sealed file cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        error: io::Error,
    },
}

impl Error {
    aims_error::codes! {
        Self::Unavailable(_) => Unavailable "keyring.unavailable",
        Self::Lost { .. } => Configuration "keyring.lost",
        Self::Content(_) => Malformed "keyring.content",
        Self::File { .. } => Unavailable "keyring.file",
    }

    pub(crate) fn unavailable(error: keyring_core::Error) -> Self {
        // The error of a malformed entry has its bytes.
        Self::Unavailable(match error {
            keyring_core::Error::BadEncoding(_) | keyring_core::Error::BadDataFormat(..) => {
                "the entry is malformed".into()
            }
            error => Box::new(error),
        })
    }
}
