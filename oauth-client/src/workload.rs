//! A workload's own identity as the authentication of a client.

use aims_jose::time::{Clock as _, SystemClock, UnixTime};
use aims_oauth_wire::client_auth::{SpiffeWit, WitCredential};
use aims_wimse_cred::IdentitySource;

use crate::Error;

/// Client authentication by an identity that renews itself.
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
    /// The client whose identifier is that of the identity. Each request is authenticated by the
    /// identity that the source has at that moment. Its key may be in a device or behind a network:
    /// [`TokenFlow`](crate::TokenFlow), and so `TokenSource`, wait for it.
    ///
    /// # Errors
    ///
    /// Those of [`of_at`](Self::of_at).
    fn of(source: impl IdentitySource + 'static) -> Result<Self, Error> {
        Self::of_at(source, SystemClock::new().now())
    }

    /// As [`of`](Self::of), for a program whose clock is not the system's: the identifier is that
    /// of the identity at this time.
    ///
    /// # Errors
    ///
    /// `source.expired`, `source.unavailable` where there is no identity then.
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
