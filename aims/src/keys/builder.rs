//! Whose keys, from where.

use std::sync::Arc;
use std::time::Duration;

use fetch::{DocumentKey, Documents, Fetch};
use jose::provider::Provider;
use jose::time::{Clock, SystemClock};
use oauth_rs::IssuerStore;
use oauth_wire::names::{Endpoint, Issuer};
use wimse_cred::TrustStore;
use wimse_id::Origin;

use super::place::{Place, Whose};
use super::{Inner, PublishedKeys};

/// Makes [`PublishedKeys`]. Nothing is fetched before [`load`](PublishedKeys::load).
#[must_use = "nothing is believed before `build`"]
pub struct PublishedKeysBuilder {
    documents: Documents,
    provider: &'static dyn Provider,
    clock: Box<dyn Clock>,
    max_age: Duration,
    places: Vec<Place>,
}

impl PublishedKeys {
    /// Keys that are fetched by this client and prepared by this provider.
    pub fn builder(fetch: Arc<dyn Fetch>, provider: &'static dyn Provider) -> PublishedKeysBuilder {
        PublishedKeysBuilder {
            documents: Documents::new(fetch),
            provider,
            clock: Box::new(SystemClock::new()),
            max_age: MAX_AGE,
            places: Vec::new(),
        }
    }
}

impl PublishedKeysBuilder {
    /// Trusts an origin by the bundle at this URL: of SPIFFE for `spiffe`, a JWK set for `wimse`. The URL is configuration, authenticated by TLS (`https_web`, SPIFFE
    /// Federation §5.2.1).
    ///
    /// # Errors
    ///
    /// `fetch.url`.
    pub fn bundle(mut self, origin: Origin, url: &str) -> Result<Self, fetch::Error> {
        let key = DocumentKey::new("bundle", origin.as_ref(), url)?;
        self.places
            .push(Place::new(Whose::Origin(origin), Some(key)));
        Ok(self)
    }

    /// Believes the access tokens of an issuer; its metadata says where its keys are (RFC 8414, or OpenID Connect Discovery).
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.places.push(Place::new(Whose::Issuer(issuer), None));
        self
    }

    /// Believes the access tokens of an issuer whose keys are at this `jwks_uri`; no metadata is asked.
    ///
    /// # Errors
    ///
    /// `fetch.url`.
    pub fn issuer_at(mut self, issuer: Issuer, jwks_uri: &Endpoint) -> Result<Self, fetch::Error> {
        let key = DocumentKey::new("jwks", issuer.as_str(), jwks_uri.as_str())?;
        self.places
            .push(Place::new(Whose::Issuer(issuer), Some(key)));
        Ok(self)
    }

    /// How long keys are believed that cannot be confirmed, because their owner is away: a day unless set.
    pub const fn max_age(mut self, most: Duration) -> Self {
        self.max_age = most;
        self
    }

    /// How documents are kept, in place of the defaults.
    pub fn documents(mut self, documents: Documents) -> Self {
        self.documents = documents;
        self
    }

    /// Another clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Names the issuers, and trusts nobody yet.
    #[must_use]
    pub fn build(self) -> PublishedKeys {
        let issuers = IssuerStore::new();
        for place in &self.places {
            if let Whose::Issuer(issuer) = &place.whose {
                issuers.name(issuer);
            }
        }
        PublishedKeys(Arc::new(Inner {
            documents: self.documents,
            provider: self.provider,
            clock: self.clock,
            max_age: self.max_age,
            trust: Arc::new(TrustStore::new()),
            issuers: Arc::new(issuers),
            places: self.places,
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
