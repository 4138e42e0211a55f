//! Documents that others publish, kept while they are fresh.

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

/// Keeps the JSON documents that others publish (key sets, metadata), and fetches each once at a
/// time.
///
/// A fetch is a task of its own: the caller that started it may go away, and one URL that hangs
/// delays no other. Clones share what is kept. All of it runs within a tokio runtime with timers.
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
    /// A cache over this client, with the defaults of [`DocumentsBuilder`].
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self::builder(fetch).build()
    }

    /// A cache over this client.
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

    /// The document, from memory while it is fresh. A document that is not fresh is given only
    /// where [`serve_stale`](DocumentsBuilder::serve_stale) allows it and it cannot be fetched
    /// anew.
    ///
    /// # Errors
    ///
    /// What the [`Fetch`] gives; `fetch.status`, `fetch.content_type`, `fetch.body_too_long`,
    /// `fetch.rejected` for the answer; `fetch.backing_off` for some time after a failure;
    /// `fetch.busy` where as many are being fetched as may be, in all or from this host;
    /// `fetch.interrupted`.
    pub async fn get(&self, key: &DocumentKey) -> Result<Arc<Document>, Error> {
        let now = Instant::now();
        let step = self.0.slots().get(key, &self.0.settings, now);
        match self.0.take(key, step).await {
            Ok(document) => Ok(document),
            Err(error) => self.0.or_stale(key, error),
        }
    }

    /// Fetches the document though it is fresh: for a key that is not in it. Once per interval and
    /// document; in between, the one at hand is given, so that whoever makes up key names makes
    /// nobody fetch. Joins the fetch that is under way, if any. When the fetch fails, what is kept
    /// stays, for [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and `fetch.too_soon` where there is no document that can be given.
    pub async fn refresh(&self, key: &DocumentKey) -> Result<Arc<Document>, Error> {
        let now = Instant::now();
        let step = self.0.slots().refresh(key, &self.0.settings, now);
        self.0.take(key, step).await
    }

    /// Counts this document as no longer fresh, and as fetched long ago: for a caller who knows
    /// that more time has passed than the clock of the runtime says, because the machine was
    /// suspended. The next [`get`](Self::get) or [`refresh`](Self::refresh) fetches it anew. Pauses
    /// after failures stay, and a document that came later is left as it is.
    pub fn expire(&self, key: &DocumentKey, document: &Document) {
        let now = Instant::now();
        if let Some(slot) = self.0.slots().find(key) {
            slot.expire(document, now);
        }
    }

    /// How many documents, or failures to get one, are kept, and how many are being fetched for the
    /// first time.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.slots().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shared {
    /// A panic elsewhere leaves nothing half-done in here: every change is one assignment.
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
