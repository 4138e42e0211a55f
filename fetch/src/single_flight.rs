//! One piece of work at a time, and its outcome for everyone who waits.

use tokio::sync::watch;

/// The work that is under way for one thing, such as the fetch of one document.
///
/// Its owner keeps it behind a lock beside what is known of the thing, decides under that lock who
/// leads and who joins, and waits outside of it. The one who leads does the work, usually as a task
/// of its own, and [lands](Landing::land) it; everyone who joined gets a clone of the outcome.
/// Whoever only waits can go away at any time.
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
/// let second = flight.lock().unwrap().join().expect("work is under way");
///
/// flight.lock().unwrap().end();
/// landing.land(7);
/// assert_eq!((first.outcome().await, second.outcome().await), (Some(7), Some(7)));
/// # }
/// ```
#[derive(Debug)]
pub struct SingleFlight<T>(Option<watch::Receiver<Option<T>>>);

/// What the one who does the work ends it with.
#[derive(Debug)]
#[must_use = "everyone who joined waits until this lands or is dropped"]
pub struct Landing<T>(watch::Sender<Option<T>>);

/// What everyone waits with.
#[derive(Clone, Debug)]
#[must_use = "waits for nothing until `outcome` is called"]
pub struct Waiting<T>(watch::Receiver<Option<T>>);

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> SingleFlight<T> {
    /// No work is under way.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether work is under way.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Joins the work that is under way, if any.
    pub fn join(&self) -> Option<Waiting<T>> {
        self.0.clone().map(Waiting)
    }

    /// Begins the work, which is under way until [`end`](Self::end). The caller has seen that none
    /// is; if one was, those who joined it still get its outcome.
    pub fn lead(&mut self) -> (Landing<T>, Waiting<T>) {
        let (sender, receiver) = watch::channel(None);
        self.0 = Some(receiver.clone());
        (Landing(sender), Waiting(receiver))
    }

    /// No work is under way any more. Call it under the owner's lock when the outcome is stored,
    /// and before it [lands](Landing::land).
    pub fn end(&mut self) {
        self.0 = None;
    }
}

impl<T> Landing<T> {
    /// Gives the outcome to everyone who joined.
    pub fn land(&self, outcome: T) {
        self.0.send_replace(Some(outcome));
    }
}

impl<T: Clone> Waiting<T> {
    /// The outcome; `None` where the work ended without one, because its task panicked or its
    /// runtime stopped.
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
        // One goes away.
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
        // The owner may begin anew.
        let (landing, leader) = flight.lead();
        landing.land(1);
        assert_eq!(leader.outcome().await, Some(1));
    }
}
