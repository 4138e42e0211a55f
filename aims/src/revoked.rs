//! The seam *revoked*: asked about every credential that a guard is about to trust, known from
//! before or fresh; and [`RevocationList`], the list that answers it.

mod list;

use std::fmt::Debug;
use std::sync::Arc;

use aims_jose::time::UnixTime;
use aims_oauth_rs::AccessToken;
use aims_wimse_cred::Wit;
pub use list::{RevocationList, RevokedBy};

/// A credential that verified.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Credential<'a> {
    /// An access token.
    AccessToken(&'a AccessToken),
    /// A workload identity token.
    Wit(&'a Wit),
}

/// Says whether a credential was revoked. Called on the request's own path: it answers from what it
/// holds.
///
/// ```
/// use aims::revoked::{Credential, Revoked};
/// use aims_jose::time::UnixTime;
///
/// /// Every agent beneath `spiffe://example.org/retired` is gone.
/// #[derive(Debug)]
/// struct Retired;
///
/// impl Revoked for Retired {
///     fn is_revoked(&self, credential: Credential<'_>, _now: UnixTime) -> bool {
///         matches!(credential, Credential::Wit(wit) if wit.id().path().starts_with("/retired/"))
///     }
/// }
/// ```
pub trait Revoked: Debug + Send + Sync {
    /// Whether it was. What cannot be known is revoked.
    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool;
}

impl<T: Revoked + ?Sized> Revoked for Arc<T> {
    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool {
        (**self).is_revoked(credential, now)
    }
}

/// The default: nothing is revoked before it expires.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NothingRevoked;

impl Revoked for NothingRevoked {
    fn is_revoked(&self, _: Credential<'_>, _: UnixTime) -> bool {
        false
    }
}
