//! The agent's side: a request proves who sends it.

mod error;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod layer;
mod send;
mod sign;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::Fetcher;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::{Clock, SystemClock};
use aims_oauth_client::TokenSource;
use aims_oauth_wire::bearer::Bearer;
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_wimse_cred::IdentitySource;
use aims_wimse_wpt::{Binding, Revision, fields};
pub use error::Error;
use http::header::HeaderMap;
use http::{Request, Uri};
pub use sign::{PendingResponse, ProofMethod, SignedResponses};

use crate::trace::CurrentTrace;

/// Makes HTTP requests prove who sends them: the WIT and a fresh WPT, bound to the target and to
/// the tokens that go with it; and an access token where the tool wants one.
///
/// What an agent's tool-calling loop is given is this handle, never a credential. Clones share
/// everything.
#[derive(Clone, Debug)]
pub struct Agent(Arc<Inner>);

struct Inner {
    source: Arc<dyn IdentitySource>,
    lifetime: Duration,
    revision: Revision,
    method: ProofMethod,
    responses: Option<SignedResponses>,
    tokens: Vec<Authorization>,
    fetch: Arc<dyn aims_fetch::Fetch>,
    trace: Option<Arc<dyn CurrentTrace>>,
    clock: Arc<dyn Clock>,
    random: &'static dyn SecureRandom,
}

/// Which tool gets tokens of which source.
#[derive(Debug)]
struct Authorization {
    resource: Resource,
    scopes: ScopeSet,
    source: TokenSource,
}

/// Makes an [`Agent`].
#[must_use = "an agent is made by `build`"]
pub struct AgentBuilder {
    source: Arc<dyn IdentitySource>,
    lifetime: Duration,
    revision: Revision,
    method: ProofMethod,
    responses: Option<SignedResponses>,
    tokens: Vec<Authorization>,
    fetch: Option<Arc<dyn aims_fetch::Fetch>>,
    trace: Option<Arc<dyn CurrentTrace>>,
    clock: Arc<dyn Clock>,
}

impl Agent {
    /// An agent whose identity comes from this source.
    pub fn builder(source: impl IdentitySource + 'static) -> AgentBuilder {
        AgentBuilder {
            source: Arc::new(source),
            lifetime: Duration::from_secs(60),
            revision: Revision::Draft01,
            method: ProofMethod::default(),
            responses: None,
            tokens: Vec::new(),
            fetch: None,
            trace: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Proves a request: adds WIT and WPT for its URI, bound to the `Authorization: Bearer` and
    /// `Txn-Token` that it has, and the trace context that the program has. A plain function, for
    /// any HTTP client; whatever it covers must not change afterwards, and the request is good for
    /// one sending.
    ///
    /// An agent that signs its requests adds the WIT and a signature, over the `Content-Digest`
    /// that is there or else over an empty content, and asks for no signed response:
    /// [`sign`](Self::sign) does all of that.
    ///
    /// # Errors
    ///
    /// `source.expired` where the agent has no identity at the moment; `wpt.target`,
    /// `wpt.field_repeated` and other `wpt.…` where the request cannot be covered; `agent.sign`.
    pub fn prove<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        if self.0.method == ProofMethod::HttpSignature {
            return self.sign_known(request);
        }
        let uri = request.uri().clone();
        self.prove_headers(&uri, request.headers_mut())
    }

    fn prove_headers(&self, target: &Uri, headers: &mut HeaderMap) -> Result<(), Error> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let identity = inner.source.identity(now)?;
        let audience = fields::audience(target)?;
        let proof = {
            let mut binding = Binding::to(&audience).revision(inner.revision);
            // In -02 the proof takes this field, which `apply` refuses to overwrite.
            if inner.revision == Revision::Draft01
                && let Some(token) = bearer(headers)?
            {
                binding = binding.access_token(token);
            }
            if let Some(token) = fields::txn_token(headers)? {
                binding = binding.txn_token(token);
            }
            let signer = identity.local_signer()?;
            let wit = identity.wit().expose();
            let algorithm = signer.algorithm();
            let input = binding.prepare(wit, algorithm, inner.lifetime, inner.random, now)?;
            input.sign(signer.as_ref()).map_err(Error::Sign)?
        };
        let wit = identity.wit().expose();
        fields::apply(headers, wit, proof.expose(), inner.revision)?;
        self.trace(headers);
        Ok(())
    }

