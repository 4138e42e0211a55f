//! Web Bot Auth for receivers: verifies requests of automated clients, and fetches and caches the
//! key directories that they publish.
//!
//! The client chooses the URL in `Signature-Agent`, so fetching is restricted. Directories are
//! fetched only over `https` and from public addresses, without redirects. Size and time of an
//! answer are limited. Each directory is fetched by one request at a time, and the number of cached
//! directories is limited.
//!
//! ```no_run
//! # async fn example(
//! #     message: aims_http_sig::HttpRequest<'_>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use aims::fetch::Fetcher;
//! use aims::jose::{provider, time::{Clock as _, SystemClock}};
//! use aims::web_bot_auth::AgentDirectories;
//! use aims_http_sig::profile::web_bot_auth::RequestPolicy;
//!
//! let directories = AgentDirectories::fetching(Fetcher::builder(), provider::default())?.build();
//! let now = SystemClock::new().now();
//! match directories.verify(&RequestPolicy::new(), &message, now).await {
//!     Ok(unspent) => println!("{:?}", unspent.accept_replays().agent()),
//!     Err(error) if error.is_undecided() => println!("not known: {}", error.code()),
//!     Err(error) => println!("refused: {}", error.code()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! This module needs the feature `web-bot-auth`.

mod error;
mod proving;

use std::sync::Arc;

use aims_fetch::{Document, DocumentKey, Documents, Fetch, FetcherBuilder};
use aims_http_sig::profile::web_bot_auth::{
    Agents, Directory, DirectoryRules, Discovery, RequestPolicy, SignatureAgent, UnspentRequest,
};
use aims_http_sig::{Error as SignatureError, Message};
use aims_jose::provider::Provider;
use aims_jose::time::{Clock, SystemClock, UnixTime};

pub use error::AgentError;
use proving::{Proof, Proving};

/// Verifies requests with the key directories of agents, which it fetches on demand and caches.
///
/// Clones share the cache.
#[derive(Clone)]
pub struct AgentDirectories {
    documents: Documents,
    provider: &'static dyn Provider,
    known: Arc<Agents>,
}

/// Builds [`AgentDirectories`].
#[must_use = "nothing is fetched before `build`"]
pub struct AgentDirectoriesBuilder {
    fetch: Arc<dyn Fetch>,
    provider: &'static dyn Provider,
    clock: Arc<dyn Clock>,
    capacity: usize,
    known: Agents,
    proof: Proof,
}

impl AgentDirectories {
    /// Creates a builder whose directories are fetched by a client with these settings.
    ///
    /// The client follows no redirects and reads at most 256 KiB, whatever the settings are.
    ///
    /// # Errors
    ///
    /// `fetch.build` if the HTTP client cannot be set up.
    pub fn fetching(
        client: FetcherBuilder,
        provider: &'static dyn Provider,
    ) -> Result<AgentDirectoriesBuilder, aims_fetch::Error> {
        let fetcher = client.redirects(0).max_body(MAX_DOCUMENT).build()?;
        Ok(Self::over(Arc::new(fetcher), provider))
    }

    /// Creates a builder whose directories are fetched by this client.
    ///
    /// Callers choose the URLs, so the client must do what [`Fetcher`](aims_fetch::Fetcher) does:
    /// connect only to public addresses and follow no redirects.
    pub fn over(fetch: Arc<dyn Fetch>, provider: &'static dyn Provider) -> AgentDirectoriesBuilder {
        AgentDirectoriesBuilder {
            fetch,
            provider,
            clock: Arc::new(SystemClock::new()),
            capacity: 256,
            known: Agents::new(),
            proof: Proof::Required,
        }
    }

