//! Backchannel authentication (OpenID CIBA Core 1.0), by polling or by ping: the user decides on a
//! device that the server already knows.

mod hint;
mod ping;
mod signed;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::json;
use aims_jose::key::AnySigner;
use aims_jose::random::{self, SecureRandom};
use aims_jose::secret::SecretText;
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::token::{TokenError, TokenRequest, TokenResponse};
use serde::Deserialize;

pub use self::hint::UserHint;
use self::ping::Pinged;
pub use self::ping::Pings;
use super::poll;
use super::{Grant, Target, TokenRules, USER};
use crate::call::{Called, ServerCall};
use crate::{Error, Event, Flow, RevocationFlow, Step};

/// The grant type (CIBA Core §10.1).
const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// Asks a user to approve something on the user's own device (CIBA Core §7.1).
///
/// The binding message is shown to the user there. Never let it be text of a model: use a short
/// code that the program shows too, such as one of a
/// [`CallDigest`](aims_oauth_wire::call::CallDigest).
///
/// ```
/// use aims_oauth_client::{BackchannelRequest, Target};
///
/// let target = Target::new("https://tools.example/mcp".parse()?, "openid pay".parse()?);
/// let request = BackchannelRequest::new(target, "alice@example.org").binding_message("K7-42");
/// # drop(request);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is requested until `begin`"]
pub struct BackchannelRequest {
    target: Target,
    hint: UserHint,
    further: Vec<(&'static str, SecretText)>,
    rules: TokenRules,
    signer: Option<AnySigner>,
    pings: Option<Pings>,
    random: &'static dyn SecureRandom,
}

/// A running request to the backchannel authentication endpoint.
#[derive(Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct BackchannelFlow {
    call: ServerCall,
    target: Target,
    pinged: Option<Pinged>,
}

/// Waits for the decision of a user (CIBA Core §10.1). It polls at the interval of the server.
/// Dropping its flow ends the wait; [`withdraw`](Self::withdraw) tells the server as well.
#[derive(Clone)]
pub struct Backchannel {
    id: SecretText,
    target: Target,
    interval: Duration,
    expires: UnixTime,
    pinged: Option<Pinged>,
    patience: Duration,
}

/// How long a request for the token may take: a server may hold it for 30 seconds (CIBA Core
/// §10.1), and a request that is cut and sent again would overlap with the first one.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Deserialize)]
struct Answer {
    auth_req_id: String,
    expires_in: u64,
    interval: Option<u64>,
}

impl BackchannelRequest {
    /// Creates a request to the user with this hint, such as a `login_hint`. The scopes of the
    /// target must contain `openid`.
    pub fn new(target: Target, hint: impl Into<UserHint>) -> Self {
        Self {
            target,
            hint: hint.into(),
            further: Vec::new(),
            rules: TokenRules::new(),
            signer: None,
            pings: None,
            random: random::SYSTEM,
        }
    }

    /// Signs the request with this key, which is registered at the server (CIBA Core §7.1.1).
    pub fn signed_by(mut self, signer: impl Into<AnySigner>) -> Self {
        self.signer = Some(signer.into());
        self
    }

    /// Waits for a ping at this receiver, for a client that is registered with the mode `ping`
    /// (CIBA Core §5). The request has a new `client_notification_token`.
    pub fn pinged_at(mut self, pings: &Pings) -> Self {
        self.pings = Some(pings.clone());
        self
    }

    /// Sets which deviations of the server are accepted. Of these,
    /// [`omit_resource`](TokenRules::omit_resource) applies to this request.
    pub fn with_rules(mut self, rules: TokenRules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets the random source of tokens and `jti`. Defaults to the operating system.
    pub fn with_random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }

    /// Sets the short text that the user sees on the device, and compares with that of the program.
    pub fn binding_message(self, text: impl Into<SecretText>) -> Self {
        self.with("binding_message", text)
    }

    /// Sets the user code, which only the user knows. Ask for it each time, and do not store it.
    pub fn user_code(self, code: impl Into<SecretText>) -> Self {
        self.with("user_code", code)
    }

