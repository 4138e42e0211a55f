//! Tools by their URL: discovers the authorization servers whose tokens they accept.

use std::sync::Arc;

use aims_fetch::Fetcher;
use aims_oauth_client::{OfIdentity as _, TokenSource};
use aims_oauth_wire::client_auth::SpiffeWit;
use aims_oauth_wire::names::{Issuer, Resource, ScopeSet};

use super::builder::AgentBuilder;
use super::{Agent, Error};

/// The tools whose authorization servers [`AgentBuilder::build`] discovers.
#[derive(Debug, Default)]
pub struct Tools(Vec<Tool>);

#[derive(Debug)]
struct Tool {
    resource: Resource,
    accepted: Vec<Issuer>,
    scopes: ScopeSet,
}

impl From<()> for Tools {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl<T: Into<Tools>> AgentBuilder<T> {
    /// Gets access tokens for the tool at this URL and for every URL beneath it. `scopes` are
    /// separated by spaces.
    ///
    /// [`build`](AgentBuilder::<Tools>::build) reads from the tool's metadata which issuers it
    /// accepts (RFC 9728), and uses the first one that is in `issuers`. The agent sends its
    /// identity only to these issuers, whatever the tool names. It authenticates there by its WIT
    /// (draft-ietf-oauth-spiffe-client-auth). For another client authentication, use
    /// [`authorize`](Self::authorize).
    ///
    /// ```
    /// # async fn example(
    /// #     identity: impl aims::cred::IdentitySource + 'static,
    /// # ) -> Result<(), aims::agent::Error> {
    /// let agent = aims::Agent::builder(identity)
    ///     .tool("https://tools.example/mcp", ["https://as.example"], "tools:call")?
    ///     .build()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `metadata.…` and `oauth.…` if a URL, an issuer or the list of scopes is not valid. Plain
    /// `http` is accepted only for loopback.
    pub fn tool(
        self,
        url: &str,
        issuers: impl IntoIterator<Item = impl AsRef<str>>,
        scopes: &str,
    ) -> Result<AgentBuilder<Tools>, Error> {
        let accepted = issuers.into_iter().map(|issuer| {
            let issuer = issuer.as_ref();
            let parsed = issuer.parse();
            parsed.or_else(|error| Issuer::loopback(issuer).or(Err(error)))
        });
        let parsed = url.parse();
        let tool = Tool {
            resource: parsed.or_else(|error| Resource::loopback(url).or(Err(error)))?,
            accepted: accepted.collect::<Result<_, _>>()?,
            scopes: scopes.parse()?,
        };
        let (mut builder, tools) = self.with_tools(Tools::default());
        builder.tools = tools.into();
        builder.tools.0.push(tool);
        Ok(builder)
    }
}

impl AgentBuilder<Tools> {
    /// Discovers the authorization server of each tool and builds the agent.
    ///
    /// # Errors
    ///
    /// The errors of [`TokenSource::discover`]; `source.expired` if the agent has no identity at
    /// present; `fetch.build` if the HTTP client cannot be set up.
    pub async fn build(self) -> Result<Agent, Error> {
        let (mut builder, tools) = self.with_tools(());
        if builder.fetch.is_none() {
            builder = builder.fetch(Fetcher::builder().build()?);
        }
        for tool in tools.0 {
            let tokens = builder.discover(&tool).await?;
            builder = builder.authorize(tool.resource, tool.scopes, tokens);
        }
        builder.build()
    }
}

impl AgentBuilder {
    async fn discover(&self, tool: &Tool) -> Result<TokenSource, Error> {
        let client = SpiffeWit::of_at(Arc::clone(&self.source), self.clock.now())?;
        let Some(fetch) = self.fetch.clone() else {
            return Err(Error::Send(aims_fetch::Error::Interrupted));
        };
        let clock = Arc::clone(&self.clock);
        let tokens = TokenSource::discover(&tool.resource, &tool.accepted, client, fetch).await?;
        Ok(tokens.with_clock(clock))
    }
}
