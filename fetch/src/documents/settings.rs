//! How long, how many, how often.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{DocumentKey, Documents};
use crate::{Backoff, Fetch};

/// Whether a document may replace the one before it.
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

/// How [`Documents`] are made. Times above 30 days count as 30 days.
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

    /// The bounds of the time for which a document is fresh, whatever its server says; 60 s to 24
    /// h. The least holds for `no-store` and `no-cache` too: nobody makes us fetch for every
    /// request.
    pub fn lifetime(mut self, least: Duration, most: Duration) -> Self {
        self.settings.lifetime = least.min(MOST)..=most.max(least).min(MOST);
        self
    }

    /// For how long a document is fresh whose server says nothing about it, within the bounds; 5
    /// min.
    pub fn default_freshness(mut self, lifetime: Duration) -> Self {
        self.settings.default_freshness = lifetime.min(MOST);
        self
    }

    /// Gives a document for so much longer than it is fresh, where it cannot be fetched anew; none
    /// by default. What is revoked at its origin is then good for that much longer. Not for a
    /// document whose server forbids it (`no-store`, `no-cache`, `must-revalidate`).
    pub fn serve_stale(mut self, most: Duration) -> Self {
        self.settings.max_stale = most.min(MOST);
        self
    }

    /// The least time between a [`refresh`](Documents::refresh) of a document and the fetch before
    /// it; 30 s.
    pub fn refresh_interval(mut self, least: Duration) -> Self {
        self.settings.refresh_interval = least.min(MOST);
        self
    }

    /// For how long a document is not asked for after a failure: the first time, and at most; 5 s
    /// to 5 min. The pause doubles with each failure in a row, and up to half of it is left to
    /// chance.
    pub fn pauses(mut self, first: Duration, most: Duration) -> Self {
        self.settings.pauses = first.min(MOST)..=most.max(first).min(MOST);
        self
    }

    /// The most that a fetch may take, whatever the [`Fetch`] allows; 20 s.
    pub fn timeout(mut self, most: Duration) -> Self {
        self.settings.timeout = most.min(MOST);
        self
    }

    /// How many documents are kept, at least one; 256. With [`max_document`](Self::max_document)
    /// the bound of the memory: 64 MiB.
    pub fn capacity(mut self, most: usize) -> Self {
        self.settings.capacity = most.max(1);
        self
    }

    /// As [`capacity`](Self::capacity), where it is less, and as [`flights`](Self::flights) and
    /// [`flights_per_host`](Self::flights_per_host): for one who keeps so many documents, whatever
    /// was set. They are of its own choice, and all of them may be wanted at once, from one host as
    /// well.
    pub fn capacity_at_least(mut self, least: usize) -> Self {
        let settings = &mut self.settings;
        settings.capacity = settings.capacity.max(least);
        settings.flights = settings.flights.max(least);
        settings.flights_per_host = settings.flights_per_host.max(least);
        self
    }

    /// How many documents are fetched at a time that are not kept yet, at least one; 32. As many
    /// more may be those that are kept and fetched anew: whoever names URLs that hang delays none
    /// that is known. Beyond that it is `fetch.busy`.
    pub fn flights(mut self, most: usize) -> Self {
        self.settings.flights = most.max(1);
        self
    }

    /// How many of them may be from one host, at least one; 4. A host that hangs takes no more than
    /// that from the others, and no host is sent more than twice as many requests at a time.
    pub fn flights_per_host(mut self, most: usize) -> Self {
        self.settings.flights_per_host = most.max(1);
        self
    }

    /// The longest document, in bytes; 256 KiB. The [`Fetch`] has a bound of its own.
    pub const fn max_document(mut self, most: usize) -> Self {
        self.settings.max_document = most;
        self
    }

    /// Takes a document only if this says yes: what is no key set, or an empty one, does not
    /// replace a good one, and counts as a failure (`fetch.rejected`). Of several, each has to say
    /// yes.
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

    /// Makes the cache.
    #[must_use]
    pub fn build(self) -> Documents {
        Documents::of(self.fetch, self.settings)
    }
}

impl Settings {
    /// The pause after the failure that `before` others came before.
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

/// The longest time that is taken: no sum of times overflows.
const MOST: Duration = Duration::from_secs(30 * 24 * 3600);
