//! Why keys were not had.

use std::sync::Arc;

use aims_error::ErrorKind;

use crate::refresh::Keys;

/// The keys of one owner were not had. What was there before stays, until it is too old.
#[derive(Debug, thiserror::Error)]
#[error("the keys of `{keys}` were not had")]
pub struct KeysError {
    keys: Keys,
    #[source]
    cause: Arc<Cause>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error(transparent)]
    Bundle(#[from] aims_wimse_cred::Error),
    #[error(transparent)]
    Fetch(#[from] aims_fetch::Error),
    #[error("the task that fetches them ended without a result")]
    Interrupted,
    #[error(transparent)]
    Issuer(#[from] aims_oauth_rs::Error),
    #[error(transparent)]
    Metadata(#[from] aims_oauth_wire::Error),
    #[error("the issuer has metadata at none of its well-known places")]
    NoMetadata,
}

impl Cause {
    aims_error::codes! {
        Self::Interrupted => Unavailable "keys.interrupted",
        Self::NoMetadata => Unavailable "keys.no_metadata",
        ;
        Self::Bundle(error) => error.code(), error.kind();
        Self::Fetch(error) => error.code(), error.kind();
        Self::Issuer(error) => error.code(), error.kind();
        Self::Metadata(error) => error.code(), error.kind();
    }
}

impl KeysError {
    /// The codes that this error has of its own. It also returns those of the error that caused it.
    pub const CODES: &'static [&'static str] = Cause::CODES;

    pub(super) const fn new(keys: Keys, cause: Arc<Cause>) -> Self {
        Self { keys, cause }
    }

    /// Whose keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The stable code of what was wrong: of fetching, of the issuer's metadata, or of the keys.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.cause.code()
    }

    /// The kind of what was wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.cause.kind()
    }
}
