//! Grants as flows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::Limits;
use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::token::TokenResponse;
use http::StatusCode;

use super::certificate;
use super::pending::{Received, access_token, write};
use super::{Grant, TokenRules};
use crate::call::{Called, ServerCall};
use crate::retry_after::retry_after;
use crate::{DpopKey, Error, Event, Flow, Step, Token};

/// A grant as a [`Flow`]: one request, or several for a grant that polls.
///
/// Each request is authenticated separately. A client whose key is in a device or behind a network
/// signs it in a [`Step::Sign`]. With a [`DpopKey`] each request has a proof, and is repeated once
/// if the server demands a nonce (RFC 9449 §8).
///
/// The result is an access token, or another token for a grant that issues one, such as
/// [`TokenExchange`](crate::TokenExchange).
#[must_use = "a flow is advanced by `drive`"]
pub struct TokenFlow<T = Token> {
    grant: Arc<dyn Grant>,
    rules: TokenRules,
    read: Read<T>,
    call: Option<ServerCall>,
    waited: Option<Duration>,
}

/// Reads the response to a grant.
pub(crate) type Read<T> = fn(&TokenResponse, &Received<'_>, UnixTime) -> Result<T, Error>;

impl TokenFlow {
    /// Prepares the first request.
    ///
    /// # Errors
    ///
    /// Those of [`ClientCredentials::prepare`](crate::ClientCredentials::prepare), and those of the
    /// grant.
    pub fn begin(
        grant: Arc<dyn Grant>,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        rules: TokenRules,
        now: UnixTime,
    ) -> Result<Step<Token, Self>, Error> {
        Self::begin_reading(grant, client, server, rules, None, access_token, now)
    }

    /// Prepares the first request for a token that is bound to this key (RFC 9449 §5).
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin), and `grant.dpop_algorithm` if the server does not support
    /// the algorithm of the key. A token that is not bound is refused by `grant.unbound`.
    pub fn begin_bound(
        grant: Arc<dyn Grant>,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        rules: TokenRules,
        key: DpopKey,
        now: UnixTime,
    ) -> Result<Step<Token, Self>, Error> {
        Self::begin_reading(grant, client, server, rules, Some(key), access_token, now)
    }
}

impl<T> TokenFlow<T> {
    pub(crate) fn begin_reading(
        grant: Arc<dyn Grant>,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        rules: TokenRules,
        key: Option<DpopKey>,
        read: Read<T>,
        now: UnixTime,
    ) -> Result<Step<T, Self>, Error> {
        certificate::expect_supported(&*client, &server, &rules)?;
        let (writing, own) = (Arc::clone(&grant), rules.clone());
        let write = move |server: &ServerMetadata, now| write(&*writing, server, &own, now);
        let call = ServerCall::new(EndpointKind::Token, client, server, key, Arc::new(write));
        let flow = Self {
            grant,
            rules,
            read,
            call: None,
            waited: None,
        };
        flow.after(call.begin(now)?, now)
    }

    fn after(
        mut self,
        step: Step<Called, ServerCall>,
        now: UnixTime,
    ) -> Result<Step<T, Self>, Error> {
        let called = match step {
            Step::Done(called) => called,
            Step::Send(mut request, call) => {
                self.call = Some(call);
                if let Some(most) = self.grant.answered_within() {
                    Limits::of(&request).with_patience(most).apply(&mut request);
                }
                return Ok(Step::Send(request, self));
            }
            Step::Sign(request, call) => {
                self.call = Some(call);
                return Ok(Step::Sign(request, self));
            }
            Step::Wait(time, call) => {
                self.call = Some(call);
                return Ok(Step::Wait(time, self));
            }
        };
        let error = match self.read(&called, now) {
            Ok(result) => return Ok(Step::Done(result)),
            Err(error) => error,
        };
        let refusal = error.refusal();
        let mut wait = refusal.and_then(|refusal| self.grant.poll_after(refusal, self.waited, now));
        let is_final = refusal.is_some_and(|it| !FAILURES.contains(&it.error()));
        if wait.is_none() && !is_final && is_transient(called.answer.status()) {
            // It is as if no answer had arrived.
            wait = self.grant.poll_unanswered(self.waited, now);
        }
        let asked = retry_after(&called.answer, now).map(|it| it.min(MAX_ASKED));
        let wait = wait.map(|wait| asked.map_or(wait, |asked| wait.max(asked)));
        self.wait(wait, called.call, error)
    }

    fn read(&self, called: &Called, now: UnixTime) -> Result<T, Error> {
        let rules = self.rules.of_response(called.rules.clone());
        let response = TokenResponse::parse_with(&called.answer, &rules)?;
        let received = Received {
            target: self.grant.target(),
            rules: &self.rules,
            sent: called.sent,
            dpop: called.call.dpop.as_ref(),
            certificate: called.certificate,
            refresh_token: self.grant.refresh_token(&response),
            ends_by: self.grant.ends_by(),
            granted: self.grant.granted_before(),
            details: self.grant.details_granted_before(),
            is_renewal: self.grant.grant_type() == "refresh_token",
            judges_details: self.grant.judges_details(),
        };
        let result = (self.read)(&response, &received, now)?;
        self.grant.judge(&response, now)?;
        Ok(result)
    }

    fn wait(
        mut self,
        wait: Option<Duration>,
        call: ServerCall,
        error: Error,
    ) -> Result<Step<T, Self>, Error> {
        let Some(wait) = wait else {
            return Err(self.grant.judge_error(error));
        };
        self.waited = Some(wait);
        self.call = Some(call);
        Ok(Step::Wait(wait, self))
    }
}

impl<T> Flow for TokenFlow<T> {
    type Output = T;

    fn advance(mut self, event: Event<'_>, now: UnixTime) -> Result<Step<T, Self>, Error> {
        let call = self.call.take().ok_or(Error::Interrupted)?;
        if let Event::NoAnswer(error) = &event {
            let wait = self.grant.poll_unanswered(self.waited, now);
            return self.wait(wait, call, Error::Transport((*error).clone()));
        }
        let step = call.advance(event, now)?;
        self.after(step, now)
    }
}

/// Error codes of a server that failed or is busy (RFC 6749 §4.1.2.1).
const FAILURES: [&str; 2] = ["server_error", "temporarily_unavailable"];

/// The maximum pause that a server can ask for.
const MAX_ASKED: Duration = Duration::from_secs(300);

/// Returns whether the server failed or is busy.
fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

impl<T> Clone for TokenFlow<T> {
    fn clone(&self) -> Self {
        Self {
            grant: Arc::clone(&self.grant),
            rules: self.rules.clone(),
            read: self.read,
            call: self.call.clone(),
            waited: self.waited,
        }
    }
}

impl<T> fmt::Debug for TokenFlow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFlow")
            .field("grant", &self.grant)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