    /// Requests an authentication of one of these classes. They are separated by spaces.
    pub fn acr_values(self, values: impl Into<SecretText>) -> Self {
        self.with("acr_values", values)
    }

    /// Sets how long the user has, in whole seconds.
    pub fn requested_expiry(self, most: Duration) -> Self {
        self.with("requested_expiry", most.as_secs().max(1).to_string())
    }

    fn with(mut self, name: &'static str, value: impl Into<SecretText>) -> Self {
        self.further.retain(|(own, _)| *own != name);
        self.further.push((name, value.into()));
        self
    }

    /// Prepares the request.
    ///
    /// # Errors
    ///
    /// - `grant.unsupported` or `metadata.member` if the server does not support the grant.
    /// - `authorize.unsupported` if the metadata of the server exclude the request: its delivery
    ///   mode, the algorithm of its signature, or a user code.
    /// - `oauth.request` without the scope `openid`, or if the key of a signed request is behind a
    ///   network.
    /// - `grant.busy` if too many requests wait for a ping; and those of the client
    ///   authentication.
    pub fn begin(
        self,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        now: UnixTime,
    ) -> Result<Step<Backchannel, BackchannelFlow>, Error> {
        if !server.takes_grant(CIBA) {
            return Err(Error::GrantType);
        }
        if !self.target.scopes().contains("openid") {
            return Err(Error::from(aims_oauth_wire::Error::Request {
                reason: "backchannel authentication needs the scope `openid`",
            }));
        }
        self.expect_supported(&server)?;
        let (target, mut further) = (self.target.clone(), self.further);
        further.push(self.hint.parameter());
        let mut pinged = None;
        if let Some(pings) = &self.pings {
            let (token, waiting) = pings.begin(self.random)?;
            further.push(("client_notification_token", token));
            pinged = Some(waiting);
        }
        let (signer, random, rules) = (self.signer, self.random, self.rules);
        let client_id = client.client_id().clone();
        let write = move |server: &ServerMetadata, now| {
            let mut request = TokenRequest::form();
            if let Some(signer) = &signer {
                let resource = (!rules.omits_resource).then(|| target.resource());
                let parameters = (&target, resource, &*further);
                let signed = signed::request(parameters, &client_id, server, signer, random, now)?;
                request.parameter("request", signed)?;
                return Ok(request);
            }
            target.write(&mut request)?;
            rules.shorten(&mut request);
            for (name, value) in &further {
                request.parameter(name, value.clone())?;
            }
            Ok(request)
        };
        let endpoint = EndpointKind::BackchannelAuthentication;
        let call = ServerCall::new(endpoint, client, server, None, Arc::new(write));
        after(call.begin(now)?, self.target, pinged, now)
    }

    /// Checks what the metadata of the server say (CIBA Core §4). A list that is absent excludes
    /// nothing, because many servers omit lists.
    fn expect_supported(&self, server: &ServerMetadata) -> Result<(), Error> {
        let mode = if self.pings.is_some() { "ping" } else { "poll" };
        let modes = server.backchannel_delivery_modes();
        let signer = self.signer.as_ref();
        let algorithms = server.backchannel_signing_algorithms();
        let knows =
            |signer: &AnySigner| algorithms.is_none_or(|it| it.contains(signer.algorithm()));
        let has_code = self.further.iter().any(|(name, _)| *name == "user_code");
        let reason = if modes.is_some_and(|all| !all.iter().any(|it| it == mode)) {
            "it does not list the delivery mode of the backchannel request; ping needs a receiver"
        } else if signer.is_some_and(|it| !knows(it)) {
            "it does not list the algorithm of the signed backchannel request"
        } else if has_code && !server.takes_backchannel_user_code() {
            "it does not take a user code (`backchannel_user_code_parameter_supported`)"
        } else {
            return Ok(());
        };
        Err(Error::UnsupportedServer { reason })
    }
}

impl Flow for BackchannelFlow {
    type Output = Backchannel;

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<Backchannel, Self>, Error> {
        let step = self.call.advance(event, now)?;
        after(step, self.target, self.pinged, now)
    }
}

