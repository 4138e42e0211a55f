//! From a tool to a source of tokens for it.

use std::time::Duration;

use aims_fetch::Fetch;
use aims_jose::time::SystemClock;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::names::{Issuer, Resource};
use tokio::runtime::Handle;

use super::server::Known;
use super::{Named, TokenSource};
use crate::Error;
use crate::discovery::Discovery;
use crate::step::drive;

impl TokenSource {
    /// Tokens for a tool, of the authorization server that the tool itself names: reads the
    /// metadata of the tool (RFC 9728), chooses the first of its servers that this client accepts,
    /// and reads the metadata of that one (RFC 8414). Each document counts only for what was asked
    /// about, and all of it may take 30 s.
    ///
    /// The tool does not decide whom the client shows its credentials to: `accepted` does (RFC 9728
    /// §7.6). The server's metadata are [kept current](Self::with_metadata_age).
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
    /// `metadata.resource` where the tool's metadata name another resource, be it by a `/` at the
    /// end of a path; `discovery.no_server` where they name no server that is accepted;
    /// `metadata.issuer`, `discovery.not_served` where the server is another one, or is not for
    /// this tool; `discovery.not_found`; other `metadata.…`; `grant.transport` also where it takes
    /// too long; `grant.interrupted` where there is no tokio runtime.
    pub async fn discover(
        tool: &Resource,
        accepted: &[Issuer],
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Result<Self, Error> {
        let discovery = Discovery::new(tool.clone(), accepted.iter().cloned());
        Self::discover_by(&discovery, client, http).await
    }

    /// As [`discover`](Self::discover), with settings: for a tool that publishes a broader name
    /// ([`Discovery::resource_within`]), or says in a challenge where its metadata are
    /// ([`Discovery::challenged`]).
    ///
    /// # Errors
    ///
    /// As [`discover`](Self::discover).
    pub async fn discover_by(
        discovery: &Discovery,
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Result<Self, Error> {
        // Nothing waits without a runtime.
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
        let server = Known::found(found.into_server(), place, named.name.clone());
        let mut source = Self::of(server, client, http);
        source.named = Some(named);
        Ok(source)
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);
