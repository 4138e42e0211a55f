//! The short way to a guard: it fetches the keys that it needs, and keeps them fresh.

use std::fmt;
use std::sync::Arc;

use aims_fetch::{Fetch, Fetcher};
use aims_jose::provider;
use aims_oauth_rs::{IssuerRules, TokenProfile};
use aims_oauth_wire::metadata::ResourceMetadata;
use aims_oauth_wire::names::Issuer;
use aims_wimse_id::Origin;

use super::{BuildError, Guard, GuardBuilder, Trusting};
use crate::keys::PublishedKeys;

/// Where [`GuardBuilder::start`] fetches the keys from.
#[derive(Default)]
pub(super) struct Sources {
    issuers: Vec<Issuer>,
    bundles: Vec<(Origin, String)>,
    fetch: Option<Arc<dyn Fetch>>,
    /// The call by which keys were given, or what is asked for them.
    given_by: Option<&'static str>,
}

impl Sources {
    /// The first call that only [`GuardBuilder::start`] acts on, if there is one.
    pub(super) fn for_start(&self) -> Option<&'static str> {
        if !self.issuers.is_empty() {
            Some("issuer")
        } else if !self.bundles.is_empty() {
            Some("bundle")
        } else {
            self.fetch.is_some().then_some("fetch")
        }
    }

    /// Notes that this call gave keys, which `start` would drop.
    pub(super) const fn given_by(&mut self, call: &'static str) {
        if self.given_by.is_none() {
            self.given_by = Some(call);
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("issuers", &self.issuers)
            .field("bundles", &self.bundles)
            .field("given_by", &self.given_by)
            .finish_non_exhaustive()
    }
}

impl<T, M> GuardBuilder<T, M> {
    /// Accepts the access tokens of this issuer, whose metadata says where its keys are (RFC 8414,
    /// OpenID Connect Discovery). May be repeated. [`start`](GuardBuilder::start) fetches them.
    ///
    /// # Errors
    ///
    /// [`BuildError::Issuer`].
    pub fn issuer(self, issuer: &str) -> Result<GuardBuilder<Trusting, M>, BuildError> {
        self.issuer_with(issuer, TokenProfile::Rfc9068)
    }

    /// As [`issuer`](Self::issuer), for a server whose access tokens have another profile than RFC
    /// 9068, such as [`JwtProfile::auth0`](aims_oauth_rs::JwtProfile::auth0).
    ///
    /// # Errors
    ///
    /// [`BuildError::Issuer`].
    pub fn issuer_with(
        mut self,
        issuer: &str,
        profile: impl Into<TokenProfile>,
    ) -> Result<GuardBuilder<Trusting, M>, BuildError> {
        let parsed: Result<Issuer, _> = issuer.parse();
        let parsed = parsed.or_else(|_not_https| Issuer::loopback(issuer));
        let parsed = parsed.map_err(|source| BuildError::Issuer {
            issuer: issuer.to_owned(),
            source,
        })?;
        let rules = IssuerRules::new().profile(profile);
        self.settings.rules.push((parsed.clone(), rules));
        self.settings.sources.issuers.push(parsed);
        Ok(self.into_state())
    }

    /// Trusts the agents of this origin by the bundle at this URL. May be repeated.
    /// [`start`](GuardBuilder::start) fetches it.
    pub fn bundle(mut self, origin: Origin, url: impl Into<String>) -> GuardBuilder<Trusting, M> {
        self.settings.sources.bundles.push((origin, url.into()));
        self.into_state()
    }

    /// Sets what fetches keys for [`start`](GuardBuilder::start), such as a
    /// [`Fetcher`] that accepts plain HTTP to loopback. Defaults to one that fetches `https` from
    /// public addresses alone.
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.settings.sources.fetch = Some(fetch);
        self
    }
}

impl<M> GuardBuilder<Trusting, M> {
    /// Builds the guard, fetches the keys of its [issuers](Self::issuer) and
    /// [origins](Self::bundle), and keeps them fresh for as long as the guard is used. Where no
    /// [metadata](Self::metadata) was set, the guard publishes its issuers as the authorization
    /// servers of the resource.
    ///
    /// It takes the place of [`trust`](Self::trust), [`issuers`](Self::issuers),
    /// [`resolve`](Self::resolve) and [`keys`](Self::keys).
    ///
    /// # Errors
    ///
    /// [`BuildError::Started`] beside one of these; [`BuildError::NoProvider`] where no crypto
    /// provider is compiled in; another [`BuildError`] where the configuration
    /// contradicts itself, or keys could not be fetched.
    pub async fn start(mut self) -> Result<Guard<M>, BuildError> {
        let sources = std::mem::take(&mut self.settings.sources);
        if let Some(call) = sources.given_by {
            return Err(BuildError::Started { call });
        }
        let provider = provider::compiled().ok_or(BuildError::NoProvider)?;
        let fetch = match sources.fetch {
            Some(fetch) => fetch,
            None => Arc::new(Fetcher::builder().build()?),
        };
        if self.settings.metadata.is_none() && !sources.issuers.is_empty() {
            let metadata = ResourceMetadata::new(self.settings.resource()?);
            let servers = sources.issuers.iter().cloned();
            let metadata = servers.fold(metadata, ResourceMetadata::with_authorization_server);
            self.settings.metadata = Some(metadata);
        }
        // Keys age by the clock that judges them.
        let clock = Arc::clone(&self.settings.clock.0);
        let mut keys = PublishedKeys::builder(fetch, provider).clock(clock);
        for issuer in sources.issuers {
            keys = keys.issuer(issuer);
        }
        for (origin, url) in sources.bundles {
            keys = keys.bundle(origin, &url)?;
        }
        let keys = keys.build();
        let guard = self.keys(&keys).build()?;
        keys.load().await?;
        // The guard holds the keys, and they their watch.
        keys.watch();
        Ok(guard)
    }
}
