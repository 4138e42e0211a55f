//! Keys that are fetched again before they are old.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinSet;

use super::error::{Cause, KeysError};
use super::published::Freshness;
use super::{Inner, PublishedKeys};

/// Stops [`PublishedKeys::watch`]. Dropping it changes nothing: the watch belongs to the keys.
#[derive(Clone, Debug)]
pub struct Watch(Weak<Inner>);

/// The tasks of a watch. They end with the keys that they belong to.
#[derive(Default)]
pub(super) struct Watching(Mutex<JoinSet<()>>);

impl PublishedKeys {
    /// Keeps the keys fresh from now on: fetches each document again when it is due, which is at
    /// the end of its freshness, or as often as a bundle's `spiffe_refresh_hint` wants, within 30 s
    /// and an hour; 30 s after a failure. What became due while the machine was suspended is
    /// fetched within 30 s.
    ///
    /// One task for each place, on the tokio runtime that this is called in. The tasks belong to
    /// the keys and end when the last clone of these is dropped; a [`Guard`](crate::Guard) that
    /// uses the keys holds one. Keys that are watched already stay so: calling this again starts
    /// nothing.
    pub fn watch(&self) -> Watch {
        let mut tasks = self.0.watch.tasks();
        while tasks.try_join_next().is_some() {}
        if tasks.is_empty() {
            for number in 0..self.0.places.len() {
                tasks.spawn(follow(Arc::downgrade(&self.0), number));
            }
        }
        Watch(Arc::downgrade(&self.0))
    }
}

impl Watch {
    /// Ends the watch. The keys stay in the stores until they are too old.
    pub fn stop(self) {
        if let Some(keys) = self.0.upgrade() {
            keys.watch.tasks().abort_all();
        }
    }
}

impl Watching {
    fn tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetches the document of one place whenever it is due.
async fn follow(keys: Weak<Inner>, number: usize) {
    loop {
        let due = keys.upgrade().and_then(|keys| {
            let place = keys.places.get(number)?;
            Some(place.memory().due_in())
        });
        let Some(due) = due else { return };
        wait(&keys, due).await;
        let Some(keys) = keys.upgrade() else { return };
        let Some(place) = keys.places.get(number) else {
            return;
        };
        // A task of its own, because that may panic, and within a set, because that must end with
        // this one.
        let mut round = JoinSet::new();
        let inner = Arc::clone(&keys);
        round.spawn(async move {
            match inner.places.get(number) {
                Some(place) => inner.have(place, Freshness::Refreshed).await,
                None => Ok(()),
            }
        });
        let had = match round.join_next().await {
            Some(Ok(had)) => had,
            _ => Err(KeysError::new(place.keys(), Cause::Interrupted.into())),
        };
        if let Err(error) = had {
            tracing::warn!(
                keys = %error.keys(), code = error.code(), asked = %error.asked(),
                "keys were not refreshed"
            );
        }
    }
}

/// Waits so long by the clock of the runtime or by the clock of the keys, whichever is over first:
/// the former may stand still while the machine is suspended.
async fn wait(keys: &Weak<Inner>, due: Duration) {
    let begin = now(keys);
    let mut left = due;
    while !left.is_zero() {
        let step = left.min(STEP);
        tokio::time::sleep(step).await;
        left = left.saturating_sub(step);
        let passed = now(keys).zip(begin);
        let passed = passed.map_or(0, |(now, begin)| now.saturating_sub(begin));
        if passed > due.as_secs() {
            return;
        }
    }
}

/// The time of the keys' clock, in seconds.
fn now(keys: &Weak<Inner>) -> Option<u64> {
    Some(keys.upgrade()?.wall()?.as_secs())
}

/// How long the clock of the runtime is trusted at most.
const STEP: Duration = Duration::from_secs(30);
