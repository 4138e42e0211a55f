//! Keys as their owners publish them, over HTTP: the bundles of origins, and the JWK sets of issuers, whose metadata says where these are.

mod builder;
mod error;
mod place;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fetch::{Document, DocumentKey, Documents};
use jose::provider::Provider;
use jose::time::{Clock, UnixTime};
use oauth_rs::IssuerStore;
use oauth_wire::metadata::{ServerMetadata, well_known};
use oauth_wire::names::Issuer;
use tokio::task::JoinSet;
use wimse_cred::{Bundle, TrustStore};

pub use builder::PublishedKeysBuilder;
use error::Cause;
pub use error::KeysError;
use place::{Place, Whose};

use crate::refresh::{Keys, Refresh, RefreshFuture};

/// The stores that a [`Guard`](crate::Guard) believes, filled from where the keys are published.
///
/// Three things fill them: [`load`](Self::load) at the start, [`watch`](Self::watch) as documents age, and the guard when a token names a key that is not known
/// ([`Refresh`]). Each document is fetched once at a time, seldom enough that nobody who makes up key names makes it be fetched, and good keys are never replaced
/// by none. Keys that could not be confirmed for the [longest age](PublishedKeysBuilder::max_age) are believed no longer. Clones share all.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
///
/// use aims::fetch::Fetcher;
/// use aims::keys::PublishedKeys;
/// use aims::{Guard, jose::provider};
///
/// let keys = PublishedKeys::builder(Arc::new(Fetcher::builder().build()?), provider::default())
///     .bundle("spiffe://example.org".parse()?, "https://spire.example.org/bundle")?
///     .issuer("https://as.example".parse()?)
///     .build();
/// keys.load().await?;
/// let _watch = keys.watch();
/// let guard = Guard::builder("https://tools.example/mcp").keys(&keys).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PublishedKeys(Arc<Inner>);

struct Inner {
    documents: Documents,
    provider: &'static dyn Provider,
    clock: Box<dyn Clock>,
    max_age: Duration,
    trust: Arc<TrustStore>,
    issuers: Arc<IssuerStore>,
    places: Vec<Place>,
}

/// Keeps the keys fresh until it is dropped.
#[derive(Debug)]
#[must_use = "the keys are kept fresh until this is dropped"]
pub struct Watch {
    _tasks: JoinSet<()>,
}

impl PublishedKeys {
    /// The bundles that were fetched.
    #[must_use]
    pub fn trust(&self) -> Arc<TrustStore> {
        Arc::clone(&self.0.trust)
    }

    /// The issuers, with the keys that were fetched.
    #[must_use]
    pub fn issuers(&self) -> Arc<IssuerStore> {
        Arc::clone(&self.0.issuers)
    }

    /// Whether access tokens of any issuer are believed.
    pub(crate) fn has_issuers(&self) -> bool {
        let issuer = |place: &Place| matches!(place.whose, Whose::Issuer(_));
        self.0.places.iter().any(issuer)
    }

    /// Fetches all keys, from every place at once. What could be had is in the stores even when this fails; with [`watch`](Self::watch), the rest follows.
    ///
    /// # Errors
    ///
    /// The first place whose keys were not had.
    pub async fn load(&self) -> Result<(), KeysError> {
        let mut tasks = JoinSet::new();
        for number in 0..self.0.places.len() {
            let inner = Arc::clone(&self.0);
            tasks.spawn(async move {
                match inner.places.get(number) {
                    Some(place) => inner.have(place, Age::Kept).await,
                    None => Ok(()),
                }
            });
        }
        let mut all = Ok(());
        while let Some(ended) = tasks.join_next().await {
            all = all.and(ended.unwrap_or(Ok(())));
        }
        all
    }

    /// Fetches each document again when it is due: at the end of its freshness, or as often as a bundle's `spiffe_refresh_hint` wants, within 30 s and an hour. One task for
    /// each place, on the tokio runtime that this is called in.
    pub fn watch(&self) -> Watch {
        let mut tasks = JoinSet::new();
        for number in 0..self.0.places.len() {
            tasks.spawn(follow(Arc::downgrade(&self.0), number));
        }
        Watch { _tasks: tasks }
    }
}

/// Whether what is kept will do.
#[derive(Clone, Copy)]
enum Age {
    Kept,
    Anew,
}

