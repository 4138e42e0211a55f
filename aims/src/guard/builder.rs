//! What a guard is made of.

use std::sync::Arc;

use aims_jose::time::{Clock, Skew, SystemClock};
use aims_oauth_rs::{AccessTokenRules, IssuerStore, ProtectedResource, TokenCache};
use aims_oauth_wire::metadata::ResourceMetadata;
use aims_oauth_wire::names::{Endpoint, Resource};
use aims_replay::{ReplayCache, ReplayStore};
use aims_wimse_cred::{TrustStore, WitCache, WitRules};
use aims_wimse_wpt::{Revisions, WptRules};
use http::header::HeaderName;

use super::HttpSignatures;
use super::{Audience, Guard, Inner, Route};
use crate::decision::{Authorize, RequirementsAlone};
use crate::record::{Record, ToTracing};
use crate::refresh::{NoRefresh, Refresh};
use crate::requirements::Requirements;
use crate::revoked::{NothingRevoked, Revoked};

/// A guard that does not yet know whom to trust.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoTrust;

/// A guard that knows whom to trust.
#[derive(Debug)]
#[non_exhaustive]
pub struct Trusting;

/// Whether a guard knows whom to trust, and so can be built.
#[diagnostic::on_unimplemented(
    message = "this guard does not yet know whom to trust",
    note = "call `.trust(..)` with the bundles of the origins whose agents may call, or `.keys(..)` with `PublishedKeys` (feature `fetch`), before `.build()`"
)]
pub trait HasTrust: sealed::Sealed {}
impl HasTrust for Trusting {}

mod sealed {
    #[expect(unnameable_types, reason = "sealed")]
    pub trait Sealed {}
    impl Sealed for super::Trusting {}
}

/// Makes a [`Guard`]. Everything but the trust has a default.
#[derive(Debug)]
#[must_use = "a guard is made by `build`"]
pub struct GuardBuilder<T> {
    resource: String,
    trust: Arc<TrustStore>,
    issuers: Option<Arc<IssuerStore>>,
    tokens: AccessTokenRules,
    metadata: Option<ResourceMetadata>,
    audiences: Vec<String>,
    requirements: Requirements,
    replay: Option<Arc<dyn ReplayStore>>,
    wit: WitRules,
    wpt: WptRules,
    skew: Option<Skew>,
    signatures: Option<HttpSignatures>,
    capacity: usize,
    token_fields: Vec<HeaderName>,
    seams: Seams,
    trusting: std::marker::PhantomData<T>,
}

struct Seams {
    authorize: Arc<dyn Authorize>,
    record: Arc<dyn Record>,
    revoked: Arc<dyn Revoked>,
    refresh: Arc<dyn Refresh>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Seams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seams")
            .field("authorize", &self.authorize)
            .field("record", &self.record)
            .field("revoked", &self.revoked)
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}

/// A guard cannot be built so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The resource is no absolute `https` URL without query and fragment; `http` only on loopback.
    #[error(
        "`{resource}` is nothing that a guard protects: an absolute `https` URL, or `http` on loopback"
    )]
    Resource {
        /// As it was given.
        resource: String,
        /// What is wrong with it.
        source: aims_oauth_wire::Error,
    },
    /// The resource has a query, or is no URL of HTTP.
    #[error(
        "`{resource}` has a query, or is no URL of HTTP: a guard protects one `https` URL, and what is beneath it"
    )]
    NotHttp {
        /// As it was given.
        resource: String,
    },
    /// The metadata that is to be published is that of another resource.
    #[error("the metadata is of `{metadata}`, but `{guarded}` is guarded")]
    OtherResource {
        /// The resource of the metadata.
        metadata: String,
        /// The one that is guarded.
        guarded: String,
    },
    /// The metadata cannot be published.
    #[error("the metadata cannot be published")]
    Metadata(#[source] aims_oauth_rs::Error),
    /// Scopes are required, but no issuer of access tokens is configured.
    #[error(
        "scopes are required, but nobody is known who gives out tokens: call `.issuers(..)`, or name an issuer in `PublishedKeys` before `.keys(..)`"
    )]
    NoIssuer,
    /// Every response is to be signed, but there is no identity to sign as.
    #[error("every response is to be signed, but by nobody: call `.answering_as(..)`")]
    NoSigner,
    /// A proof audience is empty.
    #[error("signatures cannot be verified: a proof audience is empty")]
    Signatures(#[source] aims_http_sig::Error),
}

impl Guard {
    /// A guard for a tool that callers address by this URL. It is configuration: never taken from a
    /// request (WPT-02, T-136).
    pub fn builder(resource: impl Into<String>) -> GuardBuilder<NoTrust> {
        let resource = resource.into();
        GuardBuilder {
            tokens: AccessTokenRules::new(resource.clone()),
            resource,
            trust: Arc::default(),
            issuers: None,
            metadata: None,
            audiences: Vec::new(),
            requirements: Requirements::new(),
            replay: None,
            wit: WitRules::wit(),
            wpt: WptRules::default().with_revisions(Revisions::BOTH),
            skew: None,
            signatures: None,
            capacity: 10_000,
            token_fields: Vec::new(),
            seams: Seams {
                authorize: Arc::new(RequirementsAlone),
                record: Arc::new(ToTracing),
                revoked: Arc::new(NothingRevoked),
                refresh: Arc::new(NoRefresh),
                clock: Arc::new(SystemClock::new()),
            },
            trusting: std::marker::PhantomData,
        }
    }
}

