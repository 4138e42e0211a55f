//! The builder of a guard.

mod build;
mod proofs;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::time::{Clock, Skew, SystemClock};
use aims_oauth_rs::{AccessTokenRules, IssuerRules, IssuerStore};
use aims_oauth_wire::metadata::ResourceMetadata;
use aims_oauth_wire::names::Issuer;
use aims_wimse_cred::{TrustStore, WitRules};
use aims_wimse_wpt::WptRules;
use http::header::HeaderName;

use super::decide::Decides;
use super::opaque::OpaqueTokens;
use super::spend::Replay;
use super::transactions::TransactionTokens;
use super::{BuildError, ClientCertificates, Deferred, Dpop, Guard, HttpSignatures, Immediate};
use crate::decision::{Authorize, Extract, RequirementsAlone};
use crate::record::{Record, ToTracing};
use crate::requirements::Requirements;
use crate::resolve::{Resolve, Unresolved};
use crate::revoked::Revoked;

/// Type state of a [`GuardBuilder`] that has no source of trust yet. It cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoTrust;

/// Type state of a [`GuardBuilder`] that has a source of trust. It can be built.
#[derive(Debug)]
#[non_exhaustive]
pub struct Trusting;

/// Marks the type states of a [`GuardBuilder`] that can be built.
#[diagnostic::on_unimplemented(
    message = "this guard has no source of trust yet",
    note = "name the issuers by `.issuer(..)` and the bundles of the agents' origins by `.bundle(..)`, and end with `.start().await` (feature `fetch`); or, before `.build()`, call `.trust(..)` with the bundles or `.keys(..)` with `PublishedKeys`"
)]
pub trait HasTrust: sealed::Sealed {}
impl HasTrust for Trusting {}

mod sealed {
    #[expect(unnameable_types, reason = "sealed")]
    pub trait Sealed {}
    impl Sealed for super::Trusting {}
}

/// Builds a [`Guard`]. Created by [`Guard::builder`].
///
/// Only a source of trust is required: [`trust`](Self::trust), [`keys`](Self::keys),
/// [`issuer`](Self::issuer) or [`bundle`](Self::bundle). All other settings have defaults. Finish
/// with [`build`](Self::build) or, to fetch keys, with [`start`](Self::start).
///
/// `T` is the type state, [`NoTrust`] or [`Trusting`]. `M` is the mode of the guard, [`Immediate`]
/// or [`Deferred`].
///
/// ```
/// use std::sync::Arc;
///
/// use aims::Guard;
/// use aims::cred::{Bundle, TrustStore};
/// use aims::jose::provider;
///
/// # fn example(document: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let origin = "spiffe://example.org".parse()?;
/// let trust = TrustStore::of([Bundle::parse(&origin, document, provider::default())?]);
/// let guard = Guard::builder("https://tools.example/mcp").trust(Arc::new(trust)).build()?;
/// assert_eq!(guard.resource(), "https://tools.example/mcp");
/// # Ok(())
/// # }
/// ```
///
/// With the feature `fetch`, [`start`](Self::start) fetches keys and keeps them fresh.
#[derive(Debug)]
#[must_use = "a guard is made by `build`"]
pub struct GuardBuilder<T, M = Immediate> {
    pub(super) settings: Settings,
    state: PhantomData<fn() -> (T, M)>,
}

#[derive(Debug)]
pub(super) struct Settings {
    resource: String,
    trust: Arc<TrustStore>,
    issuers: Option<Arc<IssuerStore>>,
    tokens: AccessTokenRules,
    max_token: usize,
    pub(super) opaque: Vec<OpaqueTokens>,
    pub(super) rules: Vec<(Issuer, IssuerRules)>,
    /// Two issuers of [`PublishedKeys`](crate::keys::PublishedKeys) that are the same server.
    twins: Option<(String, String)>,
    /// Whether any origin of agents is trusted, now or later.
    agents: bool,
    /// Whether a `token_audience` is empty.
    empty_audience: bool,
    pub(super) metadata: Option<ResourceMetadata>,
    audiences: Vec<String>,
    any_path: bool,
    requirements: Requirements,
    replay: Option<Replay>,
    /// Whether proofs from before the start are accepted.
    early_proofs: bool,
    wit: WitRules,
    wpt: WptRules,
    skew: Option<Skew>,
    signatures: Option<HttpSignatures>,
    dpop: Option<Dpop>,
    certificates: Option<ClientCertificates>,
    transactions: Option<TransactionTokens>,
    capacity: usize,
    token_fields: Vec<HeaderName>,
    extract: Vec<Arc<dyn Extract>>,
    decides: Decides,
    record: Arc<dyn Record>,
    revoked: Option<Arc<dyn Revoked>>,
    resolve: Arc<dyn Resolve>,
    deadline: Duration,
    passes_token: bool,
    pub(super) cors: Option<super::Cors>,
    pub(super) clock: ClockOf,
    #[cfg(feature = "fetch")]
    pub(super) sources: super::start::Sources,
}