impl Inner {
    /// Brings the keys of one place into the stores.
    async fn have(&self, place: &Place, age: Age) -> Result<(), KeysError> {
        let found = self.document(place, age).await;
        let taken = found.and_then(|document| self.take(place, document));
        taken.map_err(|cause| KeysError::new(place.keys(), cause))
    }

    async fn document(&self, place: &Place, age: Age) -> Result<Arc<Document>, Cause> {
        let key = match (place.key(), &place.whose) {
            (Some(key), _) => key,
            (None, Whose::Issuer(issuer)) => self.discover(issuer).await?,
            (None, Whose::Origin(_)) => return Err(Cause::unknown_place()),
        };
        let found = match age {
            Age::Kept => self.documents.get(&key).await,
            Age::Anew => self.documents.refresh(&key).await,
        };
        // The next time, the metadata is asked again: the keys may have moved.
        place.found_at(found.is_ok().then_some(key));
        Ok(found?)
    }

    /// Where an issuer publishes its keys: by RFC 8414, then by OpenID Connect Discovery. Only a 404 leads from one place to the next (META-01).
    async fn discover(&self, issuer: &Issuer) -> Result<DocumentKey, Cause> {
        let mut last = Cause::unknown_place();
        for url in well_known::server_candidates(issuer)? {
            let key = DocumentKey::new("metadata", issuer.as_str(), url.as_str())?;
            match self.documents.get(&key).await {
                Err(error @ fetch::Error::Status { status: 404 }) => last = error.into(),
                answer => {
                    let metadata = ServerMetadata::parse(answer?.bytes(), issuer)?;
                    let url = metadata.jwks_uri()?;
                    return Ok(DocumentKey::new("jwks", issuer.as_str(), url.as_str())?);
                }
            }
        }
        Err(last)
    }

    /// Puts a document into the stores, unless one that came later is there already.
    fn take(&self, place: &Place, document: Arc<Document>) -> Result<(), Cause> {
        place.take(document, |document| match &place.whose {
            Whose::Issuer(issuer) => {
                self.issuers.set(issuer, document.bytes(), self.provider)?;
                Ok(None)
            }
            Whose::Origin(origin) => {
                let until = self.believed_until(document);
                let bundle = Bundle::parse(origin, document.bytes(), self.provider)?;
                let hint = bundle.refresh_hint();
                self.trust.set(bundle.good_until(until))?;
                Ok(hint)
            }
        })
    }

    /// Counted from when it was fetched, which may be a while ago.
    fn believed_until(&self, document: &Document) -> UnixTime {
        let left = self.max_age.saturating_sub(document.fetched().elapsed());
        let now = self.clock.now().as_secs();
        UnixTime::since_unix_epoch(Duration::from_secs(now.saturating_add(left.as_secs())))
    }

    /// Believes keys no longer that could not be confirmed for too long. A bundle says that of itself: `trust.stale`.
    fn let_go(&self, place: &Place) {
        if let Whose::Issuer(issuer) = &place.whose
            && place.age().is_some_and(|age| age >= self.max_age)
            && self.issuers.remove(issuer)
        {
            self.issuers.name(issuer);
        }
    }
}

/// Fetches the document of one place whenever it is due.
async fn follow(keys: Weak<Inner>, number: usize) {
    let mut failed = false;
    loop {
        let pause = {
            let Some(keys) = keys.upgrade() else { return };
            let Some(place) = keys.places.get(number) else {
                return;
            };
            if failed {
                AFTER_FAILURE
            } else {
                place.due_in()
            }
        };
        tokio::time::sleep(pause).await;
        let Some(keys) = keys.upgrade() else { return };
        let Some(place) = keys.places.get(number) else {
            return;
        };
        let had = keys.have(place, Age::Anew).await;
        failed = had.is_err();
        if let Err(error) = had {
            tracing::warn!(keys = %error.keys(), code = error.code(), "keys were not refreshed");
            keys.let_go(place);
        }
    }
}

const AFTER_FAILURE: Duration = Duration::from_secs(30);

impl Refresh for PublishedKeys {
    fn refresh(&self, keys: Keys) -> RefreshFuture<'_> {
        Box::pin(async move {
            let named = |place: &&Place| place.keys() == keys;
            match self.0.places.iter().find(named) {
                Some(place) => self.0.have(place, Age::Anew).await.is_ok(),
                None => false,
            }
        })
    }
}

impl fmt::Debug for PublishedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.0.places.iter().map(Place::keys);
        f.debug_list().entries(places).finish()
    }
}
