//! Client authentication by the identity of a workload.

use aims_jose::time::{Clock as _, SystemClock, UnixTime};
use aims_oauth_wire::client_auth::{SpiffeWit, WitCredential};
use aims_wimse_cred::IdentitySource;

use crate::Error;

/// Creates client authentication from an identity that renews itself. Needs the feature `workload`.
///
/// ```
/// use aims_oauth_client::{Error, OfIdentity as _};
/// use aims_oauth_wire::client_auth::SpiffeWit;
/// use aims_wimse_cred::source::IdentitySource;
///
/// fn client(source: impl IdentitySource + 'static) -> Result<SpiffeWit, Error> {
///     SpiffeWit::of(source)
/// }
/// ```
pub trait OfIdentity: Sized {
    /// Creates the client whose identifier is that of the identity.
    ///
    /// Each request is authenticated with the current identity of the source. Its key may be in a
    /// device or behind a network; [`TokenFlow`](crate::TokenFlow) and `TokenSource` wait for it.
    ///
    /// # Errors
    ///
    /// Those of [`of_at`](Self::of_at).
    fn of(source: impl IdentitySource + 'static) -> Result<Self, Error> {
        Self::of_at(source, SystemClock::new().now())
    }

    /// Creates the client with the identifier of the identity at this time, for a program with its
    /// own clock. Otherwise like [`of`](Self::of).
    ///
    /// # Errors
    ///
    /// `source.expired` or `source.unavailable` if there is no identity at that time.
    fn of_at(source: impl IdentitySource + 'static, now: UnixTime) -> Result<Self, Error>;
}

impl OfIdentity for SpiffeWit {
    fn of_at(source: impl IdentitySource + 'static, now: UnixTime) -> Result<Self, Error> {
        let identity = source.identity(now).map_err(Error::Identity)?;
        let client = identity.id().as_str().parse()?;
        Ok(Self::new(client, move |now| {
            let identity = source.identity(now)?;
            let signer = identity.signer().clone();
            Ok(WitCredential::new(identity.wit().clone(), signer))
        }))
    }
}
