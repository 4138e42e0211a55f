//! The builder of an agent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::{Call, Fetch, Fetcher};
use aims_jose::random;
use aims_jose::time::{Clock, SystemClock, UnixTime};
use aims_oauth_client::{Approve, TokenSource};
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_wimse_cred::{Identity, IdentitySource};
use aims_wimse_wpt::Revision;
use http::header::HeaderName;

use super::access::{Authorization, Tokens};
use super::approve::Approvals;
use super::onward::Domain;
use super::{Agent, Error, Inner, Limits, RequestAuth, SignedResponses};
use crate::trace::CurrentTrace;

/// Builds an [`Agent`].
///
/// `T` is `()`, or [`Tools`](super::Tools) after a call of [`tool`](Self::tool). With `Tools`,
/// [`build`](AgentBuilder::<super::Tools>::build) is asynchronous, because it discovers the
/// authorization servers of the tools.
///
/// ```
/// use aims::Agent;
/// use aims::agent::RequestAuth;
/// use aims::cred::IdentitySource;
///
/// fn agent(source: impl IdentitySource + 'static) -> Result<Agent, aims::agent::Error> {
///     Agent::builder(source)
///         .proof(RequestAuth::HttpSignature)
///         .proof_lifetime(std::time::Duration::from_secs(30))
///         .build()
/// }
/// ```
#[must_use = "an agent is made by `build`"]
pub struct AgentBuilder<T = ()> {
    pub(super) source: Arc<dyn IdentitySource>,
    lifetime: Duration,
    method: Option<RequestAuth>,
    revision: Revision,
    responses: Option<SignedResponses>,
    signed_fields: Vec<HeaderName>,
    pub(super) domain: Option<Domain>,
    pub(super) tokens: Vec<Authorization>,
    approvals: Approvals,
    call: Option<Arc<dyn Call>>,
    pub(super) fetch: Option<Arc<dyn Fetch>>,
    trace: Option<Arc<dyn CurrentTrace>>,
    pub(super) clock: Arc<dyn Clock>,
    limits: Limits,
    pub(super) tools: T,
}

impl Agent {
    /// Creates a builder for an agent without an identity, for tools that accept bearer tokens.
    ///
    /// The agent sends access tokens as bearer tokens (RFC 6750) and proves nothing, so a thief can
    /// use a stolen token. Add the sources of its tokens with
    /// [`authorize`](AgentBuilder::authorize); the client of a source cannot authenticate by the
    /// identity of the agent. If a [proof](AgentBuilder::proof) is set, every request fails with
    /// `source.none`.
    ///
    /// ```
    /// use aims::Agent;
    /// use aims::oauth_client::TokenSource;
    ///
    /// fn agent(tokens: TokenSource) -> Result<Agent, Box<dyn std::error::Error>> {
    ///     let tool = "https://tools.example/mcp".parse()?;
    ///     let agent = Agent::without_identity().authorize(tool, "tools:call".parse()?, tokens);
    ///     Ok(agent.build()?)
    /// }
    /// ```
    pub fn without_identity() -> AgentBuilder {
        Self::builder(NoIdentity).proof(RequestAuth::Bearer)
    }

