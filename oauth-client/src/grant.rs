//! Grants: what a client presents to get a token (RFC 6749 §1.3).

use std::fmt::Debug;
use std::time::Duration;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::token::{TokenError, TokenRequest, TokenResponse};

use crate::Error;

mod certificate;
mod ciba;
mod client_credentials;
mod details;
mod device;
mod exchange;
mod flow;
mod jwt_bearer;
mod pending;
mod poll;
mod refresh;
mod rules;
mod target;

pub use ciba::{Backchannel, BackchannelFlow, BackchannelRequest, Pings, UserHint};
#[cfg(feature = "tokio")]
pub(crate) use client_credentials::CLIENT_CREDENTIALS;
pub use client_credentials::ClientCredentials;
#[cfg(feature = "tokio")]
pub(crate) use device::DEVICE_CODE;
#[cfg(feature = "tokio")]
pub(crate) use device::unshowable;
pub use device::{DeviceCode, DeviceFlow, DeviceLogin, DeviceRequest};
pub use exchange::{
    Acting, ActorToken, Delegation, IdJag, IdJagRequest, Impersonation, JwtGrant, JwtGrantRequest,
    NoActor, SubjectToken, TokenExchange, TransactionToken, TransactionTokenRequest,
};
pub use flow::TokenFlow;
#[cfg(feature = "tokio")]
pub(crate) use jwt_bearer::{Accepted, JWT_BEARER};
pub use jwt_bearer::{GrantAudience, JwtBearer};
pub use pending::PendingToken;
pub use refresh::{Refresh, UserGrant};
pub use rules::TokenRules;
pub use target::Target;
#[cfg(feature = "tokio")]
pub(crate) use target::details;

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

    /// Returns how long to wait before the same request is sent again because no answer arrived, or
    /// one of a server that failed or is busy. `None` gives up, which is the default. It is for
    /// grants that poll.
    fn poll_unanswered(&self, last: Option<Duration>, now: UnixTime) -> Option<Duration> {
        let _unused = (last, now);
        None
    }

    /// Returns how long one request may take, if that may be longer than what the HTTP client
    /// allows otherwise: for a server that holds requests (long polling). Defaults to `None`.
    fn answered_within(&self) -> Option<Duration> {
        None
    }

    /// Judges a response that is a usable token, by what this grant requested. Accepts it by
    /// default.
    ///
    /// # Errors
    ///
    /// The errors of the grant, such as `grant.actor`.
    fn judge(&self, response: &TokenResponse, now: UnixTime) -> Result<(), Error> {
        let _unused = (response, now);
        Ok(())
    }

    /// Returns the refresh token to keep after this response. Defaults to `None`: the grants of a
    /// client for itself have none (RFC 6749 §4.4.3, RFC 7521 §4.1).
    fn refresh_token(&self, response: &TokenResponse) -> Option<SecretText> {
        let _unused = response;
        None
    }

    /// Returns the end that the token has at the latest, whatever the response states: that of the
    /// token that was exchanged. Defaults to `None`.
    fn ends_by(&self) -> Option<UnixTime> {
        None
    }

    /// Returns the scopes that the server granted before. They count if a response states none, and
    /// a response may grant them again.
    fn granted_before(&self) -> Option<&ScopeSet> {
        None
    }

    /// Returns the authorization details that the server granted before, as JSON. They count as
    /// [`granted_before`](Self::granted_before) does.
    fn details_granted_before(&self) -> Option<&str> {
        None
    }

    /// Returns whether [`judge`](Self::judge) judges the granted authorization details. Otherwise,
    /// they must be the requested ones or fewer (RFC 9396 §7).
    fn judges_details(&self) -> bool {
        false
    }

    /// Returns the name under which tokens of this grant are cached. Tokens of grants with equal
    /// names and targets are interchangeable. Defaults to the grant type.
    fn cached_as(&self) -> &str {
        self.grant_type()
    }

    /// Returns the error of the last attempt as the caller gets it. Defaults to the same error. It
    /// is for a grant that knows more of what it sent than the server says.
    fn judge_error(&self, error: Error) -> Error {
        error
    }

    /// Returns whether the grant cannot request a token, so that only a stored token or refresh
    /// token helps. Defaults to `false`.
    fn is_stored_only(&self) -> bool {
        false
    }
}

/// The name under which tokens that a user granted are cached.
pub(crate) const USER: &str = "user";

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

    fn poll_unanswered(&self, last: Option<Duration>, now: UnixTime) -> Option<Duration> {
        (**self).poll_unanswered(last, now)
    }

    fn answered_within(&self) -> Option<Duration> {
        (**self).answered_within()
    }

    fn judge(&self, response: &TokenResponse, now: UnixTime) -> Result<(), Error> {
        (**self).judge(response, now)
    }

    fn refresh_token(&self, response: &TokenResponse) -> Option<SecretText> {
        (**self).refresh_token(response)
    }

    fn ends_by(&self) -> Option<UnixTime> {
        (**self).ends_by()
    }

    fn granted_before(&self) -> Option<&ScopeSet> {
        (**self).granted_before()
    }

    fn details_granted_before(&self) -> Option<&str> {
        (**self).details_granted_before()
    }

    fn judges_details(&self) -> bool {
        (**self).judges_details()
    }

    fn cached_as(&self) -> &str {
        (**self).cached_as()
    }

    fn judge_error(&self, error: Error) -> Error {
        (**self).judge_error(error)
    }

    fn is_stored_only(&self) -> bool {
        (**self).is_stored_only()
    }
}
