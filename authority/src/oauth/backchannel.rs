//! Backchannel authentication (OpenID CIBA Core 1.0): a client asks a user for approval, and the
//! user decides on another device.

mod approval;
mod inbox;
mod page;
mod ping;
mod request;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use aims_fetch::Fetch;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::media;
use aims_oauth_wire::names::Endpoint;
use http::{Response, StatusCode};
use serde_json::json;
use zeroize::Zeroizing;

pub(crate) use self::approval::{Approval, AskedFor, Outcome};
pub(crate) use self::inbox::{decide, inbox};
use self::ping::Pings;
use super::resource::{Client, ClientMatcher};
use super::store::{key_of, secret};
use super::{DevUser, endpoint};
use crate::authority::Inner;
use crate::endpoint::Call;
use crate::limit::{Meter, Rate};
use crate::{Error, answer};

/// The path of the endpoint for clients.
pub(crate) const AUTHENTICATE: &str = "/backchannel";
/// The path of the page for users.
pub(crate) const INBOX: &str = "/approvals";
/// The path of the forms on that page.
pub(crate) const DECISION: &str = "/approvals/decision";

/// Rate of requests of one client.
const ASKS: Rate = Rate {
    burst: 30,
    per_minute: 30,
};
/// Rate of wrong user codes of one client for one user.
const WRONG_CODES: Rate = Rate {
    burst: 5,
    per_minute: 1,
};
/// How long a user has to decide, if the client does not say, and at most.
const DEFAULT_EXPIRY: u64 = 300;
const LONGEST_EXPIRY: u64 = 3_600;
/// The interval of polling, in seconds.
const INTERVAL: u64 = 5;

/// Finds the user that a client names in `login_hint`.
///
/// The user then decides on the page of the server, signed in by
/// [`AuthenticateUser`](crate::AuthenticateUser). Only this user can.
///
/// ```
/// use aims_authority::{Approver, FindApprover};
/// use aims_jose::time::UnixTime;
///
/// #[derive(Debug)]
/// struct Staff;
///
/// impl FindApprover for Staff {
///     fn find(
///         &self,
///         login_hint: &str,
///         _now: UnixTime,
///     ) -> Result<Option<Approver>, Box<dyn std::error::Error + Send + Sync>> {
///         // The hint is a mail address here, and the part before `@` is `sub`.
///         let name = login_hint.strip_suffix("@example.org");
///         Ok(name.map(Approver::new))
///     }
/// }
/// ```
pub trait FindApprover: fmt::Debug + Send + Sync {
    /// Returns the user of a hint, or `None` for a hint of no user.
    ///
    /// # Errors
    ///
    /// If the user cannot be looked up. The client gets `server_error`.
    fn find(
        &self,
        login_hint: &str,
        now: UnixTime,
    ) -> Result<Option<Approver>, Box<dyn core::error::Error + Send + Sync>>;

    /// Notifies the application that a request waits for this user. Must not block. Does nothing by
    /// default.
    fn asked(&self, subject: &str) {
        let _told = subject;
    }
}

/// A user who can approve requests, by the value for `sub`.
#[derive(Clone, Debug)]
pub struct Approver {
    subject: String,
    user_code: Option<SecretText>,
}

impl Approver {
    /// Creates a user by the value for `sub`, the one that
    /// [`AuthenticateUser`](crate::AuthenticateUser) returns.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            user_code: None,
        }
    }

    /// Requires this `user_code` in requests to the user (OpenID CIBA Core 1.0 §7.1), so that a
    /// client without it cannot disturb the user.
    #[must_use]
    pub fn with_user_code(mut self, code: impl Into<SecretText>) -> Self {
        self.user_code = Some(code.into());
        self
    }
}

impl FindApprover for DevUser {
    fn find(
        &self,
        login_hint: &str,
        _now: UnixTime,
    ) -> Result<Option<Approver>, Box<dyn core::error::Error + Send + Sync>> {
        Ok((login_hint == self.subject()).then(|| Approver::new(login_hint)))
    }
}

/// How a client learns of decisions.
#[derive(Clone, Debug)]
pub(crate) struct Backchannel {
    /// `backchannel_client_notification_endpoint` of a client in ping mode.
    notify: Option<String>,
    is_signed: bool,
}

impl Backchannel {
    /// Checks the rules of a client.
    pub(super) fn check(&self, by: &ClientMatcher) -> Result<(), &'static str> {
        match by {
            ClientMatcher::Public { .. } => {
                return Err("is public, and only clients that authenticate may ask for approvals");
            }
            ClientMatcher::Keys { .. } => {}
            _ if self.is_signed => {
                return Err("has no registered keys, with which it could sign its requests");
            }
            _ => {}
        }
        match &self.notify {
            Some(url) if endpoint_of(url).is_none() => {
                Err("has a malformed endpoint for pings, expected https, or http on loopback")
            }
            _ => Ok(()),
        }
    }
}

