//! The short way to build a guard: it fetches its keys and keeps them fresh.

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

/// The places from which [`GuardBuilder::start`] fetches keys.
#[derive(Default)]
pub(super) struct Sources {
    issuers: Vec<Issuer>,
    bundles: Vec<(Origin, String)>,
    fetch: Option<Arc<dyn Fetch>>,
    /// The method that gave keys, or the resolver for keys, directly.
    given_by: Option<&'static str>,
}

impl Sources {
    /// Returns the first method call that only [`GuardBuilder::start`] supports, if there is one.
    pub(super) fn for_start(&self) -> Option<&'static str> {
        if !self.issuers.is_empty() {
            Some("issuer")
        } else if !self.bundles.is_empty() {
            Some("bundle")
        } else {
            self.fetch.is_some().then_some("fetch")
        }
    }

    /// Notes that this method gave keys, which `start` would discard.
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
    /// Accepts access tokens of this issuer. May be repeated. Needs the feature `fetch` and
    /// [`start`](GuardBuilder::start).
    ///
    /// The issuer's metadata tells where its keys are (RFC 8414, OpenID Connect Discovery).
    ///
    /// # Errors
    ///
    /// [`BuildError::Issuer`] if the text is not a valid issuer URL.
    pub fn issuer(self, issuer: &str) -> Result<GuardBuilder<Trusting, M>, BuildError> {
        self.issuer_with(issuer, TokenProfile::Rfc9068)
    }

    /// Accepts access tokens of this issuer that follow another profile than RFC 9068, such as
    /// [`JwtProfile::auth0`](aims_oauth_rs::JwtProfile::auth0). Otherwise like
    /// [`issuer`](Self::issuer).
    ///
    /// # Errors
    ///
    /// [`BuildError::Issuer`] if the text is not a valid issuer URL.
    pub fn issuer_with(
        self,
        issuer: &str,
        profile: impl Into<TokenProfile>,
    ) -> Result<GuardBuilder<Trusting, M>, BuildError> {
        self.issuer_with_rules(issuer, IssuerRules::new().profile(profile))
    }

    /// Accepts access tokens of this issuer by rules of its own: the profile, the audiences, the
    /// algorithms, and which workload a client is. Otherwise like [`issuer`](Self::issuer).
    ///
    /// ```
    /// use aims::Guard;
    /// use aims::oauth_rs::{IssuerRules, JwtProfile};
    ///
    /// let keycloak = IssuerRules::new()
    ///     .profile(JwtProfile::keycloak("tools"))
    ///     .client_is("agent-7", "spiffe://example.org/agent-7".parse()?);
    /// let guard = Guard::builder("https://tools.example/mcp")
    ///     .issuer_with_rules("https://kc.example/realms/main", keycloak)?;
    /// # drop(guard);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BuildError::Issuer`] if the text is not a valid issuer URL.
    pub fn issuer_with_rules(
        mut self,
        issuer: &str,
        rules: IssuerRules,
    ) -> Result<GuardBuilder<Trusting, M>, BuildError> {
        let parsed: Result<Issuer, _> = issuer.parse();
        let parsed = parsed.or_else(|_not_https| Issuer::loopback(issuer));
        let parsed = parsed.map_err(|source| BuildError::Issuer {
            issuer: issuer.to_owned(),
            source,
        })?;
        self.settings.rules.push((parsed.clone(), rules));
        self.settings.sources.issuers.push(parsed);
        Ok(self.into_state())
    }

    /// Trusts the agents of this origin by the bundle at this URL. May be repeated. Needs the
    /// feature `fetch` and [`start`](GuardBuilder::start).
    pub fn bundle(mut self, origin: Origin, url: impl Into<String>) -> GuardBuilder<Trusting, M> {
        self.settings.sources.bundles.push((origin, url.into()));
        self.into_state()
    }

    /// Sets the client that fetches keys for [`start`](GuardBuilder::start). Needs the feature
    /// `fetch`.
    ///
    /// Defaults to a [`Fetcher`] that accepts only `https` and public addresses. For local tests,
    /// use one that accepts plain HTTP to loopback.
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.settings.sources.fetch = Some(fetch);
        self
    }
}

impl<M> GuardBuilder<Trusting, M> {
    /// Builds the guard, fetches the keys of its [issuers](Self::issuer) and
    /// [origins](Self::bundle), and keeps them fresh while the guard is in use. Needs the feature
    /// `fetch`.
    ///
    /// If no [metadata](Self::metadata) was set, the guard publishes its issuers as the
    /// authorization servers of the resource.
    ///
    /// ```
    /// # async fn example() -> Result<(), aims::guard::BuildError> {
    /// let guard = aims::Guard::builder("https://tools.example/mcp")
    ///     .issuer("https://as.example")?
    ///     .bundle("spiffe://example.org".parse().unwrap(), "https://spire.example.org/bundle")
    ///     .http_signatures(aims::guard::HttpSignatures::new())
    ///     .scopes("tools:call")?
    ///     .start()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Do not combine it with [`trust`](Self::trust), [`issuers`](Self::issuers),
    /// [`resolve`](Self::resolve) or [`keys`](Self::keys).
    ///
    /// # Errors
    ///
    /// - [`BuildError::Started`] if one of these four was called.
    /// - [`BuildError::NoProvider`] if no crypto provider is compiled in.
    /// - [`BuildError::Keys`] if keys could not be fetched.
    /// - Other variants of [`BuildError`] if the configuration contradicts itself.
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
        // The guard holds the keys, and the keys hold their watch.
        keys.watch();
        Ok(guard)
    }
}
