//! Web Bot Auth, the receiver's side over HTTP: the directories of agents are fetched when a
//! request names them, and kept.
//!
//! A URL in `Signature-Agent` is a stranger's choice. It is fetched over `https` from public
//! addresses alone, no redirect is followed, the answer is bounded in size and time, one directory
//! is fetched once at a time, and no more of them are kept than there is room for.
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
//!     Err(error) if error.is_undecided() => println!("nothing is known of it: {}", error.code()),
//!     Err(error) => println!("refused: {}", error.code()),
//! }
//! # Ok(())
//! # }
//! ```

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

/// The directories of agents, fetched by need. Clones share what is kept.
#[derive(Clone)]
pub struct AgentDirectories {
    documents: Documents,
    provider: &'static dyn Provider,
    known: Arc<Agents>,
}

/// Makes [`AgentDirectories`].
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
    /// Directories that are fetched by a client made so, but that it follows no redirect and reads
    /// 256 KiB at most.
    ///
    /// # Errors
    ///
    /// `fetch.build`
    pub fn fetching(
        client: FetcherBuilder,
        provider: &'static dyn Provider,
    ) -> Result<AgentDirectoriesBuilder, aims_fetch::Error> {
        let fetcher = client.redirects(0).max_body(MAX_DOCUMENT).build()?;
        Ok(Self::over(Arc::new(fetcher), provider))
    }

    /// Directories that are fetched by this. It is handed URLs that strangers chose, so it must do
    /// what [`Fetcher`](aims_fetch::Fetcher) does: public addresses alone, and no redirects.
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

    /// Verifies the one signature of Web Bot Auth that a request has. Its directory is fetched
    /// where it is not at hand, and only when all else that can be judged without a key is right; a
    /// key that is not in it is looked for once more in a newer one, if that was not done a moment
    /// ago.
    ///
    /// # Errors
    ///
    /// The codes of [`RequestPolicy::verify`], and those of [`Documents::get`] where the directory
    /// is not to be had: `fetch.address`, `fetch.status` (redirects among them),
    /// `fetch.content_type`, `fetch.rejected` where it is none or no key in it has signed it.
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

    /// The agent whose directory is needed; none where the request can be judged without one.
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
    /// Uses keys of a directory that have not signed it, too. What they say is as good for the
    /// agent of that URL; what is missing is that whoever serves the directory holds them (draft
    /// appendix "Possession Proof on the Directory Response").
    pub fn accepting_unproven_keys(mut self) -> Self {
        self.proof = Proof::Unneeded;
        self
    }

    /// Agents that are known without fetching.
    pub fn known(mut self, agents: Agents) -> Self {
        self.known = agents;
        self
    }

    /// How many directories are kept; 256.
    pub const fn capacity(mut self, most: usize) -> Self {
        self.capacity = most;
        self
    }

    /// Another clock, by which the signatures of directories are judged.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes it.
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