fn endpoint_of(url: &str) -> Option<Endpoint> {
    url.parse().or_else(|_| Endpoint::loopback(url)).ok()
}

impl Client {
    /// Allows the client to ask users for approval on their own devices, and to poll for the
    /// decision (OpenID CIBA Core 1.0 §5, `backchannel_token_delivery_mode` `poll`).
    ///
    /// One request of a client waits for a user at a time.
    ///
    /// ```
    /// use aims_authority::Client;
    ///
    /// let agent = Client::spiffe("spiffe://example.org/agent/payer".parse()?)
    ///     .allow("https://bank.example/mcp", ["payments"])
    ///     .allow_details("aims_tool")
    ///     .backchannel_poll();
    /// # drop(agent);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn backchannel_poll(mut self) -> Self {
        let is_signed = self.flow.backchannel.is_some_and(|it| it.is_signed);
        self.flow.backchannel = Some(Backchannel {
            notify: None,
            is_signed,
        });
        self
    }

    /// Allows the client to ask users for approval on their own devices, and tells it of each
    /// decision by a ping to this URL (OpenID CIBA Core 1.0 §10.2, mode `ping`). The client may
    /// poll as well.
    #[must_use]
    pub fn backchannel_ping(mut self, endpoint: impl Into<String>) -> Self {
        self = self.backchannel_poll();
        if let Some(backchannel) = &mut self.flow.backchannel {
            backchannel.notify = Some(endpoint.into());
        }
        self
    }

    /// Requires that the client signs its requests for approval with a registered key (OpenID CIBA
    /// Core 1.0 §7.1.1). A client with keys may sign in any case.
    #[must_use]
    pub fn require_signed_approvals(mut self) -> Self {
        if self.flow.backchannel.is_none() {
            self = self.backchannel_poll();
        }
        if let Some(backchannel) = &mut self.flow.backchannel {
            backchannel.is_signed = true;
        }
        self
    }
}

/// The parts of the server for approvals.
#[derive(Debug)]
pub(crate) struct BackchannelService {
    approvers: Arc<dyn FindApprover>,
    pings: Pings,
    /// Requests, by client.
    asks: Meter,
    /// Wrong user codes, by client and user.
    wrong_codes: Meter,
    /// The key of the anti-CSRF tokens. It ends with the process.
    forms: Key,
}

struct Key(Zeroizing<[u8; 32]>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl BackchannelService {
    pub(crate) fn new(
        approvers: Arc<dyn FindApprover>,
        fetch: Option<Arc<dyn Fetch>>,
        random: &dyn SecureRandom,
    ) -> Result<Self, Error> {
        let mut key = Zeroizing::new([0_u8; 32]);
        random.fill(key.as_mut()).map_err(Error::unavailable)?;
        Ok(Self {
            approvers,
            pings: Pings::new(fetch),
            asks: Meter::new(ASKS),
            wrong_codes: Meter::new(WRONG_CODES),
            forms: Key(key),
        })
    }
}

/// Checks and stores a request of an authenticated client for the approval of a user.
pub(crate) fn authenticate(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let headers = call.request.headers();
    answer::check_media_type(headers, media::FORM)?;
    let form = endpoint::form(call.request.body())?;
    let (server, now) = (&inner.oauth, call.now);
    let service = server.backchannel.as_ref().ok_or(Error::Path)?;
    let who = server.authenticate(call, &form)?;
    let backchannel = who.client.flow.backchannel.as_ref();
    let backchannel = backchannel.ok_or(Error::ClientGrant {
        reason: "the client may not ask users for approval",
    })?;
    let target = server.base.join(AUTHENTICATE);
    let store = server.replay.as_ref();
    let proven = server
        .dpop
        .verify_at(headers, &target, &who.client_id, store, now)?;
    service.asks.take_agent(&who.client_id, now)?;
    let asked = server.ask_for(service, backchannel, &who, &form, now)?;
    let id = secret(server.random)?;
    let key = key_of(id.expose());
    let expires_in = asked.lifetime;
    let approval = Approval::new(asked.approval, now, Duration::from_secs(expires_in));
    let subject = approval.asked.subject.clone();
    if let Some((endpoint, token)) = asked.ping {
        let end = approval.until();
        service
            .pings
            .remember(&key, endpoint, token, id.clone(), end, now)?;
    }
    if let Err(error) = server.keep_approval(&key, &approval, now) {
        service.pings.forget(&key);
        return Err(error);
    }
    service.approvers.asked(&subject);
    tracing::info!(client_id = ?who.client_id, ?subject, "asked a user for approval");
    let body = json!({
        "auth_req_id": id.expose(),
        "expires_in": expires_in,
        "interval": INTERVAL,
    });
    let mut response = answer::json(StatusCode::OK, body.to_string(), "no-store");
    let next_nonce = proven.and_then(|it| it.next_nonce);
    endpoint::finish(response.headers_mut(), next_nonce.as_ref());
    Ok(response)
}
