//! The client credentials grant (RFC 6749 §4.4).

use std::time::Duration;

use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_oauth_wire::token::{TokenRequest, TokenResponse, TokenType};
use http::{Request, Response};

use crate::{Error, Token};

/// A token for the agent itself, for one resource (RFC 8707, RSC-02).
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    resource: Resource,
    scopes: ScopeSet,
    scope_bound: ScopeBound,
}

/// Which scopes an answer may grant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ScopeBound {
    /// Those that were asked for, or fewer.
    #[default]
    Asked,
    /// Whatever the server grants.
    Any,
}

impl ClientCredentials {
    /// For this resource, with the scopes that the server gives by itself.
    #[must_use]
    pub const fn new(resource: Resource) -> Self {
        Self {
            resource,
            scopes: ScopeSet::new(),
            scope_bound: ScopeBound::Asked,
        }
    }

    /// With these scopes. A token with others is not taken; where none are asked for, the server's
    /// choice is.
    #[must_use]
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.scopes = scopes;
        self
    }

    /// Takes a token whose scopes are more than was asked for, too: for a server that adds some of
    /// its own. Whoever gets hold of the token can then do more than this call needed.
    #[must_use]
    pub const fn accepting_wider_scopes(mut self) -> Self {
        self.scope_bound = ScopeBound::Any;
        self
    }

    /// Prepares the request to the server's token endpoint. Nothing is sent.
    ///
    /// # Errors
    ///
    /// `grant.unsupported` where the server says which grant types it takes, and this is none of
    /// them (RFC 8414 §2); those of `oauth-wire`: the server has no token endpoint, or the way to
    /// authenticate does not suit it.
    pub fn prepare(
        &self,
        client: &dyn Authenticate,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(Request<Vec<u8>>, PendingToken), Error> {
        if !server.takes_grant(GRANT_TYPE) {
            return Err(Error::GrantType);
        }
        let mut request = TokenRequest::new(GRANT_TYPE)?;
        request.resource(&self.resource)?;
        if !self.scopes.is_empty() {
            request.scope(&self.scopes)?;
        }
        client.authenticate(&mut request, server, now)?;
        let pending = PendingToken {
            wanted: self.clone(),
            sent: now,
        };
        Ok((request.into_http(server.token_endpoint()?)?, pending))
    }

    /// Whether scopes that were granted are such as were asked for. Where the answer names none,
    /// they are the same (RFC 6749 §5.1).
    fn takes(&self, granted: Option<&ScopeSet>) -> bool {
        self.scopes.is_empty()
            || self.scope_bound == ScopeBound::Any
            || granted.is_none_or(|granted| granted.is_subset(&self.scopes))
    }
}

/// A token was asked for.
#[derive(Debug)]
#[must_use = "the answer to the token request is to be given to `finish`"]
pub struct PendingToken {
    wanted: ClientCredentials,
    sent: UnixTime,
}

impl PendingToken {
    /// Takes the server's answer. A refresh token in it is not kept (RFC 6749 §4.4.3). Without
    /// `expires_in`, the token is taken to last a minute.
    ///
    /// # Errors
    ///
    /// `oauth.refused` with the server's error (RFC 6749 §5.2), and the others of
    /// [`TokenResponse::parse`]; `grant.token_type` where it is not `Bearer`; `grant.scope` where
    /// it has scopes that were not asked for (RFC 6749 §3.3), unless that is
    /// [accepted](ClientCredentials::accepting_wider_scopes); `grant.expired`.
    pub fn finish(self, answer: &Response<Vec<u8>>, now: UnixTime) -> Result<Token, Error> {
        let answer = TokenResponse::parse(answer)?;
        if answer.token_type() != TokenType::Bearer {
            return Err(Error::TokenType);
        }
        if !self.wanted.takes(answer.scope()) {
            return Err(Error::Scope);
        }
        let minute = Duration::from_secs(60);
        let expires = answer
            .expires_at(self.sent)
            .unwrap_or_else(|| time::after(self.sent, minute));
        if expires <= now {
            return Err(Error::Expired);
        }
        Ok(Token {
            text: answer.access_token().clone(),
            scopes: answer.scope().unwrap_or(&self.wanted.scopes).clone(),
            resource: self.wanted.resource,
            expires,
        })
    }
}

const GRANT_TYPE: &str = "client_credentials";
