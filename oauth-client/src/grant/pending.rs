//! Token requests that were sent.

use std::sync::Arc;
use std::time::Duration;

use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::{ServerMetadata, Switch};
use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::token::{ResponseRules, TokenRequest, TokenResponse, TokenType};
use http::{Request, Response};

use super::{Grant, Target, TokenRules};
use crate::{Error, Event, Flow, Step, Token};

/// How long a token counts as valid whose lifetime the server does not say.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);

/// A token was asked for.
#[derive(Clone, Debug)]
#[must_use = "the answer to the token request is to be given to `finish`"]
pub struct PendingToken {
    target: Target,
    rules: TokenRules,
    /// How the answer is read. It knows the secrets of the request.
    response: ResponseRules,
    sent: UnixTime,
}

/// The request for a grant, authenticated.
pub(super) fn prepare(
    grant: &dyn Grant,
    client: &dyn Authenticate,
    server: &ServerMetadata,
    rules: TokenRules,
    now: UnixTime,
) -> Result<(Request<Vec<u8>>, PendingToken), Error> {
    let grant_type = grant.grant_type();
    if !server.takes_grant(grant_type) {
        return Err(Error::GrantType);
    }
    let mut request = TokenRequest::new(grant_type)?;
    grant.write(&mut request, server, now)?;
    client.authenticate(&mut request, server, now)?;
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
    /// Takes the server's answer. A refresh token in it is not kept (RFC 6749 §4.4.3). Without a
    /// usable `expires_in`, the token counts as valid for five minutes.
    ///
    /// # Errors
    ///
    /// `oauth.refused` with the server's error (RFC 6749 §5.2), and the others of
    /// [`TokenResponse::parse_with`]; `grant.token_type` where it is not `Bearer`; `grant.scope`
    /// where it has scopes that were not asked for (RFC 6749 §3.3), unless that is
    /// [accepted](TokenRules::accept_wider_scopes); `grant.expired`.
    pub fn finish(self, answer: &Response<Vec<u8>>, now: UnixTime) -> Result<Token, Error> {
        let answer = TokenResponse::parse_with(answer, &self.response)?;
        if answer.token_type() != TokenType::Bearer {
            return Err(Error::TokenType);
        }
        if !self.accepts(answer.scope()) {
            return Err(Error::Scope);
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

    /// Whether the granted scopes were asked for. Where the answer names none, they are the same
    /// (RFC 6749 §5.1).
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

/// A grant as a [`Flow`]: one request, or several for a grant that polls. Each request is
/// authenticated anew.
#[derive(Clone, Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct TokenFlow {
    grant: Arc<dyn Grant>,
    client: Arc<dyn Authenticate>,
    server: Arc<ServerMetadata>,
    rules: TokenRules,
    pending: PendingToken,
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
        let (request, pending) = prepare(&*grant, &*client, &server, rules, now)?;
        let flow = Self {
            grant,
            client,
            server,
            rules,
            pending,
            waited: None,
        };
        Ok(Step::Send(request, flow))
    }

    fn answered(
        mut self,
        answer: &Response<Vec<u8>>,
        now: UnixTime,
    ) -> Result<Step<Token, Self>, Error> {
        let error = match self.pending.clone().finish(answer, now) {
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

    fn again(mut self, now: UnixTime) -> Result<Step<Token, Self>, Error> {
        let Self {
            grant,
            client,
            server,
            rules,
            ..
        } = &self;
        let (request, pending) = prepare(&**grant, &**client, server, *rules, now)?;
        self.pending = pending;
        Ok(Step::Send(request, self))
    }
}

impl Flow for TokenFlow {
    type Output = Token;

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<Token, Self>, Error> {
        match event {
            Event::Answer(answer) => self.answered(answer, now),
            Event::NoAnswer(error) => Err(Error::Transport(error.clone())),
            Event::Waited => self.again(now),
        }
    }
}
