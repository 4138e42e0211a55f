//! Token requests whose response is pending.

use std::sync::Arc;
use std::time::Duration;

use aims_error::shown;
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::client_auth::{Authenticate, Authentication};
use aims_oauth_wire::metadata::{ServerMetadata, Switch};
use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::token::{ResponseRules, TokenRequest, TokenResponse, TokenType};
use http::{Request, Response};

use super::{Grant, Target, TokenRules};
use crate::{Error, Event, Flow, Step, Token};

/// The assumed lifetime of a token whose server does not state one.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);

/// A pending token request. Created by
/// [`ClientCredentials::prepare`](crate::ClientCredentials::prepare).
#[derive(Clone, Debug)]
#[must_use = "the answer to the token request is to be given to `finish`"]
pub struct PendingToken {
    target: Target,
    rules: TokenRules,
    /// The rules for the response. They know the secrets of the request.
    response: ResponseRules,
    sent: UnixTime,
}

/// Returns the authenticated request for a grant.
pub(super) fn prepare(
    grant: &dyn Grant,
    client: &dyn Authenticate,
    server: &ServerMetadata,
    rules: TokenRules,
    now: UnixTime,
) -> Result<(Request<Vec<u8>>, PendingToken), Error> {
    let mut request = write(grant, server, now)?;
    client.authenticate(&mut request, server, now)?;
    ready(request, grant, server, rules, now)
}

/// Returns the request for a grant, without client authentication.
fn write(grant: &dyn Grant, server: &ServerMetadata, now: UnixTime) -> Result<TokenRequest, Error> {
    let grant_type = grant.grant_type();
    if !server.takes_grant(grant_type) {
        return Err(Error::GrantType);
    }
    let mut request = TokenRequest::new(grant_type)?;
    grant.write(&mut request, server, now)?;
    Ok(request)
}

/// Returns the HTTP request, and the value that reads its response.
fn ready(
    request: TokenRequest,
    grant: &dyn Grant,
    server: &ServerMetadata,
    rules: TokenRules,
    now: UnixTime,
) -> Result<(Request<Vec<u8>>, PendingToken), Error> {
    let request = request.into_http(server.token_endpoint()?)?;
    let pending = PendingToken {
        target: grant.target().clone(),
        rules,
        response: rules.of_response(server).after(&request),
        sent: now,
    };
    Ok((request, pending))
}

impl PendingToken {
    /// Reads the server's response.
    ///
    /// A refresh token in it is ignored (RFC 6749 §4.4.3). Without a usable `expires_in`, the token
    /// counts as valid for five minutes.
    ///
    /// # Errors
    ///
    /// - `oauth.refused` with the server's error (RFC 6749 §5.2), and others of
    ///   [`TokenResponse::parse_with`].
    /// - `grant.token_type` if the type is not `Bearer`.
    /// - `grant.scope` if the token has scopes that were not requested (RFC 6749 §3.3) and that is
    ///   not [accepted](TokenRules::accept_wider_scopes).
    /// - `grant.expired` if the token has no lifetime left.
    pub fn finish(self, answer: &Response<Vec<u8>>, now: UnixTime) -> Result<Token, Error> {
        let answer = TokenResponse::parse_with(answer, &self.response)?;
        if answer.token_type() != TokenType::Bearer {
            return Err(Error::TokenType);
        }
        if !self.accepts(answer.scope()) {
            let asked = self.target.scopes();
            let granted = answer.scope().into_iter().flat_map(ScopeSet::iter);
            let wider = granted
                .map(|it| it.as_str())
                .filter(|it| !asked.contains(it));
            return Err(Error::Scope {
                wider: shown(wider),
            });
        }
        let expires = answer
            .expires_at(self.sent)
            .unwrap_or_else(|| time::after(self.sent, UNKNOWN_LIFETIME));
        if expires <= now {
            return Err(Error::Expired);
        }
        Ok(Token {
            text: answer.access_token().clone(),
            scopes: answer
                .scope()
                .unwrap_or_else(|| self.target.scopes())
                .clone(),
            resource: self.target.resource().clone(),
            expires,
        })
    }

    /// Returns whether the granted scopes were requested. If the response has no scopes, they are
    /// the requested ones (RFC 6749 §5.1).
    fn accepts(&self, granted: Option<&ScopeSet>) -> bool {
        let asked = self.target.scopes();
        asked.is_empty()
            || self.rules.wider_scopes
            || granted.is_none_or(|granted| granted.is_subset(asked))
    }
}

impl TokenRules {
    fn of_response(self, server: &ServerMetadata) -> ResponseRules {
        let mut rules = ResponseRules::new();
        if server.is_on(Switch::CertificateBoundTokens) {
            rules = rules.after_client_certificate();
        }
        if self.comma_separated_scopes {
            rules = rules.accept_commas_in_scope();
        }
        if self.missing_token_type {
            rules = rules.accept_missing_token_type();
        }
        rules
    }
}

/// A grant as a [`Flow`]: one request, or several for a grant that polls.
///
/// Each request is authenticated separately. A client whose key is in a device or behind a network
/// signs it in a [`Step::Sign`].
#[derive(Clone, Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct TokenFlow {
    grant: Arc<dyn Grant>,
    client: Arc<dyn Authenticate>,
    server: Arc<ServerMetadata>,
    rules: TokenRules,
    /// The request that was sent, if there is one.
    pending: Option<PendingToken>,
    waited: Option<Duration>,
}

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
        let flow = Self {
            grant,
            client,
            server,
            rules,
            pending: None,
            waited: None,
        };
        flow.authenticate(now)
    }

    fn authenticate(self, now: UnixTime) -> Result<Step<Token, Self>, Error> {
        let request = write(&*self.grant, &self.server, now)?;
        match self.client.begin(request, &self.server, now)? {
            Authentication::Done(request) => self.send(request, now),
            Authentication::Unsigned(request) => Ok(Step::Sign(request, self)),
        }
    }

    fn send(mut self, request: TokenRequest, now: UnixTime) -> Result<Step<Token, Self>, Error> {
        let (request, pending) = ready(request, &*self.grant, &self.server, self.rules, now)?;
        self.pending = Some(pending);
        Ok(Step::Send(request, self))
    }

    fn answered(
        mut self,
        answer: &Response<Vec<u8>>,
        now: UnixTime,
    ) -> Result<Step<Token, Self>, Error> {
        let pending = self.pending.take().ok_or(Error::Interrupted)?;
        let error = match pending.finish(answer, now) {
            Ok(token) => return Ok(Step::Done(token)),
            Err(error) => error,
        };
        let wait = error
            .refusal()
            .and_then(|refusal| self.grant.poll_after(refusal, self.waited, now));
        let Some(wait) = wait else {
            return Err(error);
        };
        self.waited = Some(wait);
        Ok(Step::Wait(wait, self))
    }
}

impl Flow for TokenFlow {
    type Output = Token;

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<Token, Self>, Error> {
        match event {
            Event::Answer(answer) => self.answered(answer, now),
            Event::NoAnswer(error) => Err(Error::Transport(error.clone())),
            Event::Signed(request) => self.send(request?, now),
            Event::Waited => self.authenticate(now),
        }
    }
}