impl<T> GuardBuilder<T> {
    /// Trusts the bundles of this store for the agents of their origins.
    pub fn trust(self, trust: Arc<TrustStore>) -> GuardBuilder<Trusting> {
        GuardBuilder {
            resource: self.resource,
            trust,
            issuers: self.issuers,
            tokens: self.tokens,
            metadata: self.metadata,
            audiences: self.audiences,
            requirements: self.requirements,
            replay: self.replay,
            wit: self.wit,
            wpt: self.wpt,
            skew: self.skew,
            signatures: self.signatures,
            capacity: self.capacity,
            token_fields: self.token_fields,
            seams: self.seams,
            trusting: std::marker::PhantomData,
        }
    }

    /// Trusts the bundles and issuers whose keys are published, and asks there for a key that is
    /// not known.
    #[cfg(feature = "fetch")]
    pub fn keys(self, keys: &crate::keys::PublishedKeys) -> GuardBuilder<Trusting> {
        let builder = self.refresh(keys.clone()).trust(keys.trust());
        if keys.has_issuers() {
            builder.issuers(keys.issuers())
        } else {
            builder
        }
    }

    /// Requires an access token of one of these issuers, beside the proof.
    pub fn issuers(mut self, issuers: Arc<IssuerStore>) -> Self {
        self.issuers = Some(issuers);
        self
    }

    /// Publishes this document: challenges name where it is, and a refused agent finds its
    /// authorization server by it (RFC 9728).
    pub fn metadata(mut self, metadata: ResourceMetadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Expects this fixed `aud` in proofs, instead of the configured origin with the path of the
    /// request. May be repeated.
    pub fn proof_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// What is required of callers; other routes can [require otherwise](Guard::requiring).
    pub fn require(mut self, requirements: Requirements) -> Self {
        self.requirements = requirements;
        self
    }

    /// Where spent proofs are remembered; a million in memory unless said.
    pub fn replay(mut self, store: impl ReplayStore + 'static) -> Self {
        self.replay = Some(Arc::new(store));
        self
    }

    /// Other rules for WITs, such as only WIT-SVIDs.
    pub fn wit_rules(mut self, rules: WitRules) -> Self {
        self.wit = rules;
        self
    }

    /// Other rules for WPTs.
    pub fn wpt_rules(mut self, rules: WptRules) -> Self {
        self.wpt = rules;
        self
    }

    /// One skew for WITs, proofs and access tokens, whatever their rules say.
    pub fn skew(mut self, skew: Skew) -> Self {
        self.skew = Some(skew);
        self
    }

    /// Takes HTTP message signatures as a proof, beside or instead of a WPT, and says how responses
    /// are signed.
    pub fn http_signatures(mut self, signatures: HttpSignatures) -> Self {
        self.signatures = Some(signatures);
        self
    }

    /// How many verified WITs and how many access tokens are remembered; 10,000 of each unless
    /// said.
    pub fn cache(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// A further header field that carries a token which the tool uses: where it is there, the WPT
    /// must cover it by `oth` (WPT-07), or without a WPT the signature must.
    pub fn token_field(mut self, name: HeaderName) -> Self {
        self.token_fields.push(name);
        self
    }

    /// Asked for every call that meets the requirements.
    pub fn authorize(mut self, seam: impl Authorize + 'static) -> Self {
        self.seams.authorize = Arc::new(seam);
        self
    }

    /// Told of every acceptance and refusal.
    pub fn record(mut self, seam: impl Record + 'static) -> Self {
        self.seams.record = Arc::new(seam);
        self
    }

    /// Asked of every credential, fresh or known.
    pub fn revoked(mut self, seam: impl Revoked + 'static) -> Self {
        self.seams.revoked = Arc::new(seam);
        self
    }

    /// Asked once when a key is unknown ([`Guard::admit`]).
    pub fn refresh(mut self, seam: impl Refresh + 'static) -> Self {
        self.seams.refresh = Arc::new(seam);
        self
    }

    /// Another clock, for what the guard does by itself.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.seams.clock = Arc::new(clock);
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
    pub fn build(self) -> Result<Guard, BuildError>
    where
        T: HasTrust,
    {
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
        if !is_http || resource.as_str().contains('?') {
            let resource = self.resource;
            return Err(BuildError::NotHttp { resource });
        }
        if let Some(metadata) = &self.metadata
            && metadata.resource() != &resource
        {
            return Err(BuildError::OtherResource {
                metadata: metadata.resource().as_str().to_owned(),
                guarded: self.resource,
            });
        }
        let published = self.metadata.as_ref().map(ProtectedResource::new);
        let published = published.transpose().map_err(BuildError::Metadata)?;
        if self.issuers.is_none() && self.requirements.required_scopes().is_some() {
            return Err(BuildError::NoIssuer);
        }
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
        let max_token = 8 * 1024;
        Ok(Guard {
            inner: Arc::new(Inner {
                resource: resource.as_str().to_owned(),
                audience,
                trust: self.trust,
                wits: WitCache::new(self.capacity, wit),
                wpt,
                issuers: self.issuers,
                signatures,
                tokens: TokenCache::new(self.capacity, tokens.with_max_len(max_token)),
                max_token,
                metadata_url: published.as_ref().map(|it| Endpoint::clone(it.url())),
                published,
                replay: self
                    .replay
                    .unwrap_or_else(|| Arc::new(ReplayCache::in_memory(1_000_000))),
                token_fields: self.token_fields,
                authorize: self.seams.authorize,
                record: self.seams.record,
                revoked: self.seams.revoked,
                refresh: self.seams.refresh,
                clock: self.seams.clock,
            }),
            route: Arc::new(Route {
                requirements: self.requirements,
            }),
        })
    }
}

/// Scheme and authority of a URL.
fn external_origin(url: &str) -> &str {
    let path = url
        .find("://")
        .map(|at| at.saturating_add(3))
        .and_then(|host| Some(url.get(host..)?.find(['/', '?'])?.saturating_add(host)));
    path.and_then(|at| url.get(..at)).unwrap_or(url)
}
