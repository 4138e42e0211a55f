//! The settings of a guard.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::time::{Clock, Skew, SystemClock};
use aims_oauth_rs::{AccessTokenRules, IssuerRules, IssuerStore, ProtectedResource, TokenCache};
use aims_oauth_wire::metadata::ResourceMetadata;
use aims_oauth_wire::names::{Endpoint, Issuer, Resource};
use aims_replay::{ReplayCache, ReplayStore};
use aims_wimse_cred::{TrustStore, WitCache, WitRules};
use aims_wimse_wpt::{Revisions, WptRules};
use http::header::HeaderName;

use super::decide::Decides;
use super::fields::CoveredField;
use super::spend::Replay;
use super::target::Paths;
use super::{Audience, BuildError, Deferred, Guard, HttpSignatures, Immediate, Inner, Route};
use crate::decision::{Authorize, Extract, RequirementsAlone};
use crate::record::{Record, ToTracing};
use crate::requirements::Requirements;
use crate::resolve::{Resolve, Unresolved};
use crate::revoked::{NothingRevoked, Revoked};

/// The type state of a [`GuardBuilder`] that has no source of trust yet.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoTrust;

/// The type state of a [`GuardBuilder`] that has a source of trust.
#[derive(Debug)]
#[non_exhaustive]
pub struct Trusting;

/// Implemented by the state of a builder that can be built.
#[diagnostic::on_unimplemented(
    message = "this guard trusts nobody yet",
    note = "name the issuers by `.issuer(..)` and the bundles of the agents' origins by `.bundle(..)`, and end with `.start().await` (feature `fetch`); or, before `.build()`, call `.trust(..)` with the bundles or `.keys(..)` with `PublishedKeys`"
)]
pub trait HasTrust: sealed::Sealed {}
impl HasTrust for Trusting {}

mod sealed {
    #[expect(unnameable_types, reason = "sealed")]
    pub trait Sealed {}
    impl Sealed for super::Trusting {}
}

/// Builds a [`Guard`]. Every setting but the source of trust has a default.
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
    pub(super) rules: Vec<(Issuer, IssuerRules)>,
    /// Two issuers of [`PublishedKeys`](crate::keys::PublishedKeys) that are one server.
    twins: Option<(String, String)>,
    /// Whether some origin of agents may be trusted, now or later.
    agents: bool,
    /// A `token_audience` is empty.
    empty_audience: bool,
    pub(super) metadata: Option<ResourceMetadata>,
    audiences: Vec<String>,
    any_path: bool,
    requirements: Requirements,
    replay: Option<Replay>,
    wit: WitRules,
    wpt: WptRules,
    skew: Option<Skew>,
    signatures: Option<HttpSignatures>,
    capacity: usize,
    token_fields: Vec<HeaderName>,
    extract: Vec<Arc<dyn Extract>>,
    decides: Decides,
    record: Arc<dyn Record>,
    revoked: Arc<dyn Revoked>,
    resolve: Arc<dyn Resolve>,
    deadline: Duration,
    pub(super) clock: ClockOf,
    #[cfg(feature = "fetch")]
    pub(super) sources: super::start::Sources,
}

/// A clock has no `Debug`.
pub(super) struct ClockOf(pub(super) Arc<dyn Clock>);

