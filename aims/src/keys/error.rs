//! The errors of fetching and using keys.

use std::fmt;
use std::sync::Arc;

use aims_error::ErrorKind;
use aims_jose::jwk::SkippedKeys;
use aims_oauth_wire::metadata::attempt::Attempts;

use crate::resolve::Keys;

/// Error returned when the keys of one owner cannot be fetched or used.
///
/// Earlier keys stay in the stores until they are too old.
#[derive(Debug, thiserror::Error)]
#[error("cannot get the keys of `{keys}`{}", InBrackets(asked))]
pub struct KeysError {
    keys: Keys,
    #[source]
    cause: Arc<Cause>,
    asked: Attempts,
}

/// The cause, and what each URL answered.
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
    /// The codes that are specific to this error. It also has the codes of its causes.
    pub const CODES: &'static [&'static str] = Cause::CODES;

    #[doc(hidden)]
    pub const KINDS: &'static [(&'static str, ErrorKind)] = Cause::KINDS;

    pub(super) fn new(keys: Keys, Failed { cause, asked }: Failed) -> Self {
        Self { keys, cause, asked }
    }

    /// Returns the URLs that were asked, and the answer of each.
    #[must_use]
    pub const fn asked(&self) -> &Attempts {
        &self.asked
    }

    /// Returns the owner of the keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the stable code of the cause: fetching, the issuer's metadata, or the keys.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.cause.code()
    }

    /// Returns the kind of the cause.
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

/// Displays the URLs in brackets, or nothing if there are none.
struct InBrackets<'a>(&'a Attempts);

impl fmt::Display for InBrackets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.0)
    }
}