    /// Verifies the Web Bot Auth signature of a request.
    ///
    /// Everything that needs no key is checked first. Then the directory is fetched if it is not
    /// cached. If the key is not in the cached directory, the directory is fetched again, unless
    /// that was done shortly before.
    ///
    /// # Errors
    ///
    /// The codes of [`RequestPolicy::verify`]. If the directory is not available, those of
    /// [`Documents::get`]: `fetch.address`, `fetch.status` (also for redirects),
    /// `fetch.content_type`, and `fetch.rejected` if the answer is not a directory or none of its
    /// keys has signed it.
    pub async fn verify(
        &self,
        policy: &RequestPolicy,
        request: &(dyn Message + Sync),
        now: UnixTime,
    ) -> Result<UnspentRequest, AgentError> {
        let Some(agent) = self.wanted(policy, request, now)? else {
            return Ok(policy.verify(request, &*self.known, now)?);
        };
        let key = DocumentKey::new(PURPOSE, agent.identifier(), agent.location())?;
        let document = self.documents.get(&key).await?;
        match policy.verify(request, &self.agents(&agent, &document, now)?, now) {
            Err(SignatureError::AgentKeyUnknown { .. }) => {}
            judged => return Ok(judged?),
        }
        let newer = self.documents.refresh(&key).await?;
        Ok(policy.verify(request, &self.agents(&agent, &newer, now)?, now)?)
    }

    /// Returns the agent whose directory is needed. Returns `None` if no directory is needed to
    /// decide.
    fn wanted(
        &self,
        policy: &RequestPolicy,
        request: &dyn Message,
        now: UnixTime,
    ) -> Result<Option<SignatureAgent>, AgentError> {
        match policy.verify(request, &*self.known, now) {
            Ok(_) => return Ok(None),
            Err(SignatureError::AgentKeyUnknown { agent: Some(_), .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let claims = policy.claims(request)?;
        let agent = claims.first().and_then(|claim| claim.agent()).cloned();
        match agent {
            Some(agent) if agent.discovery() == Discovery::Cimd => {
                Err(AgentError::from(SignatureError::Directory {
                    reason: "a client ID metadata document is not looked into",
                }))
            }
            other => Ok(other),
        }
    }

    fn agents(
        &self,
        agent: &SignatureAgent,
        document: &Document,
        now: UnixTime,
    ) -> Result<Agents, AgentError> {
        let rules = DirectoryRules::of(agent);
        let directory = Directory::parse(document.bytes(), &rules, self.provider, now)?;
        let mut agents = Agents::new();
        agents.insert(agent, directory);
        Ok(agents)
    }
}

impl AgentDirectoriesBuilder {
    /// Uses keys of a directory that have not signed the directory, too.
    ///
    /// Such a key identifies the agent of that URL equally well. What is missing is the proof that
    /// the server of the directory holds the private key (draft-ietf-webbotauth-httpsig-directory,
    /// "Possession Proof on the Directory Response").
    pub fn accept_unproven_keys(mut self) -> Self {
        self.proof = Proof::Unneeded;
        self
    }

    /// Adds agents whose keys are known without fetching.
    pub fn known(mut self, agents: Agents) -> Self {
        self.known = agents;
        self
    }

    /// Sets the maximum number of cached directories. Defaults to 256.
    pub const fn capacity(mut self, most: usize) -> Self {
        self.capacity = most;
        self
    }

    /// Sets the clock for the signatures of directories. Defaults to the system clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the [`AgentDirectories`].
    #[must_use]
    pub fn build(self) -> AgentDirectories {
        let proving = Proving::new(self.fetch, self.provider, self.clock, self.proof);
        let documents = Documents::builder(Arc::new(proving))
            .capacity(self.capacity)
            .max_document(MAX_DOCUMENT)
            .build();
        AgentDirectories {
            documents,
            provider: self.provider,
            known: Arc::new(self.known),
        }
    }
}

impl std::fmt::Debug for AgentDirectories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentDirectories")
            .field("kept", &self.documents.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for AgentDirectoriesBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentDirectoriesBuilder")
            .field("fetch", &self.fetch)
            .field("capacity", &self.capacity)
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}

const PURPOSE: &str = "web-bot-auth";
const MAX_DOCUMENT: usize = 256 * 1024;