    /// Carries on the trace context that the program has.
    fn trace(&self, headers: &mut HeaderMap) {
        let trace = self.0.trace.as_ref().and_then(|trace| trace.current());
        if let Some(trace) = trace {
            trace.apply(headers);
        }
    }
}

impl AgentBuilder {
    /// Gets access tokens from this source for requests to the resource and whatever is within it,
    /// with these scopes.
    ///
    /// When the agent's key is renewed, tokens that were got before are not used any more: they are
    /// bound to the key before (T-112).
    ///
    /// Whose tokens a tool takes, it says itself; [`TokenSource::discover`] asks it, and the agent
    /// says whom it believes:
    ///
    /// ```
    /// use aims::Agent;
    /// use aims::cred::IdentitySource;
    /// use aims::fetch::Fetcher;
    /// use aims::oauth_client::TokenSource;
    /// use aims::oauth_wire::client_auth::Authenticate;
    /// use aims::oauth_wire::names::{Issuer, Resource};
    ///
    /// async fn agent_for(
    ///     tool: Resource,
    ///     accepted: &[Issuer],
    ///     source: impl IdentitySource + 'static,
    ///     client: impl Authenticate + 'static,
    /// ) -> Result<Agent, Box<dyn std::error::Error>> {
    ///     let fetcher = Fetcher::builder().build()?;
    ///     let tokens = TokenSource::discover(&tool, accepted, client, fetcher.clone()).await?;
    ///     let agent = Agent::builder(source).authorize(tool, "tools:call".parse()?, tokens);
    ///     Ok(agent.client(fetcher).build()?)
    /// }
    /// ```
    pub fn authorize(mut self, resource: Resource, scopes: ScopeSet, source: TokenSource) -> Self {
        let identities = Arc::clone(&self.source);
        let source = source.with_key(move |now| {
            let identity = identities.identity(now).ok()?;
            Some(*identity.thumbprint())
        });
        self.tokens.push(Authorization {
            resource,
            scopes,
            source,
        });
        self
    }

    /// Sends requests by this client; unless said, `https` to public addresses.
    pub fn client(mut self, fetch: impl aims_fetch::Fetch + 'static) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Proves requests in this way; by a WPT unless said.
    pub const fn proof(mut self, method: ProofMethod) -> Self {
        self.method = method;
        self
    }

    /// Asks for signed responses to signed requests, and takes no others (SIG-09).
    pub fn signed_responses(mut self, responses: SignedResponses) -> Self {
        self.responses = Some(responses);
        self
    }

    /// Sets the revision of draft-ietf-wimse-wpt by which WPTs are made. With
    /// [`Revision::Draft02`] a request that has an `Authorization` field is refused
    /// (`wpt.authorization`): a token and a proof go together by an HTTP signature.
    pub const fn wpt_revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// How long a proof is good, from 1 s to 5 min; a minute unless said.
    pub const fn proof_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Where the current trace context comes from; unless said, none is sent.
    pub fn trace(mut self, trace: impl CurrentTrace + 'static) -> Self {
        self.trace = Some(Arc::new(trace));
        self
    }

    /// Another clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the agent.
    ///
    /// # Errors
    ///
    /// `fetch.build` where no [client](Self::client) was given, and one cannot be set up.
    pub fn build(self) -> Result<Agent, Error> {
        let fetch = match self.fetch {
            Some(fetch) => fetch,
            None => Arc::new(Fetcher::builder().build()?),
        };
        Ok(Agent(Arc::new(Inner {
            source: self.source,
            lifetime: self.lifetime,
            revision: self.revision,
            method: self.method,
            responses: self.responses,
            tokens: self.tokens,
            fetch,
            trace: self.trace,
            clock: self.clock,
            random: random::SYSTEM,
        })))
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("source", &self.source)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder")
            .field("source", &self.source)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

/// The access token of a request, where it has one. How long it may be is the tool's to say.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    match Bearer::read(headers, usize::MAX) {
        Bearer::Absent => Ok(None),
        Bearer::Token(token) => Ok(Some(token)),
        Bearer::Malformed | Bearer::OtherScheme | Bearer::TooLong => Err(Error::Authorization),
    }
}
