//! The client credentials grant (RFC 6749 §4.4).

use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_oauth_wire::token::TokenRequest;
use http::Request;

use super::{Grant, PendingToken, Target, TokenRules, pending};
use crate::Error;

/// The grant of tokens that have no user (RFC 6749 §4.4.2).
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";

/// The client credentials grant: a token for the agent itself, for one resource (RFC 8707).
///
/// ```
/// use aims_oauth_client::ClientCredentials;
///
/// let grant = ClientCredentials::new("https://tools.example/mcp".parse()?);
/// let grant = grant.scopes("tools:call".parse()?);
/// # let _ = grant;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    target: Target,
    rules: TokenRules,
}

impl ClientCredentials {
    /// Creates the grant for this resource. The server chooses the scopes.
    #[must_use]
    pub const fn new(resource: Resource) -> Self {
        Self {
            target: Target::new(resource, ScopeSet::new()),
            rules: TokenRules::new(),
        }
    }

    /// Sets the requested scopes. A token with other scopes is refused.
    #[must_use]
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.target = self.target.with_scopes(scopes);
        self
    }

    /// Sets the authorization details (RFC 9396), as [`Target::with_details`] does.
    ///
    /// # Errors
    ///
    /// `grant.details` if the text is no JSON array of objects with a `type`.
    pub fn details(mut self, json: &str) -> Result<Self, Error> {
        self.target = self.target.with_details(json)?;
        Ok(self)
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn with_canonical_details(mut self, details: Option<Box<str>>) -> Self {
        self.target = self.target.with_canonical_details(details);
        self
    }

    /// Accepts a token with scopes that were not requested. See
    /// [`TokenRules::accept_wider_scopes`].
    #[must_use]
    pub fn accept_wider_scopes(mut self) -> Self {
        self.rules = self.rules.accept_wider_scopes();
        self
    }

    /// Sets which deviations of this server are accepted.
    #[must_use]
    pub fn rules(mut self, rules: TokenRules) -> Self {
        self.rules = rules;
        self
    }

    /// Prepares the request to the server's token endpoint. Nothing is sent.
    ///
    /// A client whose key is in a device or behind a network needs a
    /// [`TokenFlow`](crate::TokenFlow).
    ///
    /// ```
    /// use aims_jose::time::UnixTime;
    /// use aims_oauth_client::{ClientCredentials, Error, Token};
    /// use aims_oauth_wire::client_auth::Authenticate;
    /// use aims_oauth_wire::metadata::ServerMetadata;
    /// use http::{Request, Response};
    ///
    /// fn token(
    ///     grant: &ClientCredentials,
    ///     client: &dyn Authenticate,
    ///     server: &ServerMetadata,
    ///     send: impl Fn(Request<Vec<u8>>) -> Response<Vec<u8>>,
    /// ) -> Result<Token, Error> {
    ///     let (request, pending) = grant.prepare(client, server, UnixTime::now())?;
    ///     pending.finish(&send(request), UnixTime::now())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// - `grant.unsupported` if the server lists its grant types and this one is not in the list
    ///   (RFC 8414 §2).
    /// - Those of `aims-oauth-wire` if the server has no token endpoint or does not support the
    ///   method of client authentication, or if the client's key signs asynchronously.
    pub fn prepare(
        &self,
        client: &dyn Authenticate,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(Request<Vec<u8>>, PendingToken), Error> {
        pending::prepare(self, client, server, &self.rules, now)
    }
}

impl Grant for ClientCredentials {
    fn grant_type(&self) -> &str {
        CLIENT_CREDENTIALS
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
