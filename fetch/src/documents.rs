//! A cache of published JSON documents.

mod document;
mod flight;
mod settings;
mod slots;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use document::{Document, DocumentKey};
pub use settings::DocumentsBuilder;
use settings::Settings;
use slots::{Slots, Step};
use tokio::time::Instant;

use crate::{Error, Fetch};

/// Fetches and caches JSON documents that others publish, such as key sets and metadata.
///
/// Each document is fetched by one request at a time. A fetch runs in its own task: it continues if
/// the caller stops waiting, and a URL that hangs does not delay others. Clones share the cache. It
/// needs a tokio runtime with timers.
///
/// ```no_run
/// # async fn example() -> Result<(), aims_fetch::Error> {
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use aims_fetch::{DocumentKey, Documents, Fetcher};
///
/// let documents = Documents::builder(Arc::new(Fetcher::builder().build()?))
///     .serve_stale(Duration::from_secs(3600))
///     .build();
/// let key = DocumentKey::new("jwks", "https://as.example", "https://as.example/jwks")?;
/// let document = documents.get(&key).await?;
/// println!("{} bytes", document.bytes().len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Documents(Arc<Shared>);

struct Shared {
    fetch: Arc<dyn Fetch>,
    settings: Settings,
    slots: Mutex<Slots>,
}

impl Documents {
    /// Creates a cache that fetches with this client, with the defaults of [`DocumentsBuilder`].
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self::builder(fetch).build()
    }

    /// Creates a builder for a cache that fetches with this client.
    pub fn builder(fetch: Arc<dyn Fetch>) -> DocumentsBuilder {
        DocumentsBuilder::new(fetch)
    }

    fn of(fetch: Arc<dyn Fetch>, settings: Settings) -> Self {
        let slots = Mutex::new(Slots::default());
        Self(Arc::new(Shared {
            fetch,
            settings,
            slots,
        }))
    }

    /// Returns a document, from the cache while it is fresh.
    ///
    /// A document that is no longer fresh is returned only if it cannot be fetched and
    /// [`serve_stale`](DocumentsBuilder::serve_stale) allows it.
    ///
    /// # Errors
    ///
    /// - The errors of the [`Fetch`].
    /// - `fetch.status`, `fetch.content_type`, `fetch.body_too_long` or `fetch.rejected` for the
    ///   answer.
    /// - `fetch.backing_off` for some time after a failure.
    /// - `fetch.busy` if the maximum number of fetches is running, in total or from this host.
    /// - `fetch.interrupted` if the fetch ended without a result.
    pub async fn get(&self, key: &DocumentKey) -> Result<Arc<Document>, Error> {
        let now = Instant::now();
        let step = self.0.slots().get(key, &self.0.settings, now);
        match self.0.take(key, step).await {
            Ok(document) => Ok(document),
            Err(error) => self.0.or_stale(key, error),
        }
    }

    /// Fetches a document again although it is fresh, for example because a key is not in it.
    ///
    /// It does so once per interval for each document. In between it returns the cached one, so
    /// invented key names cause no flood of requests. It joins a fetch that is running. If the
    /// fetch fails, the cached document stays for [`get`](Self::get).
    ///
    /// ```
    /// use aims_fetch::{DocumentKey, Documents, Error};
    ///
    /// /// Fetches a key set again after a token named an unknown key.
    /// async fn key_set(documents: &Documents, key: &DocumentKey) -> Result<Vec<u8>, Error> {
    ///     Ok(documents.refresh(key).await?.bytes().to_vec())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and `fetch.too_soon` if there is no document to return.
    pub async fn refresh(&self, key: &DocumentKey) -> Result<Arc<Document>, Error> {
        let now = Instant::now();
        let step = self.0.slots().refresh(key, &self.0.settings, now);
        self.0.take(key, step).await
    }

    /// Marks this document as no longer fresh, and as fetched long ago.
    ///
    /// Call it if you know that more time has passed than the clock of the runtime shows, because
    /// the machine was suspended. The next [`get`](Self::get) or [`refresh`](Self::refresh) fetches
    /// the document again. Pauses after failures stay, and a newer document is not affected.
    pub fn expire(&self, key: &DocumentKey, document: &Document) {
        let now = Instant::now();
        if let Some(slot) = self.0.slots().find(key) {
            slot.expire(document, now);
        }
    }

    /// Returns how many documents and failures are cached, plus how many documents are being
    /// fetched for the first time.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.slots().len()
    }

    /// Returns whether [`len`](Self::len) is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shared {
    /// Locks the slots. A panic of another thread leaves them consistent, because every change is
    /// one assignment.
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(self: &Arc<Self>, key: &DocumentKey, step: Step) -> Result<Arc<Document>, Error> {
        let flight = match step {
            Step::Give(document) => return Ok(document),
            Step::Refuse(error) => return Err(error),
            Step::Join(flight) => flight,
            Step::Lead(landing, flight, known) => {
                flight::launch(self.clone(), key.clone(), landing, known)?;
                flight
            }
        };
        let landed = flight.outcome().await;
        landed.unwrap_or(Err(Error::Interrupted))
    }

    fn or_stale(&self, key: &DocumentKey, error: Error) -> Result<Arc<Document>, Error> {
        let mut slots = self.slots();
        match slots.find(key) {
            Some(slot) => slot.or_stale(error, Instant::now()),
            None => Err(error),
        }
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents")
            .field("fetch", &self.0.fetch)
            .field("settings", &self.0.settings)
            .field("len", &self.len())
            .finish()
    }
}
