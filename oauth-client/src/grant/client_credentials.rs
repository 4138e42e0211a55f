//! The client credentials grant (RFC 6749 §4.4).

use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_oauth_wire::token::TokenRequest;
use http::Request;

use super::{Grant, PendingToken, Target, TokenRules, pending};
use crate::Error;

/// A token for the agent itself, for one resource (RFC 8707).
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    target: Target,
    rules: TokenRules,
}

impl ClientCredentials {
    /// For this resource, with the scopes that the server chooses.
    #[must_use]
    pub const fn new(resource: Resource) -> Self {
        Self {
            target: Target::new(resource, ScopeSet::new()),
            rules: TokenRules::new(),
        }
    }

    /// Sets the scopes. A token with others is refused; where none are asked for, the server
    /// chooses.
    #[must_use]
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.target = Target::new(self.target.resource().clone(), scopes);
        self
    }

    /// Accepts a token with scopes that were not asked for, as
    /// [`TokenRules::accept_wider_scopes`] does.
    #[must_use]
    pub const fn accepting_wider_scopes(mut self) -> Self {
        self.rules = self.rules.accept_wider_scopes();
        self
    }

    /// Sets what is accepted of this server's responses.
    #[must_use]
    pub const fn rules(mut self, rules: TokenRules) -> Self {
        self.rules = rules;
        self
    }

    /// Prepares the request to the server's token endpoint. Nothing is sent. A client whose key is
    /// in a device or behind a network needs a [`TokenFlow`](crate::TokenFlow).
    ///
    /// # Errors
    ///
    /// `grant.unsupported` where the server says which grant types it takes, and this is none of
    /// them (RFC 8414 §2); those of `oauth-wire`: the server has no token endpoint, the way to
    /// authenticate does not suit it, or the client's key signs asynchronously.
    pub fn prepare(
        &self,
        client: &dyn Authenticate,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(Request<Vec<u8>>, PendingToken), Error> {
        pending::prepare(self, client, server, self.rules, now)
    }
}

impl Grant for ClientCredentials {
    fn grant_type(&self) -> &str {
        "client_credentials"
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
        self.target.write(request)
    }
}