fn after(
    step: Step<Called, ServerCall>,
    target: Target,
    pinged: Option<Pinged>,
    now: UnixTime,
) -> Result<Step<Backchannel, BackchannelFlow>, Error> {
    let flow = |call, target, pinged| BackchannelFlow {
        call,
        target,
        pinged,
    };
    match step {
        Step::Done(called) => read(&called, target, pinged, now).map(Step::Done),
        Step::Send(request, call) => Ok(Step::Send(request, flow(call, target, pinged))),
        Step::Sign(request, call) => Ok(Step::Sign(request, flow(call, target, pinged))),
        Step::Wait(time, call) => Ok(Step::Wait(time, flow(call, target, pinged))),
    }
}

fn read(
    called: &Called,
    target: Target,
    pinged: Option<Pinged>,
    now: UnixTime,
) -> Result<Backchannel, Error> {
    if !called.answer.status().is_success() {
        let refused = TokenError::parse_with(called.answer.body(), &called.rules)?;
        return Err(aims_oauth_wire::Error::Refused(Box::new(refused)).into());
    }
    let unusable = |_malformed| {
        Error::from(aims_oauth_wire::Error::Response {
            reason: "expected `auth_req_id` and `expires_in`",
            answer: None,
        })
    };
    let answer: Answer = json::from_document(called.answer.body()).map_err(unusable)?;
    let id = SecretText::new(answer.auth_req_id);
    if let Some(pinged) = &pinged {
        pinged.pair(&id);
    }
    Ok(Backchannel {
        id,
        pinged,
        target,
        patience: PATIENCE,
        interval: poll::interval(answer.interval),
        expires: time::after(now, Duration::from_secs(answer.expires_in)),
    })
}

impl Backchannel {
    /// Returns when the request expires.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// Waits for the ping of the server. Without a receiver of pings it returns immediately, and
    /// the grant polls.
    ///
    /// A ping can be lost. Limit the wait, and present the grant afterwards in any case.
    pub async fn pinged(&self) {
        if let Some(pinged) = self.pinged.clone() {
            pinged.await;
        }
    }

    /// Returns `auth_req_id`, to [resume](Self::resume) the wait after a restart. It is a secret:
    /// with the client's authentication it gives the token.
    #[must_use]
    pub const fn auth_req_id(&self) -> &SecretText {
        &self.id
    }

    /// Resumes the wait of a request that was made before a restart, by polling. The target is that
    /// of the request.
    #[must_use]
    pub fn resume(target: Target, auth_req_id: SecretText, expires: UnixTime) -> Self {
        Self {
            id: auth_req_id,
            target,
            interval: poll::interval(None),
            expires,
            pinged: None,
            patience: PATIENCE,
        }
    }

    /// Sets how long a request for the token may take, for a server that holds it longer than 30
    /// seconds (long polling, CIBA Core §10.1). Defaults to 40 seconds, also if the HTTP client
    /// allows less.
    #[must_use]
    pub const fn answered_within(mut self, most: Duration) -> Self {
        self.patience = most;
        self
    }

    /// Withdraws the request at a server that accepts an `auth_req_id` at its revocation endpoint,
    /// as that of this project does. For every other server it is an unknown token, for which
    /// nothing happens (RFC 7009 §2.2); the request then ends when it expires.
    ///
    /// # Errors
    ///
    /// Those of [`RevocationFlow::begin`].
    pub fn withdraw(
        self,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        now: UnixTime,
    ) -> Result<Step<(), RevocationFlow>, Error> {
        RevocationFlow::of(self.id, "auth_req_id", client, server, now)
    }
}

impl Grant for Backchannel {
    fn grant_type(&self) -> &str {
        CIBA
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
        request.parameter("auth_req_id", self.id.clone())?;
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

    fn answered_within(&self) -> Option<Duration> {
        Some(self.patience)
    }

    fn refresh_token(&self, response: &TokenResponse) -> Option<SecretText> {
        response.refresh_token().cloned()
    }

    fn cached_as(&self) -> &str {
        USER
    }
}

impl fmt::Debug for Backchannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backchannel")
            .field("id", &self.id)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