    /// Creates a builder for an agent whose identity comes from this source.
    pub fn builder(source: impl IdentitySource + 'static) -> AgentBuilder {
        AgentBuilder {
            source: Arc::new(source),
            lifetime: Duration::from_secs(60),
            method: None,
            revision: Revision::Draft02,
            responses: None,
            signed_fields: Vec::new(),
            domain: None,
            tokens: Vec::new(),
            call: None,
            fetch: None,
            trace: None,
            approvals: Approvals::default(),
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
    /// Uses access tokens of this source, with these scopes, for requests to the resource and to
    /// every URL beneath it.
    ///
    /// When the agent's key is renewed, the agent stops using earlier tokens, because they are
    /// bound to the earlier key.
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
            tokens: Tokens::Source { scopes, source },
        });
        self
    }

    /// Sets the fetcher for all requests: calls of tools, discovery, and requests for tokens.
    ///
    /// The default fetcher accepts only `https` and public addresses.
    ///
    /// ```
    /// use aims::Agent;
    /// use aims::cred::IdentitySource;
    /// use aims::fetch::Fetcher;
    ///
    /// // A local test: plain HTTP to this machine is accepted.
    /// fn agent(
    ///     source: impl IdentitySource + 'static,
    /// ) -> Result<Agent, Box<dyn std::error::Error>> {
    ///     let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    ///     Ok(Agent::builder(source).fetcher(fetcher).build()?)
    /// }
    /// ```
    pub fn fetcher(self, fetcher: Fetcher) -> Self {
        self.client(fetcher.clone()).fetch(fetcher)
    }

    /// Sets the client that calls tools. Defaults to the [fetcher](Self::fetcher).
    pub fn client(mut self, call: impl Call + 'static) -> Self {
        self.call = Some(Arc::new(call));
        self
    }

    /// Sets the client that discovers authorization servers and requests tokens for
    /// [tools](Self::tool). Defaults to the [fetcher](Self::fetcher).
    pub fn fetch(mut self, fetch: impl Fetch + 'static) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Sets the method by which the agent proves its requests. Defaults to an HTTP signature if the
    /// agent has tokens for a tool, and to a WPT otherwise.
    pub const fn proof(mut self, method: RequestAuth) -> Self {
        self.method = Some(method);
        self
    }

    /// Sets the revision of draft-ietf-wimse-wpt for WPTs. Defaults to -02.
    ///
    /// Revision -01 is for tools that are configured for it. It puts the WPT into a separate header
    /// field and covers the access token. With -01, an agent that has tokens makes WPTs by default.
    ///
    /// ```
    /// use aims::Agent;
    /// use aims::cred::IdentitySource;
    /// use aims::wpt::Revision;
    ///
    /// fn agent(
    ///     source: impl IdentitySource + 'static,
    /// ) -> Result<Agent, Box<dyn std::error::Error>> {
    ///     Ok(Agent::builder(source).wpt_revision(Revision::Draft01).build()?)
    /// }
    /// ```
    pub const fn wpt_revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Requests signed responses in signed requests, and accepts no unsigned responses to them.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aims::Agent;
    /// use aims::agent::{RequestAuth, SignedResponses};
    /// use aims::cred::{IdentitySource, TrustStore};
    ///
    /// fn agent(
    ///     source: impl IdentitySource + 'static,
    ///     trust: Arc<TrustStore>,
    /// ) -> Result<Agent, Box<dyn std::error::Error>> {
    ///     let responses = SignedResponses::of("spiffe://example.org/tool".parse()?, trust);
    ///     let agent = Agent::builder(source).proof(RequestAuth::HttpSignature);
    ///     Ok(agent.signed_responses(responses).build()?)
    /// }
    /// ```
    pub fn signed_responses(mut self, responses: SignedResponses) -> Self {
        self.responses = Some(responses);
        self
    }

    /// Covers this header field by HTTP signatures in every request that has it. May be repeated.
    ///
    /// Use it for a field that carries a token for the tool or that the tool uses for a decision.
    /// Other proofs do not cover such fields.
    ///
    /// ```
    /// use aims::Agent;
    /// use aims::cred::IdentitySource;
    /// use http::HeaderName;
    ///
    /// fn agent(
    ///     source: impl IdentitySource + 'static,
    /// ) -> Result<Agent, Box<dyn std::error::Error>> {
    ///     let field = HeaderName::from_static("mcp-name");
    ///     Ok(Agent::builder(source).signed_field(field).build()?)
    /// }
    /// ```
    pub fn signed_field(mut self, name: HeaderName) -> Self {
        self.signed_fields.push(name);
        self
    }

    /// Sets the lifetime of a proof, from 1 s to 5 min. Defaults to one minute.
    pub const fn proof_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the maximum content of a request that the agent reads or copies, in bytes. Defaults to
    /// 1 MiB.
    ///
    /// If the proof covers the content, the agent reads the content first and refuses to send a
    /// longer one. Otherwise the content streams, and the agent copies up to this size to send it
    /// again after a refused token.
    pub const fn max_content(mut self, most: usize) -> Self {
        self.limits.content = most;
        self
    }

    /// Sets the maximum content of a signed answer, in bytes. Defaults to 1 MiB.
    ///
    /// Answers that stream have no limit.
    pub const fn max_answer(mut self, most: usize) -> Self {
        self.limits.answer = most;
        self
    }

    /// Asks a person where the tool at this URL requires the approval of a call.
    ///
    /// The tool refuses such a call by 403 and `insufficient_authorization_details`. The extensions
    /// of the request must have the [`ToolCall`](aims_oauth_wire::call::ToolCall); otherwise the
    /// error is `agent.call`. The agent asks for exactly that call, whatever the refusal says, and
    /// sends the request once more with the token of the approval. The token is not kept.
    ///
    /// The agent also asks for the scopes and the login that the tool demands in its refusals, if
    /// the program allows the scopes: those of [`tool`](Self::tool) or
    /// [`authorize`](Self::authorize), or
    /// [`Connector::allow_scopes`](aims_oauth_client::Connector::allow_scopes). For others, the
    /// error is `connect.scope`, and no person is asked.
    ///
    /// The URL is also that of [`tool`](Self::tool), [`connect`](Self::connect) or
    /// [`authorize`](Self::authorize); otherwise `build` fails with `agent.approval`. If persons
    /// are asked in two ways for one tool, the last call wins.
    ///
    /// ```
    /// use aims::Agent;
    /// use aims::oauth_client::ByBackchannel;
    /// use aims::oauth_wire::call::ToolCall;
    ///
    /// # async fn example(
    /// #     builder: aims::agent::AgentBuilder<aims::agent::Tools>,
    /// #     by_phone: ByBackchannel,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = builder.approval("https://bank.example/mcp".parse()?, by_phone).build().await?;
    /// let message = br#"{"method":"tools/call","params":{"name":"transfer"}}"#;
    /// let mut request = http::Request::post("https://bank.example/mcp");
    /// if let Some(call) = ToolCall::from_mcp(message)? {
    ///     request = request.extension(call);
    /// }
    /// let answer = agent.send(request.body(String::from_utf8(message.to_vec())?)?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn approval(mut self, tool: Resource, approve: impl Approve + 'static) -> Self {
        self.approvals.set(tool, Arc::new(approve));
        self
    }

    /// Sets the source of the current trace context. By default the agent sends none.
    pub fn trace(mut self, trace: impl CurrentTrace + 'static) -> Self {
        self.trace = Some(Arc::new(trace));
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the same settings with another list of tools, and the earlier list.
    pub(super) fn with_tools<U>(self, tools: U) -> (AgentBuilder<U>, T) {
        let builder = AgentBuilder {
            source: self.source,
            lifetime: self.lifetime,
            method: self.method,
            revision: self.revision,
            responses: self.responses,
            signed_fields: self.signed_fields,
            domain: self.domain,
            tokens: self.tokens,
            approvals: self.approvals,
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
    /// - `agent.approval` if an [approval](Self::approval) is for no tool of the agent.
    /// - `fetch.build` if no [client](Self::client) was given and the default one cannot be set up.
    /// - `agent.token_with_wpt` if the agent would send tokens together with WPTs of
    ///   draft-ietf-wimse-wpt-02.
    pub fn build(self) -> Result<Agent, Error> {
        self.approvals.check(&self.tokens)?;
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
        let inner = Inner {
            source: self.source,
            approvals: self.approvals,
            lifetime: self.lifetime,
            method,
            revision: self.revision,
            responses: self.responses,
            signed_fields: self.signed_fields,
            domain: self.domain,
            tokens: self.tokens,
            call,
            trace: self.trace,
            clock: self.clock,
            random: random::SYSTEM,
            limits: self.limits,
        };
        Ok(Agent(Arc::new(inner), None))
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
