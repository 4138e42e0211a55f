//! Device authorization (RFC 8628): the user decides on another device.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::json;
use aims_jose::secret::SecretText;
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::names::{Endpoint, Issuer};
use aims_oauth_wire::token::{TokenError, TokenRequest, TokenResponse};
use serde::Deserialize;

use super::poll;
use super::{Grant, Target, TokenRules, USER};
use crate::call::{Called, ServerCall, endpoint_of};
use crate::{Error, Event, Flow, Step};

/// The grant type (RFC 8628 §3.4).
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Requests a code that a user enters on another device (RFC 8628 §3.1).
///
/// An attacker can start this flow and have a victim enter the code (RFC 10027 §3). Use it only on
/// a device that cannot open a browser, and never for sensitive access; otherwise use an
/// [`AuthorizationRequest`](crate::AuthorizationRequest). Show the code only to the user who
/// started, never through a model or a third party.
///
/// ```
/// use aims_jose::time::SystemClock;
/// use aims_oauth_client::{DeviceRequest, Error, Step, Token, TokenSource, drive};
/// use std::sync::Arc;
///
/// # use aims_fetch::Fetch;
/// # use aims_oauth_client::Target;
/// # use aims_oauth_wire::client_auth::Authenticate;
/// # use aims_jose::time::UnixTime;
/// async fn login(
///     source: &TokenSource,
///     client: Arc<dyn Authenticate>,
///     target: Target,
///     http: &dyn Fetch,
/// ) -> Result<Arc<Token>, Error> {
///     let first = DeviceRequest::new(target).begin(client, source.server(), UnixTime::now())?;
///     let login = drive(first, http, &SystemClock::new()).await?;
///     println!("open {} and enter {}", login.verification_uri().as_str(), login.user_code());
///     // The source needs a timeout of a few minutes.
///     source.redeem(login.into_grant()).await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is requested until `begin`"]
pub struct DeviceRequest {
    target: Target,
    rules: TokenRules,
}

/// A running request for a code.
#[derive(Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct DeviceFlow {
    call: ServerCall,
    target: Target,
    issuer: Issuer,
}

/// The code that the user enters, and the grant that waits for the user.
pub struct DeviceLogin {
    user_code: String,
    uri: Endpoint,
    complete: Option<Endpoint>,
    grant: DeviceCode,
}

/// Waits for a user who enters a code (RFC 8628 §3.4). It polls at the interval of the server.
#[derive(Clone)]
pub struct DeviceCode {
    code: SecretText,
    target: Target,
    interval: Duration,
    expires: UnixTime,
}

#[derive(Deserialize)]
struct Answer {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

impl DeviceRequest {
    /// Creates a request for a token of this target.
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            rules: TokenRules::new(),
        }
    }

    /// Sets which deviations of the server are accepted. Of these,
    /// [`omit_resource`](TokenRules::omit_resource) applies to this request.
    pub fn with_rules(mut self, rules: TokenRules) -> Self {
        self.rules = rules;
        self
    }

    /// Prepares the request.
    ///
    /// # Errors
    ///
    /// `grant.unsupported` or `metadata.member` if the server does not support the grant, and those
    /// of the client authentication.
    pub fn begin(
        self,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        now: UnixTime,
    ) -> Result<Step<DeviceLogin, DeviceFlow>, Error> {
        if !server.takes_grant(DEVICE_CODE) {
            return Err(Error::GrantType);
        }
        let (target, rules) = (self.target.clone(), self.rules);
        let id = client.client_id().clone();
        let write = move |_: &ServerMetadata, _| {
            let mut request = TokenRequest::form();
            request.parameter("client_id", id.as_str())?;
            target.write(&mut request)?;
            rules.shorten(&mut request);
            Ok(request)
        };
        let issuer = server.issuer().clone();
        let endpoint = EndpointKind::DeviceAuthorization;
        let call = ServerCall::new(endpoint, client, server, None, Arc::new(write));
        after(call.begin(now)?, self.target, issuer, now)
    }
}

impl Flow for DeviceFlow {
    type Output = DeviceLogin;

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<DeviceLogin, Self>, Error> {
        let step = self.call.advance(event, now)?;
        after(step, self.target, self.issuer, now)
    }
}

