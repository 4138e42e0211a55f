//! From a tool to a source of tokens for it.

use std::future::Future;
use std::time::Duration;

use aims_fetch::Fetch;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::names::{Issuer, Resource};
use http::{Request, Response};
use tokio::runtime::Handle;

use super::TokenSource;
use crate::Error;
use crate::discovery::{self, Step};

impl TokenSource {
    /// Tokens for a tool, of the authorization server that the tool itself names: reads the
    /// metadata of the tool (RFC 9728), chooses the first of its servers that this client accepts,
    /// and reads the metadata of that one (RFC 8414). Each document counts only for what was asked
    /// about, and all of it may take 30 s.
    ///
    /// The tool does not decide whom the client shows its credentials to: `accepted` does (RFC 9728
    /// §7.6).
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
    /// `metadata.resource` where the tool speaks of another resource, be it by a `/` at the end;
    /// `discovery.no_server` where it names no server that is accepted; `metadata.issuer`,
    /// `discovery.not_served` where the server is another one, or is not for this tool;
    /// `discovery.not_found`; other `metadata.…`; `grant.transport` also where it takes too long;
    /// `grant.interrupted` where there is no tokio runtime.
    pub async fn discover(
        tool: &Resource,
        accepted: &[Issuer],
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Result<Self, Error> {
        // Nothing waits without a runtime.
        let _runtime = Handle::try_current().or(Err(Error::Interrupted))?;
        let (request, pending) = discovery::resource(tool, None)?;
        let server = async {
            let found = all_steps(request, pending, &http, |it, answer| it.finish(answer));
            let (request, pending) = discovery::server_for(&found.await?, accepted)?;
            all_steps(request, pending, &http, |it, answer| it.finish(answer)).await
        };
        let server = within(TIMEOUT, server).await?;
        Ok(Self::new(server, client, http))
    }
}

/// Asks one place after the other.
async fn all_steps<T, P>(
    mut request: Request<Vec<u8>>,
    mut pending: P,
    http: &dyn Fetch,
    finish: impl Fn(P, &Response<Vec<u8>>) -> Result<Step<T, P>, Error>,
) -> Result<T, Error> {
    loop {
        let answer = http.send(request).await;
        let answer = answer.map_err(Error::Transport)?;
        match finish(pending, &answer)? {
            Step::Found(found) => return Ok(found),
            Step::Next(next, more) => (request, pending) = (next, more),
        }
    }
}

async fn within<T>(
    most: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let ended = tokio::time::timeout(most, work).await;
    ended.unwrap_or_else(|_elapsed| Err(Error::Transport(aims_fetch::Error::Timeout)))
}

const TIMEOUT: Duration = Duration::from_secs(30);
