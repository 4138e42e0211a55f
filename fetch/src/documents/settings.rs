//! The settings of a document cache.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{DocumentKey, Documents};
use crate::{Backoff, Fetch};

/// Returns whether a document may replace the earlier one.
type Check = Arc<dyn Fn(&DocumentKey, &[u8]) -> bool + Send + Sync>;

/// The settings of [`Documents`].
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) lifetime: RangeInclusive<Duration>,
    pub(super) default_freshness: Duration,
    pub(super) max_stale: Duration,
    pub(super) refresh_interval: Duration,
    pub(super) pauses: RangeInclusive<Duration>,
    pub(super) timeout: Duration,
    pub(super) capacity: usize,
    pub(super) flights: usize,
    pub(super) flights_per_host: usize,
    pub(super) max_document: usize,
    pub(super) check: Option<Check>,
}

/// Builds [`Documents`]. Times above 30 days count as 30 days.
///
/// ```no_run
/// # fn example() -> Result<(), aims_fetch::Error> {
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use aims_fetch::{Documents, Fetcher};
///
/// let documents = Documents::builder(Arc::new(Fetcher::builder().build()?))
///     .lifetime(Duration::from_secs(60), Duration::from_secs(3_600))
///     .capacity(16)
///     .check(|_key, bytes| bytes.starts_with(b"{"))
///     .build();
/// # drop(documents);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a cache is made by `build`"]
pub struct DocumentsBuilder {
    fetch: Arc<dyn Fetch>,
    settings: Settings,
}

impl DocumentsBuilder {
    pub(super) fn new(fetch: Arc<dyn Fetch>) -> Self {
        let settings = Settings {
            lifetime: Duration::from_secs(60)..=Duration::from_secs(24 * 3600),
            default_freshness: Duration::from_secs(300),
            max_stale: Duration::ZERO,
            refresh_interval: Duration::from_secs(30),
            pauses: Duration::from_secs(5)..=Duration::from_secs(300),
            timeout: Duration::from_secs(20),
            capacity: 256,
            flights: 32,
            flights_per_host: 4,
            max_document: 256 * 1024,
            check: None,
        };
        Self { fetch, settings }
    }

    /// Sets the minimum and maximum time for which a document is fresh, whatever its server says.
    /// Defaults to 60 s and 24 h.
    ///
    /// The minimum also applies to `no-store` and `no-cache`, so a server cannot cause a fetch for
    /// every request.
    pub fn lifetime(mut self, least: Duration, most: Duration) -> Self {
        self.settings.lifetime = least.min(MOST)..=most.max(least).min(MOST);
        self
    }

    /// Sets the lifetime of a document whose server does not state one. Defaults to 5 min. The
    /// limits of [`lifetime`](Self::lifetime) apply.
    pub fn default_freshness(mut self, lifetime: Duration) -> Self {
        self.settings.default_freshness = lifetime.min(MOST);
        self
    }

    /// Returns a document for this time after its freshness ended, if it cannot be fetched again.
    /// Defaults to zero.
    ///
    /// Keys that their owner revokes stay valid for that time. It does not apply to a document
    /// whose server forbids it (`no-store`, `no-cache`, `must-revalidate`).
    pub fn serve_stale(mut self, most: Duration) -> Self {
        self.settings.max_stale = most.min(MOST);
        self
    }

    /// Sets the minimum time between a fetch of a document and its next
    /// [`refresh`](Documents::refresh). Defaults to 30 s.
    pub fn refresh_interval(mut self, least: Duration) -> Self {
        self.settings.refresh_interval = least.min(MOST);
        self
    }

    /// Sets the pauses after failures: the first one and the maximum. Defaults to 5 s and 5 min.
    ///
    /// The pause doubles with each failure in a row, and is randomly shortened by up to a half.
    pub fn pauses(mut self, first: Duration, most: Duration) -> Self {
        self.settings.pauses = first.min(MOST)..=most.max(first).min(MOST);
        self
    }

    /// Sets the maximum time of a fetch, in addition to the limits of the [`Fetch`]. Defaults to 20
    /// s.
    pub fn timeout(mut self, most: Duration) -> Self {
        self.settings.timeout = most.min(MOST);
        self
    }

    /// Sets the maximum number of cached documents, at least one. Defaults to 256.
    ///
    /// Together with [`max_document`](Self::max_document) it limits the memory, by default to 64
    /// MiB.
    pub fn capacity(mut self, most: usize) -> Self {
        self.settings.capacity = most.max(1);
        self
    }

    /// Raises [`capacity`](Self::capacity), [`flights`](Self::flights) and
    /// [`flights_per_host`](Self::flights_per_host) to at least this number.
    ///
    /// Use it for a fixed set of documents that the program chose. All of them may be fetched at
    /// the same time, even from one host.
    pub fn capacity_at_least(mut self, least: usize) -> Self {
        let settings = &mut self.settings;
        settings.capacity = settings.capacity.max(least);
        settings.flights = settings.flights.max(least);
        settings.flights_per_host = settings.flights_per_host.max(least);
        self
    }

    /// Sets how many documents that are not cached yet are fetched at a time, at least one.
    /// Defaults to 32.
    ///
    /// The same number of cached documents can be fetched again at the same time, so untrusted URLs
    /// that hang do not delay them. Beyond these numbers the error is `fetch.busy`.
    pub fn flights(mut self, most: usize) -> Self {
        self.settings.flights = most.max(1);
        self
    }

    /// Sets how many of them may be from one host, at least one. Defaults to 4.
    ///
    /// A host that hangs cannot use more than this share, and a host gets at most twice this number
    /// of requests at a time.
    pub fn flights_per_host(mut self, most: usize) -> Self {
        self.settings.flights_per_host = most.max(1);
        self
    }

    /// Sets the maximum length of a document, in bytes. Defaults to 256 KiB. The [`Fetch`] has its
    /// own limit.
    pub const fn max_document(mut self, most: usize) -> Self {
        self.settings.max_document = most;
        self
    }

    /// Accepts a document only if this function returns `true`. May be repeated; each function must
    /// return `true`.
    ///
    /// A refused document does not replace the cached one and counts as a failure
    /// (`fetch.rejected`). Use it to keep a good key set when the server returns an empty one.
    pub fn check(
        mut self,
        check: impl Fn(&DocumentKey, &[u8]) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.check = Some(match self.settings.check.take() {
            Some(other) => Arc::new(move |key, bytes| other(key, bytes) && check(key, bytes)),
            None => Arc::new(check),
        });
        self
    }

    /// Builds the cache.
    #[must_use]
    pub fn build(self) -> Documents {
        Documents::of(self.fetch, self.settings)
    }
}

impl Settings {
    /// Returns the pause after a failure that followed `before` others.
    pub(super) fn pause(&self, before: u32, random: u64) -> Duration {
        Backoff::new(*self.pauses.start(), *self.pauses.end()).pause(before, random)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("lifetime", &self.lifetime)
            .field("default_freshness", &self.default_freshness)
            .field("max_stale", &self.max_stale)
            .field("refresh_interval", &self.refresh_interval)
            .field("pauses", &self.pauses)
            .field("timeout", &self.timeout)
            .field("capacity", &self.capacity)
            .field("flights", &self.flights)
            .field("flights_per_host", &self.flights_per_host)
            .field("max_document", &self.max_document)
            .field("check", &self.check.is_some())
            .finish()
    }
}

/// The maximum time, so that sums of times do not overflow.
const MOST: Duration = Duration::from_secs(30 * 24 * 3600);
