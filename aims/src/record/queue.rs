//! A bounded queue before whatever writes events: it never waits, and what does not fit is counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{Event, Record};

/// A queue for at least one event and at most `capacity`, and its end to read from. `keep` takes of
/// each event what is to be kept; it is called on the request's own path.
///
/// A request never waits for the reader. When the queue is full, or its reader is gone, the event
/// is lost: [`Queue::lost`] counts it, and the next one that gets through says how many were lost
/// before it, so that the gap is in the record itself.
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
/// assert_eq!(queue.lost(), 0); // for whoever watches over the tool
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

/// The end of a [`queue`](fn@queue) that takes events. Clones share it.
pub struct Queue<T> {
    sender: SyncSender<Entry<T>>,
    keep: Arc<dyn Fn(&Event<'_>) -> T + Send + Sync>,
    losses: Arc<Losses>,
}

#[derive(Debug, Default)]
struct Losses {
    all: AtomicU64,
    /// Those that no entry tells of yet.
    untold: AtomicU64,
}

impl<T> Queue<T> {
    /// How many events were lost since the queue was made.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.losses.all.load(Ordering::Relaxed)
    }
}

impl<T: Send> Record for Queue<T> {
    fn record(&self, event: &Event<'_>) {
        let event = (self.keep)(event);
        let lost_before = self.losses.untold.swap(0, Ordering::Relaxed);
        let entry = Entry { event, lost_before };
        if self.sender.try_send(entry).is_err() {
            self.losses.all.fetch_add(1, Ordering::Relaxed);
            let untold = lost_before.saturating_add(1);
            self.losses.untold.fetch_add(untold, Ordering::Relaxed);
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
    /// What was kept of it.
    pub event: T,
    /// How many were lost between the entry before and this one.
    pub lost_before: u64,
}

/// The end of a [`queue`](fn@queue) to read from, for a thread of its own: as an iterator it waits
/// for the next event, and ends when no [`Queue`] is left.
#[derive(Debug)]
#[must_use = "events that nobody reads are lost"]
pub struct Entries<T>(Receiver<Entry<T>>);

impl<T> Entries<T> {
    /// The next one that is there already.
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
