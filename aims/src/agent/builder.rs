//! How an agent is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::{Call, Fetch, Fetcher};
use aims_jose::random;
use aims_jose::time::{Clock, SystemClock, UnixTime};
use aims_oauth_client::TokenSource;
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_wimse_cred::{Identity, IdentitySource};
use aims_wimse_wpt::Revision;
use http::header::HeaderName;

use super::{Agent, Authorization, Error, Inner, Limits, RequestAuth, SignedResponses};
use crate::trace::CurrentTrace;

/// Makes an [`Agent`].
///
/// `T` is `()`, or [`Tools`](super::Tools) where the builder looks for authorization servers: then
/// [`build`](AgentBuilder::<super::Tools>::build) waits.
#[must_use = "an agent is made by `build`"]
pub struct AgentBuilder<T = ()> {
    pub(super) source: Arc<dyn IdentitySource>,
    lifetime: Duration,
    method: Option<RequestAuth>,
    revision: Revision,
    responses: Option<SignedResponses>,
    signed_fields: Vec<HeaderName>,
    tokens: Vec<Authorization>,
    call: Option<Arc<dyn Call>>,
    pub(super) fetch: Option<Arc<dyn Fetch>>,
    trace: Option<Arc<dyn CurrentTrace>>,
    pub(super) clock: Arc<dyn Clock>,
    limits: Limits,
    pub(super) tools: T,
}

impl Agent {
    /// An agent without an identity: it sends access tokens as bearer tokens (RFC 6750) and proves
    /// nothing, so that a thief can use a stolen token. For tools that accept bearer tokens.
    ///
    /// Its tokens come from sources whose client authenticates in another way than by the agent's
    /// identity: name them by [`authorize`](AgentBuilder::authorize). A
    /// [proof](AgentBuilder::proof) of a key is refused when a request is made (`source.none`).
    pub fn without_identity() -> AgentBuilder {
        Self::builder(NoIdentity).proof(RequestAuth::Bearer)
    }

    /// An agent whose identity comes from this source.
    pub fn builder(source: impl IdentitySource + 'static) -> AgentBuilder {
        AgentBuilder {
            source: Arc::new(source),
            lifetime: Duration::from_secs(60),
            method: None,
            revision: Revision::Draft02,
            responses: None,
            signed_fields: Vec::new(),
            tokens: Vec::new(),
            call: None,
            fetch: None,
            trace: None,
            clock: Arc::new(SystemClock::new()),
            limits: Limits::default(),
            tools: (),
        }
    }
}

#[derive(Debug)]
struct NoIdentity;

impl IdentitySource for NoIdentity {
    fn identity(&self, _: UnixTime) -> Result<Arc<Identity>, aims_wimse_cred::Error> {
        Err(aims_wimse_cred::Error::NoIdentity)
    }
}

impl<T> AgentBuilder<T> {
    /// Gets access tokens from this source for requests to the resource and whatever is within it,
    /// with these scopes.
    ///
    /// When the agent's key is renewed, tokens that were got before are not used any more: they are
    /// bound to the key before.
    ///
    /// [`tool`](Self::tool) is the short form of this:
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
    ///     Ok(agent.fetcher(fetcher).build()?)
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

    /// Sends everything by this fetcher: calls to tools, and requests for tokens. Defaults to
    /// `https` to public addresses.
    pub fn fetcher(self, fetcher: Fetcher) -> Self {
        self.client(fetcher.clone()).fetch(fetcher)
    }

    /// Sends calls to tools by this client. Defaults to the [fetcher](Self::fetcher).
    pub fn client(mut self, call: impl Call + 'static) -> Self {
        self.call = Some(Arc::new(call));
        self
    }

    /// Discovers authorization servers and requests tokens of [tools](Self::tool) by this client.
    /// Defaults to the [fetcher](Self::fetcher).
    pub fn fetch(mut self, fetch: impl Fetch + 'static) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Sets how requests are proven. Defaults to an HTTP signature if the agent has tokens for a
    /// tool, and to a WPT otherwise.
    pub const fn proof(mut self, method: RequestAuth) -> Self {
        self.method = Some(method);
        self
    }

    /// Sets the revision of draft-ietf-wimse-wpt by which WPTs are made. Defaults to -02.
    ///
    /// For tools that are configured for -01, where the WPT has a field of its own and covers the
    /// access token. With it, an agent that has tokens makes WPTs by default.
    pub const fn wpt_revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Asks for signed responses to signed requests, and accepts no others.
    pub fn signed_responses(mut self, responses: SignedResponses) -> Self {
        self.responses = Some(responses);
        self
    }

    /// Covers this field by HTTP signatures as well, in requests that have it: one that carries a
    /// token for the tool, or by which the tool decides. May be repeated. Other proofs cover no
    /// such field.
    pub fn signed_field(mut self, name: HeaderName) -> Self {
        self.signed_fields.push(name);
        self
    }

    /// Sets how long a proof is good, from 1 s to 5 min. Defaults to a minute.
    pub const fn proof_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the greatest content of a request that is read or kept, in bytes. Defaults to 1 MiB.
    ///
    /// A content that the proof covers is read before; a longer one is not sent. Of any other
    /// content so much is kept, to be sent again after a refused token.
    pub const fn max_content(mut self, most: usize) -> Self {
        self.limits.content = most;
        self
    }

    /// Sets the greatest content of a signed answer, in bytes. Defaults to 1 MiB. Answers that
    /// stream have no limit.
    pub const fn max_answer(mut self, most: usize) -> Self {
        self.limits.answer = most;
        self
    }

    /// Sets where the current trace context comes from. By default none is sent.
    pub fn trace(mut self, trace: impl CurrentTrace + 'static) -> Self {
        self.trace = Some(Arc::new(trace));
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The same with other tools.
    pub(super) fn with_tools<U>(self, tools: U) -> (AgentBuilder<U>, T) {
        let builder = AgentBuilder {
            source: self.source,
            lifetime: self.lifetime,
            method: self.method,
            revision: self.revision,
            responses: self.responses,
            signed_fields: self.signed_fields,
            tokens: self.tokens,
            call: self.call,
            fetch: self.fetch,
            trace: self.trace,
            clock: self.clock,
            limits: self.limits,
            tools,
        };
        (builder, self.tools)
    }
}

impl AgentBuilder {
    /// Builds the agent.
    ///
    /// # Errors
    ///
    /// `fetch.build` where no [client](Self::client) was given, and one cannot be set up;
    /// `agent.token_with_wpt` where tokens are to go with WPTs of draft-ietf-wimse-wpt-02.
    pub fn build(self) -> Result<Agent, Error> {
        let both = self.revision == Revision::Draft02 && !self.tokens.is_empty();
        let method = match self.method {
            Some(RequestAuth::Wpt) if both => return Err(Error::TokenWithWpt),
            Some(method) => method,
            None if both => RequestAuth::HttpSignature,
            None => RequestAuth::Wpt,
        };
        let call = match self.call {
            Some(call) => call,
            None => Arc::new(Fetcher::builder().build()?),
        };
        Ok(Agent(Arc::new(Inner {
            source: self.source,
            lifetime: self.lifetime,
            method,
            revision: self.revision,
            responses: self.responses,
            signed_fields: self.signed_fields,
            tokens: self.tokens,
            call,
            trace: self.trace,
            clock: self.clock,
            random: random::SYSTEM,
            limits: self.limits,
        })))
    }
}

impl<T> fmt::Debug for AgentBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder")
            .field("source", &self.source)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
