//! Fetches keys again before they are too old.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinSet;

use super::error::{Cause, KeysError};
use super::published::Freshness;
use super::{Inner, PublishedKeys};

/// Stops [`PublishedKeys::watch`]. Dropping this value does not stop it: the watch belongs to the
/// keys.
#[derive(Clone, Debug)]
pub struct Watch(Weak<Inner>);

/// The tasks of a watch. They end when the keys are dropped.
#[derive(Default)]
pub(super) struct Watching(Mutex<JoinSet<()>>);

impl PublishedKeys {
    /// Keeps the keys fresh from now on.
    ///
    /// Each document is fetched again at the end of its freshness or at the interval of a bundle's
    /// `spiffe_refresh_hint`, but after at least 30 s and at most one hour. After a failure it is
    /// fetched again after 30 s. Documents that became due while the machine was suspended are
    /// fetched within 30 s.
    ///
    /// It starts one task for each document on the current tokio runtime. The tasks end when the
    /// last clone of the keys is dropped; a [`Guard`](crate::Guard) that uses the keys holds a
    /// clone. A second call starts no further tasks.
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
    /// Stops the watch. The keys stay in the stores until they are too old.
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
        // Run the fetch in its own task, because it may panic. Keep the task in a set, so that it
        // ends with this one.
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

/// Waits until the clock of the runtime or the clock of the keys has reached the due time,
/// whichever is first. The clock of the runtime may stop while the machine is suspended.
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

/// Returns the time of the keys' clock, in seconds.
fn now(keys: &Weak<Inner>) -> Option<u64> {
    Some(keys.upgrade()?.wall()?.as_secs())
}

/// The longest wait by the clock of the runtime alone.
const STEP: Duration = Duration::from_secs(30);
