//! Why keys could not be fetched or used.

use std::fmt;
use std::sync::Arc;

use aims_error::ErrorKind;
use aims_jose::jwk::SkippedKeys;
use aims_oauth_wire::metadata::attempt::Attempts;

use crate::resolve::Keys;

/// The keys of one owner could not be fetched or used. The keys from before stay, until they are
/// too old.
#[derive(Debug, thiserror::Error)]
#[error("cannot get the keys of `{keys}`{}", InBrackets(asked))]
pub struct KeysError {
    keys: Keys,
    #[source]
    cause: Arc<Cause>,
    asked: Attempts,
}

/// Why, and which places answered what.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) cause: Arc<Cause>,
    pub(super) asked: Attempts,
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
    #[error(
        "the bundle at `{url}` has no usable key: expected {expected}, found `use` {found}{skipped}"
    )]
    Unusable {
        url: Box<str>,
        expected: &'static str,
        found: Box<str>,
        skipped: SkippedKeys,
    },
    #[error(
        "expected metadata at a well-known place of the issuer, found none; check the issuer, or name its key set with `PublishedKeys::builder().issuer_at`"
    )]
    NoMetadata,
}

impl Cause {
    aims_error::codes! {
        Self::Interrupted => Unavailable "keys.interrupted",
        Self::NoMetadata => Unavailable "keys.no_metadata",
        Self::Unusable { .. } => Untrusted "keys.unusable",
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

    #[doc(hidden)]
    pub const KINDS: &'static [(&'static str, ErrorKind)] = Cause::KINDS;

    pub(super) fn new(keys: Keys, Failed { cause, asked }: Failed) -> Self {
        Self { keys, cause, asked }
    }

    /// The places that were asked, and what each answered.
    #[must_use]
    pub const fn asked(&self) -> &Attempts {
        &self.asked
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

impl From<Cause> for Failed {
    fn from(cause: Cause) -> Self {
        Arc::new(cause).into()
    }
}

impl From<Arc<Cause>> for Failed {
    fn from(cause: Arc<Cause>) -> Self {
        let asked = Attempts::new();
        Self { cause, asked }
    }
}

/// The places in brackets, or nothing.
struct InBrackets<'a>(&'a Attempts);

impl fmt::Display for InBrackets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.0)
    }
}
