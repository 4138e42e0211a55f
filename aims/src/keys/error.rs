//! Why keys were not had.

use crate::refresh::Keys;

/// The keys of one owner were not had. What was there before stays, until it is too old.
#[derive(Debug, thiserror::Error)]
#[error("the keys of `{keys}` were not had")]
pub struct KeysError {
    keys: Keys,
    #[source]
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error(transparent)]
    Bundle(#[from] wimse_cred::Error),
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    #[error(transparent)]
    Issuer(#[from] oauth_rs::Error),
    #[error(transparent)]
    Metadata(#[from] oauth_wire::Error),
}

impl KeysError {
    pub(super) const fn new(keys: Keys, cause: Cause) -> Self {
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
        match &self.cause {
            Cause::Bundle(error) => error.code(),
            Cause::Fetch(error) => error.code(),
            Cause::Issuer(error) => error.code(),
            Cause::Metadata(error) => error.code(),
        }
    }
}

impl Cause {
    /// There is nowhere left to ask.
    pub(super) const fn unknown_place() -> Self {
        Self::Fetch(fetch::Error::Status { status: 404 })
    }
}
