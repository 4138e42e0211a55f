//! Runs one piece of work at a time, and gives its result to all waiting callers.

use tokio::sync::watch;

/// One piece of work that several callers wait for, such as the fetch of one document.
///
/// The owner keeps it behind a lock, next to the data that the work updates. Under this lock it
/// decides whether to [lead](Self::lead) or to [join](Self::join), and it waits outside the lock.
/// The leader does the work, usually in its own task, and calls [`land`](Landing::land); each
/// joined caller gets a clone of the result. A caller that only waits can stop at any time.
///
/// ```
/// use std::sync::Mutex;
///
/// use aims_fetch::SingleFlight;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let flight: Mutex<SingleFlight<u32>> = Mutex::default();
///
/// let (landing, first) = flight.lock().unwrap().lead();
/// let second = flight.lock().unwrap().join().expect("work is running");
///
/// flight.lock().unwrap().end();
/// landing.land(7);
/// assert_eq!((first.outcome().await, second.outcome().await), (Some(7), Some(7)));
/// # }
/// ```
#[derive(Debug)]
pub struct SingleFlight<T>(Option<watch::Receiver<Option<T>>>);

/// The handle with which the leader publishes the result.
#[derive(Debug)]
#[must_use = "everyone who joined waits until this lands or is dropped"]
pub struct Landing<T>(watch::Sender<Option<T>>);

/// The handle with which a caller waits for the result.
#[derive(Clone, Debug)]
#[must_use = "waits for nothing until `outcome` is called"]
pub struct Waiting<T>(watch::Receiver<Option<T>>);

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> SingleFlight<T> {
    /// Creates a value without running work.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether work is running.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Joins the running work. Returns `None` if there is none.
    pub fn join(&self) -> Option<Waiting<T>> {
        self.0.clone().map(Waiting)
    }

    /// Starts the work, which counts as running until [`end`](Self::end). Call it only if no work
    /// is running; otherwise callers that joined the earlier work still get its result.
    pub fn lead(&mut self) -> (Landing<T>, Waiting<T>) {
        let (sender, receiver) = watch::channel(None);
        self.0 = Some(receiver.clone());
        (Landing(sender), Waiting(receiver))
    }

    /// Marks the work as ended. Call it under the owner's lock when the result is stored, before
    /// [`land`](Landing::land).
    pub fn end(&mut self) {
        self.0 = None;
    }
}

impl<T> Landing<T> {
    /// Gives the result to all waiting callers.
    pub fn land(&self, outcome: T) {
        self.0.send_replace(Some(outcome));
    }
}

impl<T: Clone> Waiting<T> {
    /// Waits for the result. Returns `None` if the work ended without one, because its task
    /// panicked or its runtime stopped.
    pub async fn outcome(mut self) -> Option<T> {
        let landed = self.0.wait_for(Option::is_some).await;
        landed.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everyone_gets_the_outcome() {
        let mut flight = SingleFlight::new();
        assert!(!flight.is_under_way() && flight.join().is_none());
        let (landing, leader) = flight.lead();
        let joined = [flight.join().unwrap(), flight.join().unwrap()];
        // One caller stops waiting.
        drop(flight.join());
        flight.end();
        assert!(!flight.is_under_way() && flight.join().is_none());
        landing.land("outcome");
        drop(landing);
        assert_eq!(leader.outcome().await, Some("outcome"));
        for one in joined {
            assert_eq!(one.outcome().await, Some("outcome"));
        }
    }

    #[tokio::test]
    async fn work_that_vanishes_has_no_outcome() {
        let mut flight = SingleFlight::<u8>::new();
        let (landing, leader) = flight.lead();
        let joined = flight.join().unwrap();
        drop(landing);
        assert_eq!(leader.outcome().await, None);
        assert_eq!(joined.outcome().await, None);
        // The owner may start again.
        let (landing, leader) = flight.lead();
        landing.land(1);
        assert_eq!(leader.outcome().await, Some(1));
    }
}
