//! The builder of [`PublishedKeys`]: the owners of keys, and where the keys are published.

use std::sync::Arc;
use std::time::Duration;

use aims_fetch::{DocumentKey, Documents, DocumentsBuilder, Fetch};
use aims_jose::provider::Provider;
use aims_jose::time::{Clock, SystemClock};
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::names::{Endpoint, Issuer};
use aims_wimse_cred::TrustStore;
use aims_wimse_id::Origin;

use super::place::{BUNDLE, JWKS, Place};
use super::watch::Watching;
use super::{Inner, PublishedKeys};

/// Builds [`PublishedKeys`]. Nothing is fetched before [`load`](PublishedKeys::load).
#[must_use = "nothing is trusted before `build`"]
pub struct PublishedKeysBuilder {
    documents: DocumentsBuilder,
    provider: &'static dyn Provider,
    clock: Box<dyn Clock>,
    max_age: Duration,
    places: Vec<Place>,
}

impl PublishedKeys {
    /// Creates a builder whose keys are fetched by this client and prepared by this provider.
    pub fn builder(fetch: Arc<dyn Fetch>, provider: &'static dyn Provider) -> PublishedKeysBuilder {
        Self::builder_over(Documents::builder(fetch), provider)
    }

    /// Creates a builder with other settings for fetching and caching documents. Otherwise like
    /// [`builder`](Self::builder).
    ///
    /// Whatever the settings are, a document that cannot be used is not cached, and the cache has
    /// room for the documents of every owner.
    ///
    /// ```
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use aims::fetch::{Documents, Fetcher};
    /// use aims::jose::provider;
    /// use aims::keys::PublishedKeys;
    ///
    /// let documents = Documents::builder(Arc::new(Fetcher::builder().build()?))
    ///     .lifetime(Duration::from_secs(300), Duration::from_secs(3_600));
    /// let keys = PublishedKeys::builder_over(documents, provider::default())
    ///     .issuer("https://as.example".parse()?)
    ///     .build();
    /// # drop(keys);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder_over(
        documents: DocumentsBuilder,
        provider: &'static dyn Provider,
    ) -> PublishedKeysBuilder {
        PublishedKeysBuilder {
            documents,
            provider,
            clock: Box::new(SystemClock::new()),
            max_age: MAX_AGE,
            places: Vec::new(),
        }
    }
}

/// If an owner is added twice, the last call wins.
impl PublishedKeysBuilder {
    /// Trusts an origin by the bundle at this URL: a SPIFFE bundle for `spiffe`, a JWK set for
    /// `wimse`.
    ///
    /// The URL is configuration. TLS authenticates its server (`https_web`, SPIFFE Federation
    /// §5.2.1).
    ///
    /// # Errors
    ///
    /// `fetch.url` if the URL is not valid.
    pub fn bundle(mut self, origin: Origin, url: &str) -> Result<Self, aims_fetch::Error> {
        let key = DocumentKey::new(BUNDLE, origin.as_ref(), url)?;
        self.put(Place::origin(origin, key));
        Ok(self)
    }

    /// Trusts an issuer of access tokens. Its metadata tells where its keys are (RFC 8414, or
    /// OpenID Connect Discovery).
    ///
    /// For `https`, discovery treats `https://as.example` and `https://as.example/` as the same
    /// issuer (RFC 3986 §6.2.3). After discovery, the spelling in the server's metadata is the
    /// issuer, and tokens are compared with it byte for byte. For plain `http` on loopback, use the
    /// spelling of the server.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.put(Place::issuer(issuer, None));
        self
    }

    /// Trusts an issuer of access tokens whose keys are at this `jwks_uri`. No metadata is fetched.
    ///
    /// ```
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    ///
    /// use aims::fetch::Fetcher;
    /// use aims::jose::provider;
    /// use aims::keys::PublishedKeys;
    ///
    /// let fetcher = Arc::new(Fetcher::builder().build()?);
    /// let keys = PublishedKeys::builder(fetcher, provider::default())
    ///     .issuer_at("https://as.example".parse()?, &"https://as.example/keys.json".parse()?)?
    ///     .build();
    /// # drop(keys);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `fetch.url` if the URL is not valid.
    pub fn issuer_at(
        mut self,
        issuer: Issuer,
        jwks_uri: &Endpoint,
    ) -> Result<Self, aims_fetch::Error> {
        let key = DocumentKey::new(JWKS, issuer.as_str(), jwks_uri.as_str())?;
        self.put(Place::issuer(issuer, Some(key)));
        Ok(self)
    }

    fn put(&mut self, place: Place) {
        let keys = place.keys();
        self.places.retain(|it| it.keys() != keys);
        self.places.push(place);
    }

    /// Sets how long keys stay trusted while their owner does not answer. Defaults to one day.
    pub const fn max_age(mut self, most: Duration) -> Self {
        self.max_age = most;
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Builds the stores. They name the issuers but hold no keys yet.
    #[must_use]
    pub fn build(self) -> PublishedKeys {
        let places: Arc<[Place]> = self.places.into();
        let issuers = IssuerStore::new();
        for place in places.iter() {
            if let Place::Issuer(issuer, Some(_), _) = place {
                issuers.name(issuer);
            }
        }
        for place in places.iter() {
            if let Place::Issuer(issuer, None, _) = place {
                issuers.name_undiscovered(issuer);
            }
        }
        let (owners, provider) = (Arc::clone(&places), self.provider);
        let documents = self.documents.check(move |key, bytes| {
            let owner = owners.iter().find(|it| it.owns(key));
            owner.is_some_and(|it| it.may_keep(key, bytes, provider))
        });
        // An owner has metadata at up to three well-known URLs, and a key set whose URL may change.
        let room = places.len().saturating_mul(5);
        PublishedKeys(Arc::new(Inner {
            documents: documents.capacity_at_least(room).build(),
            provider,
            clock: self.clock,
            max_age: self.max_age,
            trust: Arc::new(TrustStore::new()),
            issuers: Arc::new(issuers),
            places,
            watch: Watching::default(),
        }))
    }
}

impl std::fmt::Debug for PublishedKeysBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = self.places.iter().map(Place::keys);
        f.debug_list().entries(places).finish()
    }
}

const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
