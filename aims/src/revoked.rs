//! Revocation: the guard asks [`Revoked`] about every credential that it verified, cached or not.
//!
//! [`RevocationList`] is an implementation in memory. This module needs the feature `tool`.

mod by;
mod list;

use std::fmt::Debug;
use std::sync::Arc;

use aims_jose::time::UnixTime;
use aims_oauth_rs::AccessToken;
use aims_txn_token::TxnToken;
use aims_wimse_cred::Wit;
pub use by::RevokedBy;
pub use list::RevocationList;

/// A credential that the guard has verified.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Credential<'a> {
    /// An access token.
    AccessToken(&'a AccessToken),
    /// A transaction token.
    TransactionToken(&'a TxnToken),
    /// A workload identity token.
    Wit(&'a Wit),
}

/// Tells whether a credential is revoked.
///
/// The guard calls it while it handles the request, so an implementation answers from memory.
///
/// ```
/// use aims::revoked::{Credential, Revoked};
/// use aims_jose::time::UnixTime;
///
/// /// Every agent beneath `spiffe://example.org/retired` is revoked.
/// #[derive(Debug)]
/// struct Retired;
///
/// impl Revoked for Retired {
///     fn is_revoked(&self, credential: Credential<'_>, _now: UnixTime) -> bool {
///         matches!(credential, Credential::Wit(wit) if wit.id().path().starts_with("/retired/"))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of revocations",
    note = "give a `RevocationList`, or implement `Revoked` for a type of your own"
)]
pub trait Revoked: Debug + Send + Sync {
    /// Returns whether the credential is revoked at the time `now`. If you cannot know, return
    /// `true`.
    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool;

    /// Returns whether the implementation knows of all revocations. Otherwise the guard refuses
    /// every credential with 503 (`guard.revocations_stale`), cached or not.
    ///
    /// The default is `true`, which suits a source that depends on no other server.
    fn is_current(&self) -> bool {
        true
    }
}

impl<T: Revoked + ?Sized> Revoked for Arc<T> {
    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool {
        (**self).is_revoked(credential, now)
    }

    fn is_current(&self) -> bool {
        (**self).is_current()
    }
}

/// The default: no credential is revoked before it expires.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NothingRevoked;

impl Revoked for NothingRevoked {
    fn is_revoked(&self, _: Credential<'_>, _: UnixTime) -> bool {
        false
    }
}