fn after(
    step: Step<Called, ServerCall>,
    target: Target,
    issuer: Issuer,
    now: UnixTime,
) -> Result<Step<DeviceLogin, DeviceFlow>, Error> {
    let flow = |call| DeviceFlow {
        call,
        target: target.clone(),
        issuer: issuer.clone(),
    };
    match step {
        Step::Done(called) => read(&called, target, &issuer, now).map(Step::Done),
        Step::Send(request, call) => Ok(Step::Send(request, flow(call))),
        Step::Sign(request, call) => Ok(Step::Sign(request, flow(call))),
        Step::Wait(time, call) => Ok(Step::Wait(time, flow(call))),
    }
}

fn read(
    called: &Called,
    target: Target,
    issuer: &Issuer,
    now: UnixTime,
) -> Result<DeviceLogin, Error> {
    if !called.answer.status().is_success() {
        let refused = TokenError::parse_with(called.answer.body(), &called.rules)?;
        return Err(aims_oauth_wire::Error::Refused(Box::new(refused)).into());
    }
    let unusable = |_malformed| {
        let reason = "expected `device_code`, `user_code`, `verification_uri` and `expires_in`";
        Error::from(aims_oauth_wire::Error::Response {
            reason,
            answer: None,
        })
    };
    let answer: Answer = json::from_document(called.answer.body()).map_err(unusable)?;
    if !is_shown_safely(&answer.user_code) {
        return Err(unshowable(
            "`user_code`: expected up to 64 printable ASCII characters",
        ));
    }
    let url = |text: &str| {
        if text.len() > MAX_URI || !text.bytes().all(|it| it.is_ascii_graphic()) {
            return Err(unshowable(
                "`verification_uri`: expected up to 2,048 printable ASCII characters",
            ));
        }
        endpoint_of(issuer, text)
    };
    let complete = answer.verification_uri_complete.as_deref().map(url);
    Ok(DeviceLogin {
        user_code: answer.user_code,
        uri: url(&answer.verification_uri)?,
        complete: complete.transpose()?,
        grant: DeviceCode {
            code: SecretText::new(answer.device_code),
            target,
            interval: poll::interval(answer.interval),
            expires: time::after(now, Duration::from_secs(answer.expires_in)),
        },
    })
}

/// The maximum length of a code, and of a URL.
const MAX_CODE: usize = 64;
const MAX_URI: usize = 2_048;

/// Returns whether a terminal shows the code as it is: no control characters, and none that look
/// like others or change the direction of text.
fn is_shown_safely(code: &str) -> bool {
    let is_printable = |it: u8| it.is_ascii_graphic() || it == b' ';
    !code.trim().is_empty() && code.len() <= MAX_CODE && code.bytes().all(is_printable)
}

pub(crate) fn unshowable(reason: &'static str) -> Error {
    Error::from(aims_oauth_wire::Error::Response {
        reason,
        answer: None,
    })
}

impl DeviceLogin {
    /// Returns the code. Show it in every case, also beside a link or a picture, so that the user
    /// can compare it (RFC 8628 §3.3.1).
    #[must_use]
    pub fn user_code(&self) -> &str {
        &self.user_code
    }

    /// Returns the URL that the user opens on another device.
    #[must_use]
    pub const fn verification_uri(&self) -> &Endpoint {
        &self.uri
    }

    /// Returns the URL that contains the code, if the server has one.
    #[must_use]
    pub const fn verification_uri_complete(&self) -> Option<&Endpoint> {
        self.complete.as_ref()
    }

    /// Returns when the code expires.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.grant.expires
    }

    /// Returns the grant that waits for the user.
    #[must_use]
    pub fn into_grant(self) -> DeviceCode {
        self.grant
    }
}

impl Grant for DeviceCode {
    fn grant_type(&self) -> &str {
        DEVICE_CODE
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn write(
        &self,
        request: &mut TokenRequest,
        _server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        request.parameter("device_code", self.code.clone())?;
        request.resource(self.target.resource())?;
        Ok(())
    }

    fn poll_after(
        &self,
        refusal: &TokenError,
        last: Option<Duration>,
        now: UnixTime,
    ) -> Option<Duration> {
        poll::after(refusal, last, self.interval, self.expires, now)
    }

    fn poll_unanswered(&self, last: Option<Duration>, now: UnixTime) -> Option<Duration> {
        poll::unanswered(last, self.interval, self.expires, now)
    }

    fn refresh_token(&self, response: &TokenResponse) -> Option<SecretText> {
        response.refresh_token().cloned()
    }

    fn cached_as(&self) -> &str {
        USER
    }
}

impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin")
            .field("uri", &self.uri)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceCode")
            .field("code", &self.code)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
