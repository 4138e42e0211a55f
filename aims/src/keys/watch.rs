//! Keys that are fetched again before they are old.

use std::sync::{Arc, Weak};

use tokio::task::JoinSet;

use super::error::{Cause, KeysError};
use super::published::Age;
use super::{Inner, PublishedKeys};

/// Keeps the keys fresh until it is dropped.
#[derive(Debug)]
#[must_use = "the keys are kept fresh until this is dropped"]
pub struct Watch {
    _tasks: JoinSet<()>,
}

impl PublishedKeys {
    /// Fetches each document again when it is due: at the end of its freshness, or as often as a
    /// bundle's `spiffe_refresh_hint` wants, within 30 s and an hour; 30 s after a failure. One
    /// task for each place, on the tokio runtime that this is called in. What panics in one is a
    /// failure.
    pub fn watch(&self) -> Watch {
        let mut tasks = JoinSet::new();
        for number in 0..self.0.places.len() {
            tasks.spawn(follow(Arc::downgrade(&self.0), number));
        }
        Watch { _tasks: tasks }
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
        tokio::time::sleep(due).await;
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
                Some(place) => inner.have(place, Age::Anew).await,
                None => Ok(()),
            }
        });
        let had = match round.join_next().await {
            Some(Ok(had)) => had,
            _ => Err(KeysError::new(place.keys(), Arc::new(Cause::Interrupted))),
        };
        if let Err(error) = had {
            tracing::warn!(keys = %error.keys(), code = error.code(), "keys were not refreshed");
        }
    }
}
