//! Discovers the authorization server of a tool and creates a token source for it.

use std::sync::Arc;
use std::time::Duration;

use aims_fetch::Fetch;
use aims_jose::time::SystemClock;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::names::{Issuer, Resource};
use tokio::runtime::Handle;

use super::{Named, TokenSource};
use crate::discovery::Discovery;
use crate::step::drive;
use crate::{Error, KnownServer};

impl TokenSource {
    /// Creates a source of tokens for a tool, from the authorization server that the tool names.
    ///
    /// It reads the metadata of the tool (RFC 9728), chooses the first of its servers that is in
    /// `accepted`, and reads the metadata of that server (RFC 8414). A document is valid only for
    /// what it was requested for. Discovery may take 30 s in total.
    ///
    /// The tool cannot make the client send its credentials to other servers (RFC 9728 §7.6). The
    /// server's metadata is [refreshed](Self::with_metadata_age).
    ///
    /// ```
    /// use aims_fetch::Fetch;
    /// use aims_oauth_client::{Error, TokenSource};
    /// use aims_oauth_wire::client_auth::Authenticate;
    ///
    /// async fn tokens(
    ///     client: impl Authenticate + 'static,
    ///     http: impl Fetch + 'static,
    /// ) -> Result<TokenSource, Error> {
    ///     let tool = "https://tools.example/mcp".parse()?;
    ///     let accepted = ["https://as.example".parse()?];
    ///     TokenSource::discover(&tool, &accepted, client, http).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// - `metadata.resource` if the tool's metadata names another resource, even if it differs only
    ///   by a `/` at the end of a path.
    /// - `discovery.no_server` if it names no accepted server.
    /// - `metadata.issuer` or `discovery.not_served` if the server is another one, or does not
    ///   issue tokens for this tool.
    /// - `discovery.not_found` and other `metadata.…`.
    /// - `grant.transport`, also if the time is exceeded.
    /// - `grant.interrupted` if there is no tokio runtime.
    pub async fn discover(
        tool: &Resource,
        accepted: &[Issuer],
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Result<Self, Error> {
        let discovery = Discovery::new(tool.clone(), accepted.iter().cloned());
        Self::discover_by(&discovery, client, http).await
    }

    /// Creates a source like [`discover`](Self::discover), with settings: for a tool whose metadata
    /// names a broader resource ([`Discovery::resource_within`]), or whose challenge gives the URL
    /// of its metadata ([`Discovery::challenged`]).
    ///
    /// # Errors
    ///
    /// Those of [`discover`](Self::discover).
    pub async fn discover_by(
        discovery: &Discovery,
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Result<Self, Error> {
        // Nothing can wait without a runtime.
        let _runtime = Handle::try_current().or(Err(Error::Interrupted))?;
        let clock = SystemClock::new();
        let found = drive(discovery.begin()?, &http, &clock);
        let found = tokio::time::timeout(TIMEOUT, found).await;
        let found = found.unwrap_or(Err(Error::Transport(aims_fetch::Error::Timeout)))?;
        let named = Named {
            tool: discovery.tool().clone(),
            name: found.resource().resource().clone(),
        };
        let place = found.server_place().clone();
        let server = KnownServer::found(found.into_server(), place, named.name.clone());
        let mut source = Self::of(server, client, http);
        source.named = Some(Arc::new(named));
        Ok(source)
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);
