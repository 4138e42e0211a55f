//! Grants: what a client presents to get a token (RFC 6749 §1.3).

use std::fmt::Debug;
use std::time::Duration;

use aims_jose::time::UnixTime;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::{TokenError, TokenRequest};

mod client_credentials;
mod pending;
mod rules;
mod target;

pub use client_credentials::ClientCredentials;
pub use pending::{PendingToken, TokenFlow};
pub use rules::TokenRules;
pub use target::Target;

/// A way to get an access token.
///
/// A grant writes its parameters into the token request, and names the [`Target`] by which the
/// token is cached. [`TokenFlow`] and `TokenSource` accept any grant. An
/// [`Authenticate`](aims_oauth_wire::client_auth::Authenticate) adds the client authentication to
/// the same request.
///
/// ```
/// use aims_jose::secret::SecretText;
/// use aims_jose::time::UnixTime;
/// use aims_oauth_client::{Grant, Target};
/// use aims_oauth_wire::metadata::ServerMetadata;
/// use aims_oauth_wire::token::TokenRequest;
///
/// /// An assertion of another server (RFC 7523 §2.1).
/// #[derive(Debug)]
/// struct JwtBearer {
///     target: Target,
///     assertion: SecretText,
/// }
///
/// impl Grant for JwtBearer {
///     fn grant_type(&self) -> &str {
///         "urn:ietf:params:oauth:grant-type:jwt-bearer"
///     }
///
///     fn target(&self) -> &Target {
///         &self.target
///     }
///
///     fn write(
///         &self,
///         request: &mut TokenRequest,
///         _server: &ServerMetadata,
///         _now: UnixTime,
///     ) -> Result<(), aims_oauth_wire::Error> {
///         self.target.write(request)?;
///         request.parameter("assertion", self.assertion.expose())?;
///         Ok(())
///     }
/// }
/// ```
pub trait Grant: Debug + Send + Sync {
    /// Returns the value of `grant_type`.
    fn grant_type(&self) -> &str;

    /// Returns what the token is for. Tokens are cached by the target and the grant type.
    fn target(&self) -> &Target;

    /// Adds the parameters of the grant, except `grant_type`, to a request. [`Target::write`] adds
    /// `resource` and `scope`. It is called for each request.
    ///
    /// # Errors
    ///
    /// Those of [`TokenRequest`].
    fn write(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error>;

    /// Returns how long to wait before the same request is sent again after this error response, or
    /// `None` if the response is final, which is the default.
    ///
    /// It is for grants that poll (RFC 8628 §3.5, CIBA §11). `last` is the wait before this
    /// request.
    fn poll_after(
        &self,
        refusal: &TokenError,
        last: Option<Duration>,
        now: UnixTime,
    ) -> Option<Duration> {
        let _unused = (refusal, last, now);
        None
    }
}

impl<G: Grant + ?Sized> Grant for std::sync::Arc<G> {
    fn grant_type(&self) -> &str {
        (**self).grant_type()
    }

    fn target(&self) -> &Target {
        (**self).target()
    }

    fn write(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        (**self).write(request, server, now)
    }

    fn poll_after(
        &self,
        refusal: &TokenError,
        last: Option<Duration>,
        now: UnixTime,
    ) -> Option<Duration> {
        (**self).poll_after(refusal, last, now)
    }
}