/// Wraps a clock to give it a `Debug` implementation.
pub(super) struct ClockOf(pub(super) Arc<dyn Clock>);

impl std::fmt::Debug for ClockOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Guard {
    /// Creates a builder for a guard of the tool that callers address by this URL.
    ///
    /// The URL is configuration and never taken from a request (draft-ietf-wimse-wpt §2).
    ///
    /// Tokens are valid only for this resource (RFC 8707 §2), so the path of a request must be the
    /// path of the URL, with or without a final slash, or a path beneath it. The guard refuses any
    /// other path, and any path with a segment `..`, with `guard.target`. A URL without a path
    /// stands for the whole host.
    ///
    /// The guard checks only the syntax of `Host`, because the URL tells which host the tool has.
    /// If a proxy changes paths before the guard sees them, use
    /// [`accept_any_path`](GuardBuilder::accept_any_path).
    pub fn builder(resource: impl Into<String>) -> GuardBuilder<NoTrust> {
        let resource = resource.into();
        let settings = Settings {
            tokens: AccessTokenRules::for_url(resource.clone()),
            resource,
            trust: Arc::default(),
            issuers: None,
            max_token: 8 * 1024,
            opaque: Vec::new(),
            rules: Vec::new(),
            twins: None,
            agents: true,
            empty_audience: false,
            metadata: None,
            audiences: Vec::new(),
            any_path: false,
            requirements: Requirements::new(),
            replay: None,
            early_proofs: false,
            wit: WitRules::wit(),
            wpt: WptRules::default(),
            skew: None,
            signatures: None,
            dpop: None,
            certificates: None,
            transactions: None,
            capacity: 10_000,
            token_fields: Vec::new(),
            extract: Vec::new(),
            decides: Decides::Local(Arc::new(RequirementsAlone)),
            record: Arc::new(ToTracing),
            revoked: None,
            resolve: Arc::new(Unresolved),
            deadline: Duration::from_secs(30),
            passes_token: false,
            cors: None,
            clock: ClockOf(Arc::new(SystemClock::new())),
            #[cfg(feature = "fetch")]
            sources: super::start::Sources::default(),
        };
        GuardBuilder {
            settings,
            state: PhantomData,
        }
    }
}

impl<T, M> GuardBuilder<T, M> {
    /// Trusts the bundles of this store, which verify the credentials of agents.
    pub fn trust(mut self, trust: Arc<TrustStore>) -> GuardBuilder<Trusting, M> {
        #[cfg(feature = "fetch")]
        self.settings.sources.given_by("trust");
        self.settings.trust = trust;
        self.settings.agents = true;
        self.into_state()
    }

    /// Trusts the origins and issuers of these keys.
    ///
    /// If a credential names an unknown key, [`Guard::admit`] fetches the keys of its owner.
    #[cfg(feature = "fetch")]
    pub fn keys(mut self, keys: &crate::keys::PublishedKeys) -> GuardBuilder<Trusting, M> {
        self.settings.sources.given_by("keys");
        let mut builder = self.resolve(keys.clone()).trust(keys.trust());
        let twins = keys.ambiguous_issuers();
        builder.settings.twins =
            twins.map(|(one, other)| (one.as_str().to_owned(), other.as_str().to_owned()));
        builder.settings.agents = keys.has_bundles();
        if keys.has_issuers() {
            builder.settings.issuers = Some(keys.issuers());
        }
        builder
    }

    /// Requires an access token of one of these issuers, in addition to the proof.
    pub fn issuers(mut self, issuers: Arc<IssuerStore>) -> Self {
        #[cfg(feature = "fetch")]
        self.settings.sources.given_by("issuers");
        self.settings.issuers = Some(issuers);
        self.settings.twins = None;
        self
    }

    /// Sets the rules for the tokens of one issuer: their profile, audiences, algorithms and
    /// lifetime. Defaults to RFC 9068. May be repeated for other issuers.
    ///
    /// The rules apply only to this guard. Another guard over the same store of
    /// [`issuers`](Self::issuers) that sets no rules for the issuer uses RFC 9068, or the rules
    /// that [`IssuerStore::set_rules`] set for all guards. Two guards over one store cannot have
    /// different rules for one issuer; the second cannot be built. Give it a separate store.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use aims::Guard;
    /// use aims::guard::HttpSignatures;
    /// use aims::oauth_rs::{IssuerRules, IssuerStore};
    ///
    /// let issuer: aims::oauth_wire::names::Issuer = "https://as.example".parse()?;
    /// let issuers = Arc::new(IssuerStore::new());
    /// issuers.name(&issuer);
    /// let rules = IssuerRules::new().max_lifetime(Duration::from_secs(3_600));
    /// let guard = Guard::builder("https://tools.example/mcp")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .issuers(issuers)
    ///     .issuer_rules(issuer, rules)
    ///     .http_signatures(HttpSignatures::new())
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn issuer_rules(mut self, issuer: Issuer, rules: IssuerRules) -> Self {
        self.settings.rules.push((issuer, rules));
        self
    }