impl std::fmt::Debug for ClockOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Guard {
    /// A guard for a tool that callers address by this URL. It is configuration: never taken from a
    /// request (draft-ietf-wimse-wpt §2).
    ///
    /// The path of a request must be that of the URL, with or without a slash at its end, or one
    /// beneath it, because tokens are for this resource alone (RFC 8707 §2). Any other is refused
    /// with `guard.target`, and so is one with a segment `..`. A URL without a path stands for the
    /// whole host. `Host` is checked for its form alone: the URL says by which host the tool is
    /// addressed. [`accept_any_path`](GuardBuilder::accept_any_path) is for a tool behind a proxy
    /// that changes paths.
    pub fn builder(resource: impl Into<String>) -> GuardBuilder<NoTrust> {
        let resource = resource.into();
        let settings = Settings {
            tokens: AccessTokenRules::for_url(resource.clone()),
            resource,
            trust: Arc::default(),
            issuers: None,
            max_token: 8 * 1024,
            rules: Vec::new(),
            twins: None,
            agents: true,
            empty_audience: false,
            metadata: None,
            audiences: Vec::new(),
            any_path: false,
            requirements: Requirements::new(),
            replay: None,
            wit: WitRules::wit(),
            wpt: WptRules::default(),
            skew: None,
            signatures: None,
            capacity: 10_000,
            token_fields: Vec::new(),
            extract: Vec::new(),
            decides: Decides::Local(Arc::new(RequirementsAlone)),
            record: Arc::new(ToTracing),
            revoked: Arc::new(NothingRevoked),
            resolve: Arc::new(Unresolved),
            deadline: Duration::from_secs(30),
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
    /// Trusts the bundles of this store for the agents of their origins.
    pub fn trust(mut self, trust: Arc<TrustStore>) -> GuardBuilder<Trusting, M> {
        #[cfg(feature = "fetch")]
        self.settings.sources.given_by("trust");
        self.settings.trust = trust;
        self.settings.agents = true;
        self.into_state()
    }

    /// Trusts the origins and issuers of these keys. [`Guard::admit`] fetches keys that a
    /// credential names and that are not known.
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

    /// Requires an access token of one of these issuers, beside the proof.
    pub fn issuers(mut self, issuers: Arc<IssuerStore>) -> Self {
        #[cfg(feature = "fetch")]
        self.settings.sources.given_by("issuers");
        self.settings.issuers = Some(issuers);
        self.settings.twins = None;
        self
    }

    /// Sets the rules for the tokens of one of the issuers: how they are written, their audiences,
    /// algorithms and lifetime. Without this call they follow RFC 9068. May be repeated.
    ///
    /// The rules are those of this guard. Another guard over the same store of
    /// [`issuers`](Self::issuers) without rules for the issuer does not take them: it judges the
    /// tokens by RFC 9068, or by what [`IssuerStore::set_rules`] set for all. A guard with other
    /// rules for the issuer than an earlier one over the same store is not built: give it a store
    /// of its own.
    pub fn issuer_rules(mut self, issuer: Issuer, rules: IssuerRules) -> Self {
        self.settings.rules.push((issuer, rules));
        self
    }

    /// Sets the greatest length of an access token, in bytes. Defaults to 8 KiB.
    pub const fn max_token_len(mut self, most: usize) -> Self {
        self.settings.max_token = most;
        self
    }

    /// Accepts tokens for this identifier of the same tool as well. May be repeated.
    pub fn token_audience(mut self, audience: impl Into<String>) -> Self {
        let audience = audience.into();
        self.settings.empty_audience |= audience.is_empty();
        self.settings.tokens = self.settings.tokens.or_for(audience);
        self
    }

    /// Publishes this document: challenges name where it is, and a refused agent finds its
    /// authorization server by it (RFC 9728). [`Guard::layer`] serves it.
    pub fn metadata(mut self, metadata: ResourceMetadata) -> Self {
        self.settings.metadata = Some(metadata);
        self
    }

    /// Expects this fixed `aud` in proofs, instead of the configured origin with the path of the
    /// request, and [accepts any path](Self::accept_any_path). May be repeated.
    pub fn proof_audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.audiences.push(audience.into());
        self
    }

    /// Accepts requests for paths outside of the path of the resource: for a tool behind a proxy or
    /// a router that changes paths before the guard sees them. Whatever reaches the guard is then a
    /// request for its resource, so let no route of another resource lead through it.
    ///
    /// A proof is still about the path that the guard sees, unless
    /// [`proof_audience`](Self::proof_audience) names another audience.
    pub const fn accept_any_path(mut self) -> Self {
        self.settings.any_path = true;
        self
    }

    /// Sets what is required of callers; other routes can [require otherwise](Guard::requiring).
    pub fn require(mut self, requirements: Requirements) -> Self {
        self.settings.requirements = requirements;
        self
    }

    /// Requires an access token with these scopes, separated by spaces, beside what was required
    /// before.
    ///
    /// # Errors
    ///
    /// [`BuildError::Scopes`] where it is no list of scopes (RFC 6749 §3.3).
    pub fn scopes(mut self, scopes: &str) -> Result<Self, BuildError> {
        let scopes = scopes.parse().map_err(BuildError::Scopes)?;
        self.settings.requirements = self.settings.requirements.scopes(scopes);
        Ok(self)
    }

    /// Accepts access tokens that are bound to no key, on the routes of this guard that
    /// [`requiring`](Guard::requiring) does not change. A thief can use such a token until it
    /// expires ([`Requirements::accept_bearer`]).
    pub fn accept_bearer(mut self) -> Self {
        self.settings.requirements = self.settings.requirements.accept_bearer();
        self
    }

    /// Sets where spent proofs are remembered. Defaults to 1,000,000 proofs in memory.
    pub fn replay(mut self, store: impl ReplayStore + 'static) -> Self {
        self.settings.replay = Some(Replay::Local(Arc::new(store)));
        self
    }

    /// Sets a store of spent proofs that several servers share, and that has to be waited for: it
    /// is asked by [`Need::SharedReplay`](crate::resolve::Need::SharedReplay). A guard with it has
    /// [`admit`](Guard::admit) alone.
    pub fn shared_replay(mut self, store: impl Resolve + 'static) -> GuardBuilder<T, Deferred> {
        self.settings.replay = Some(Replay::Shared(Arc::new(store)));
        self.into_state()
    }

    /// Sets the rules for WITs, such as only WIT-SVIDs.
    pub fn wit_rules(mut self, rules: WitRules) -> Self {
        self.settings.wit = rules;
        self
    }

    /// Sets the rules for WPTs.
    pub fn wpt_rules(mut self, rules: WptRules) -> Self {
        self.settings.wpt = rules;
        self
    }

    /// Sets the revisions of draft-ietf-wimse-wpt that are accepted. Defaults to
    /// [`Revisions::DRAFT_02`], in which the proof stands in `Authorization: WPT`.
    /// [`Revisions::DRAFT_01`] is the older one, with `Workload-Proof-Token` and `ath`.
    pub fn wpt_revisions(mut self, revisions: impl Into<Revisions>) -> Self {
        self.settings.wpt = self.settings.wpt.with_revisions(revisions.into());
        self
    }

    /// Sets one skew for WITs, proofs and access tokens, whatever their rules say.
    pub fn skew(mut self, skew: Skew) -> Self {
        self.settings.skew = Some(skew);
        self
    }

    /// Accepts HTTP message signatures as a proof, beside or instead of a WPT, and says how
    /// responses are signed.
    ///
    /// Where a request has both proofs, the weaker one protects: see [`HttpSignatures`].
    pub fn http_signatures(mut self, signatures: HttpSignatures) -> Self {
        self.settings.signatures = Some(signatures);
        self
    }

    /// Sets how many verified WITs and how many access tokens are remembered. Defaults to 10,000 of
    /// each.
    pub const fn cache(mut self, capacity: usize) -> Self {
        self.settings.capacity = capacity;
        self
    }

    /// Names a further header field that carries a token which the tool uses: where it is there,
    /// the WPT must cover it by `oth`, or without a WPT the signature must.
    pub fn token_field(mut self, name: HeaderName) -> Self {
        self.settings.token_fields.push(name);
        self
    }

    /// Adds what this finds in a request to the attributes of its [call](crate::decision::Call).
    /// Where a request has a field that it [names](Extract::fields), an accepted proof must cover
    /// that. May be repeated.
    pub fn extract(mut self, extract: impl Extract + 'static) -> Self {
        self.settings.extract.push(Arc::new(extract));
        self
    }

    /// Sets what decides about every call that meets the requirements.
    pub fn authorize(mut self, seam: impl Authorize + 'static) -> Self {
        self.settings.decides = Decides::Local(Arc::new(seam));
        self
    }

    /// Has every call that meets the requirements decided elsewhere, by
    /// [`Need::Decision`](crate::resolve::Need::Decision). A guard with it has
    /// [`admit`](Guard::admit) alone.
    pub fn authorize_elsewhere(
        mut self,
        seam: impl Resolve + 'static,
    ) -> GuardBuilder<T, Deferred> {
        self.settings.decides = Decides::Elsewhere(Arc::new(seam));
        self.into_state()
    }

    /// Sets what records every acceptance and refusal.
    pub fn record(mut self, seam: impl Record + 'static) -> Self {
        self.settings.record = Arc::new(seam);
        self
    }

    /// Sets what knows the revoked credentials. The guard asks it about every credential of every
    /// request.
    pub fn revoked(mut self, seam: impl Revoked + 'static) -> Self {
        self.settings.revoked = Arc::new(seam);
        self
    }

    /// Sets what [`Guard::admit`] asks for keys that are not known.
    pub fn resolve(mut self, seam: impl Resolve + 'static) -> Self {
        #[cfg(feature = "fetch")]
        self.settings.sources.given_by("resolve");
        self.settings.resolve = Arc::new(seam);
        self
    }

    /// Sets how long [`Guard::admit`] waits for each answer that it needs. Defaults to 30 s. Needs
    /// a tokio runtime.
    pub const fn deadline(mut self, most: Duration) -> Self {
        self.settings.deadline = most;
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.settings.clock = ClockOf(Arc::new(clock));
        self
    }

    /// Builds the guard.
    ///
    /// A `main` that returns an error prints its `Debug` form; [`aims_jose::Chain`] prints the
    /// words, with all causes.
    ///
    /// # Errors
    ///
    /// [`BuildError`] where the configuration contradicts itself.
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

impl Settings {
    fn build<M>(self) -> Result<Guard<M>, BuildError> {
        let resource = self.resource()?;
        if let Some(metadata) = &self.metadata
            && metadata.resource() != &resource
        {
            return Err(BuildError::OtherResource {
                metadata: metadata.resource().as_str().to_owned(),
                guarded: self.resource,
            });
        }
        self.check_rules()?;
        let published = self.metadata.as_ref().map(ProtectedResource::new);
        let published = published.transpose().map_err(BuildError::Metadata)?;
        let paths = if self.any_path || !self.audiences.is_empty() {
            Paths::Any
        } else {
            Paths::of(resource.as_str())
        };
        let audience = if self.audiences.is_empty() {
            Audience::Target(external_origin(resource.as_str()).to_owned())
        } else {
            Audience::Named(self.audiences)
        };
        let signatures = match self.signatures {
            Some(it) if it.signs_every() && !it.can_sign() => return Err(BuildError::NoSigner),
            Some(it) => {
                let skew = self.skew.unwrap_or_default();
                let built = it.build(resource.as_str(), &audience, skew);
                Some(built.map_err(BuildError::Signatures)?)
            }
            None => None,
        };
        let (wit, wpt, tokens) = match self.skew {
            Some(skew) => (
                self.wit.with_skew(skew),
                self.wpt.with_skew(skew),
                self.tokens.with_skew(skew),
            ),
            None => (self.wit, self.wpt, self.tokens),
        };
        let read = self.extract.iter().flat_map(|it| it.fields());
        let read: Vec<HeaderName> = read.collect();
        let fields = CoveredField::all(&self.token_fields, &read);
        let fields = fields.map_err(BuildError::Fields)?;
        let tokens = tokens.with_max_len(self.max_token);
        let tokens = tokens.with_issuer_rules(self.rules.iter().cloned());
        let in_memory = || Replay::Local(Arc::new(ReplayCache::in_memory(1_000_000)));
        let inner = Inner {
            resource: resource.as_str().to_owned(),
            paths,
            audience,
            trust: self.trust,
            agents: self.agents,
            wits: WitCache::new(self.capacity, wit),
            wpt,
            issuers: self.issuers,
            signatures,
            tokens: TokenCache::new(self.capacity, tokens),
            max_token: self.max_token,
            metadata_url: published.as_ref().map(|it| Endpoint::clone(it.url())),
            published: published.map(Arc::new),
            replay: self.replay.unwrap_or_else(in_memory),
            fields,
            extract: self.extract,
            decides: self.decides,
            record: self.record,
            revoked: self.revoked,
            resolve: self.resolve,
            deadline: self.deadline,
            clock: self.clock.0,
        };
        let requirements = self.requirements;
        inner.check_requirements(&requirements)?;
        // A guard that is not built changes nothing of the store, which others may use.
        if let Some(issuers) = &inner.issuers {
            let added = issuers.add_rules(&self.rules);
            added.map_err(BuildError::IssuerRules)?;
        }
        Ok(Guard {
            inner: Arc::new(inner),
            route: Arc::new(Route { requirements }),
            answers: PhantomData,
        })
    }

    /// Checks that the store of issuers can have these rules, and has no issuer in two spellings.
    fn check_rules(&self) -> Result<(), BuildError> {
        if self.empty_audience {
            return Err(BuildError::TokenAudience);
        }
        for (index, (issuer, rules)) in self.rules.iter().enumerate() {
            let mut before = self.rules.iter().take(index);
            if before.any(|(other, others)| other == issuer && others != rules) {
                let issuer = issuer.as_str().to_owned();
                return Err(BuildError::RulesTwice { issuer });
            }
        }
        let Some(issuers) = &self.issuers else {
            return match self.rules.is_empty() {
                true => Ok(()),
                false => Err(BuildError::NoIssuer),
            };
        };
        let outcome = issuers.snapshot().with_rules(&self.rules);
        let outcome = outcome.map_err(BuildError::IssuerRules)?;
        let twins = outcome.root_slash_twins();
        let twins = twins.map(|(bare, slash)| (bare.to_owned(), slash.to_owned()));
        match self.twins.clone().or(twins) {
            Some((bare, slash)) => Err(BuildError::IssuerTwice { bare, slash }),
            None => Ok(()),
        }
    }

    pub(super) fn resource(&self) -> Result<Resource, BuildError> {
        let resource: Resource = self
            .resource
            .parse()
            .or_else(|_not_https| Resource::loopback(&self.resource))
            .map_err(|source| BuildError::Resource {
                resource: self.resource.clone(),
                source,
            })?;
        let is_http = ["https://", "http://"]
            .iter()
            .any(|it| resource.as_str().starts_with(it));
        if is_http && !resource.as_str().contains('?') {
            Ok(resource)
        } else {
            let resource = self.resource.clone();
            Err(BuildError::NotHttp { resource })
        }
    }
}

/// Scheme and authority of a URL.
pub(super) fn external_origin(url: &str) -> &str {
    let path = url
        .find("://")
        .map(|at| at.saturating_add(3))
        .and_then(|host| Some(url.get(host..)?.find(['/', '?'])?.saturating_add(host)));
    path.and_then(|at| url.get(..at)).unwrap_or(url)
}
