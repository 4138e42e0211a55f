//! A bounded queue between the guard and a writer of events. It never blocks, and counts the events
//! that do not fit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{Event, Record};

/// Creates a queue for up to `capacity` events (at least one) and the iterator that reads it.
///
/// `keep` converts each event into what is queued. It runs while the guard handles the request, so
/// it must be quick.
///
/// A request never waits for the reader. If the queue is full or the reader is gone, the event is
/// lost. [`Queue::lost`] counts lost events, and the next entry tells how many were lost before it,
/// so the record shows the gap.
///
/// ```
/// use aims::record::{Event, queue};
///
/// let (queue, entries) = queue(10_000, |event: &Event<'_>| {
///     let (time, outcome) = (event.time.as_secs(), event.outcome.as_str());
///     format!("{time} {outcome} {:?} {:?}", event.code, event.agent)
/// });
/// let writer = std::thread::spawn(move || {
///     for entry in entries {
///         if entry.lost_before > 0 {
///             println!("{} events are missing here", entry.lost_before);
///         }
///         println!("{}", entry.event);
///     }
/// });
/// # let trust = std::sync::Arc::new(aims::cred::TrustStore::new());
/// let guard = aims::Guard::builder("https://tools.example/mcp").trust(trust);
/// let guard = guard.record(queue.clone()).build()?;
/// assert_eq!(queue.lost(), 0); // a number to monitor
/// # drop((guard, queue));
/// # writer.join().map_err(|_| "the writer panicked")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn queue<T: Send + 'static>(
    capacity: usize,
    keep: impl Fn(&Event<'_>) -> T + Send + Sync + 'static,
) -> (Queue<T>, Entries<T>) {
    let (sender, receiver) = sync_channel(capacity.max(1));
    let queue = Queue {
        sender,
        keep: Arc::new(keep),
        losses: Arc::default(),
    };
    (queue, Entries(receiver))
}

/// The sending end of a [`queue`](fn@queue): a recorder for a guard. Clones share the queue.
pub struct Queue<T> {
    sender: SyncSender<Entry<T>>,
    keep: Arc<dyn Fn(&Event<'_>) -> T + Send + Sync>,
    losses: Arc<Losses>,
}

#[derive(Debug, Default)]
struct Losses {
    all: AtomicU64,
    /// The number of lost events that no entry reports yet.
    unreported: AtomicU64,
}

impl<T> Queue<T> {
    /// Returns how many events were lost since the queue was created.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.losses.all.load(Ordering::Relaxed)
    }
}

impl<T: Send> Record for Queue<T> {
    fn record(&self, event: &Event<'_>) {
        let event = (self.keep)(event);
        let lost_before = self.losses.unreported.swap(0, Ordering::Relaxed);
        let entry = Entry { event, lost_before };
        if self.sender.try_send(entry).is_err() {
            self.losses.all.fetch_add(1, Ordering::Relaxed);
            let unreported = lost_before.saturating_add(1);
            self.losses
                .unreported
                .fetch_add(unreported, Ordering::Relaxed);
        }
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            keep: Arc::clone(&self.keep),
            losses: Arc::clone(&self.losses),
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}

/// One event in a [`queue`](fn@queue).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry<T> {
    /// The value that `keep` returned for the event.
    pub event: T,
    /// The number of events that were lost between the previous entry and this one.
    pub lost_before: u64,
}

/// The receiving end of a [`queue`](fn@queue), for a separate thread.
///
/// As an iterator it blocks until the next event, and ends when the last [`Queue`] is dropped.
#[derive(Debug)]
#[must_use = "events without a reader are lost"]
pub struct Entries<T>(Receiver<Entry<T>>);

impl<T> Entries<T> {
    /// Returns the next event without blocking, or `None` if there is none.
    #[must_use]
    pub fn waiting(&self) -> Option<Entry<T>> {
        self.0.try_recv().ok()
    }
}

impl<T> Iterator for Entries<T> {
    type Item = Entry<T>;

    fn next(&mut self) -> Option<Entry<T>> {
        self.0.recv().ok()
    }
}