    /// Sets the maximum length of an access token, in bytes. Defaults to 8 KiB.
    pub const fn max_token_len(mut self, most: usize) -> Self {
        self.settings.max_token = most;
        self
    }

    /// Accepts access tokens with this audience, in addition to the resource URL. May be repeated.
    pub fn token_audience(mut self, audience: impl Into<String>) -> Self {
        let audience = audience.into();
        self.settings.empty_audience |= audience.is_empty();
        self.settings.tokens = self.settings.tokens.or_for(audience);
        self
    }

    /// Publishes this metadata document (RFC 9728).
    ///
    /// The challenges of refusals contain its URL, so that an agent can find the authorization
    /// server. [`Guard::layer`] serves the document.
    ///
    /// A guard that accepts DPoP-bound access tokens alone says so in it
    /// (`dpop_bound_access_tokens_required`), and so does one for certificate-bound tokens
    /// (`tls_client_certificate_bound_access_tokens`). The [requirements](Self::require) of the
    /// guard count, not those of single routes. Signed metadata stay as they are.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aims::oauth_wire::metadata::ResourceMetadata;
    ///
    /// let metadata = ResourceMetadata::new("https://tools.example/mcp".parse()?)
    ///     .with_authorization_server("https://as.example".parse()?);
    /// let guard = aims::Guard::builder("https://tools.example/mcp")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .metadata(metadata)
    ///     .build()?;
    /// let published = guard.published().ok_or("no metadata")?;
    /// assert_eq!(published.path(), "/.well-known/oauth-protected-resource/mcp");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metadata(mut self, metadata: ResourceMetadata) -> Self {
        self.settings.metadata = Some(metadata);
        self
    }

    /// Expects this fixed `aud` in proofs, and [accepts any path](Self::accept_any_path). May be
    /// repeated.
    ///
    /// By default, `aud` must be the origin of the resource with the path of the request.
    pub fn proof_audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.audiences.push(audience.into());
        self
    }

    /// Accepts requests for paths outside the path of the resource, for a tool behind a proxy or a
    /// router that changes paths.
    ///
    /// Every request that reaches the guard then counts as a request for its resource, so do not
    /// route requests for another resource through it.
    ///
    /// A proof must still name the path that the guard sees. To change that, set
    /// [`proof_audience`](Self::proof_audience).
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// // A proxy maps https://api.example/weather/… to /… of this server.
    /// let guard = aims::Guard::builder("https://api.example/weather")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .proof_audience("https://api.example/weather")
    ///     .accept_any_path()
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), aims::guard::BuildError>(())
    /// ```
    pub const fn accept_any_path(mut self) -> Self {
        self.settings.any_path = true;
        self
    }

    /// Sets the requirements for callers. Defaults to [`Requirements::new`].
    ///
    /// [`Guard::requiring`] sets other requirements for single routes.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aims::{Guard, Requirements, cred::TrustStore};
    ///
    /// // Only the agents of one team may call the tool.
    /// let team = Requirements::new().agents("spiffe://example.org/team/*".parse()?);
    /// let guard = Guard::builder("https://tools.example/mcp")
    ///     .trust(Arc::new(TrustStore::new()))
    ///     .require(team)
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn require(mut self, requirements: Requirements) -> Self {
        self.settings.requirements = requirements;
        self
    }

    /// Requires an access token with these scopes, separated by spaces, in addition to the
    /// requirements so far.
    ///
    /// # Errors
    ///
    /// [`BuildError::Scopes`] if the text is not a list of scopes (RFC 6749 §3.3).
    pub fn scopes(mut self, scopes: &str) -> Result<Self, BuildError> {
        let scopes = scopes.parse().map_err(BuildError::Scopes)?;
        self.settings.requirements = self.settings.requirements.scopes(scopes);
        Ok(self)
    }

    /// Accepts access tokens that are bound to no key.
    ///
    /// A thief can use such a token until it expires ([`Requirements::accept_bearer`]). The setting
    /// has no effect on routes with requirements of their own ([`Guard::requiring`]).
    pub fn accept_bearer(mut self) -> Self {
        self.settings.requirements = self.settings.requirements.accept_bearer();
        self
    }

    /// Sets the number of verified WITs and of verified access tokens that the guard caches.
    /// Defaults to 10,000 of each.
    pub const fn cache(mut self, capacity: usize) -> Self {
        self.settings.capacity = capacity;
        self
    }

    /// Names a header field that carries a token which the tool uses. May be repeated.
    ///
    /// If a request with a workload identity has the field, its WPT must cover it by `oth`, or its
    /// signature must. The field of another request, with a bearer token, DPoP or a certificate, is
    /// not checked: no proof covers it.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use http::HeaderName;
    ///
    /// let guard = aims::Guard::builder("https://tools.example/mcp")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .token_field(HeaderName::from_static("x-session-token"))
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), aims::guard::BuildError>(())
    /// ```
    pub fn token_field(mut self, name: HeaderName) -> Self {
        self.settings.token_fields.push(name);
        self
    }

    /// Adds an extractor of call attributes. May be repeated.
    ///
    /// If a request has a header field that the extractor [names](Extract::fields), an accepted
    /// proof must cover the field. See [`Call::attributes`](crate::decision::Call::attributes).
    pub fn extract(mut self, extract: impl Extract + 'static) -> Self {
        self.settings.extract.push(Arc::new(extract));
        self
    }

    /// Sets the policy that decides about every call that meets the requirements.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aims::Principal;
    /// use aims::decision::{Authorize, Call, Decision, Denial, Reason};
    /// use aims::jose::time::UnixTime;
    ///
    /// #[derive(Debug)]
    /// struct ReadOnly;
    ///
    /// impl Authorize for ReadOnly {
    ///     fn authorize(&self, _: &Principal, call: &Call<'_>, _: UnixTime) -> Decision {
    ///         if call.method == http::Method::GET {
    ///             return Decision::Allow(vec![]);
    ///         }
    ///         Decision::Deny(Denial::Forbidden, vec![Reason::new("tool.read_only", "only GET")])
    ///     }
    /// }
    ///
    /// let guard = aims::Guard::builder("https://tools.example/files")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .authorize(ReadOnly)
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), aims::guard::BuildError>(())
    /// ```
    pub fn authorize(mut self, policy: impl Authorize + 'static) -> Self {
        self.settings.decides = Decides::Local(Arc::new(policy));
        self
    }

    /// Lets a resolver decide about every call that meets the requirements, for policies that need
    /// I/O.
    ///
    /// The guard asks it with [`Need::Decision`](crate::resolve::Need::Decision). Such a guard has
    /// only [`admit`](Guard::admit), not `check`.
    pub fn authorize_elsewhere(
        mut self,
        resolver: impl Resolve + 'static,
    ) -> GuardBuilder<T, Deferred> {
        self.settings.decides = Decides::Elsewhere(Arc::new(resolver));
        self.into_state()
    }

    /// Sets the recorder of all accepted and refused requests. Defaults to
    /// [`ToTracing`](crate::record::ToTracing).
    pub fn record(mut self, recorder: impl Record + 'static) -> Self {
        self.settings.record = Arc::new(recorder);
        self
    }

    /// Sets the source of revocations, such as a
    /// [`RevocationList`](crate::revoked::RevocationList). The guard asks it about every credential
    /// of every request.
    pub fn revoked(mut self, revoked: impl Revoked + 'static) -> Self {
        self.settings.revoked = Some(Arc::new(revoked));
        self
    }

    /// Sets the resolver that [`Guard::admit`] asks for unknown keys.
    pub fn resolve(mut self, resolver: impl Resolve + 'static) -> Self {
        #[cfg(feature = "fetch")]
        self.settings.sources.given_by("resolve");
        self.settings.resolve = Arc::new(resolver);
        self
    }

    /// Sets how long [`Guard::admit`] waits for each answer of a resolver. Defaults to 30 s. Needs
    /// a tokio runtime.
    pub const fn deadline(mut self, most: Duration) -> Self {
        self.settings.deadline = most;
        self
    }

    /// Passes the access token of a request on to the handler, in `Authorization`.
    ///
    /// By default the layers remove that field from a request whose access token they have
    /// accepted, so that a handler cannot forward the token to another service. Use this method
    /// for a handler that verifies the token itself, such as a second guard.
    pub fn pass_token_on(mut self) -> Self {
        self.settings.passes_token = true;
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.settings.clock = ClockOf(Arc::new(clock));
        self
    }

    /// Builds the guard.
    ///
    /// A `main` function that returns an error prints its `Debug` form. [`aims_jose::Chain`] prints
    /// the message with all causes.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if the configuration contradicts itself.
    pub fn build(self) -> Result<Guard<M>, BuildError>
    where
        T: HasTrust,
    {
        #[cfg(feature = "fetch")]
        if let Some(call) = self.settings.sources.for_start() {
            return Err(BuildError::NotStarted { call });
        }
        self.settings.build()
    }

    pub(super) fn into_state<U, N>(self) -> GuardBuilder<U, N> {
        GuardBuilder {
            settings: self.settings,
            state: PhantomData,
        }
    }
}
