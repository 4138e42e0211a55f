//! The memory of the cache: who may fetch when. No clock, no task: each decision is a function of the slot and the time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Document, DocumentKey, Settings};
use crate::Error;

/// What a flight comes to; `None` while it is under way.
pub(super) type Landing = Option<Result<Arc<Document>, Error>>;

/// What to do about a document.
pub(super) enum Step {
    /// It is here.
    Give(Arc<Document>),
    /// Someone fetches it: wait for that.
    Join(watch::Receiver<Landing>),
    /// The slot is claimed: fetch it, with the document before it.
    Lead(
        watch::Sender<Landing>,
        watch::Receiver<Landing>,
        Option<Arc<Document>>,
    ),
    /// Neither.
    Refuse(Error),
}

/// What is known of one document.
#[derive(Debug, Default)]
pub(super) struct Slot {
    document: Option<Arc<Document>>,
    failure: Option<Failure>,
    flight: Option<watch::Receiver<Landing>>,
    attempted: Option<Instant>,
    used: u64,
}

#[derive(Debug)]
struct Failure {
    cause: Arc<Error>,
    until: Instant,
    count: u32,
}

/// All slots, at most so many.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: HashMap<DocumentKey, Slot>,
    uses: u64,
}

impl Slot {
    fn usable(&self, now: Instant) -> Option<&Arc<Document>> {
        self.document.as_ref().filter(|it| now < it.usable_until)
    }

    /// The document as it may be given when it cannot be fetched for this reason.
    pub(super) fn or_stale(&self, error: Error, now: Instant) -> Result<Arc<Document>, Error> {
        self.usable(now).cloned().ok_or(error)
    }

    fn backing_off(&self, now: Instant) -> Option<Error> {
        let failure = self.failure.as_ref().filter(|it| now < it.until)?;
        Some(Error::BackingOff {
            retry_in: failure.until.saturating_duration_since(now),
            cause: failure.cause.clone(),
        })
    }

    /// For one who takes a fresh document as it is.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        if let Some(document) = self.document.as_ref().filter(|it| now < it.fresh_until) {
            return Step::Give(document.clone());
        }
        self.fly(now)
    }

    /// For one to whom the document at hand is not enough.
    pub(super) fn step_anew(&mut self, interval: Duration, now: Instant) -> Step {
        let early = |it: Instant| now < it + interval;
        if self.flight.is_none() && self.attempted.is_some_and(early) {
            let error = self.backing_off(now).unwrap_or(Error::TooSoon);
            return self
                .or_stale(error, now)
                .map_or_else(Step::Refuse, Step::Give);
        }
        self.fly(now)
    }

    fn fly(&mut self, now: Instant) -> Step {
        if let Some(flight) = &self.flight {
            return Step::Join(flight.clone());
        }
        if let Some(error) = self.backing_off(now) {
            return self
                .or_stale(error, now)
                .map_or_else(Step::Refuse, Step::Give);
        }
        let (sender, receiver) = watch::channel(None);
        self.flight = Some(receiver.clone());
        // Claimed before anything is sent: what hangs or fails counts as well.
        self.attempted = Some(now);
        Step::Lead(sender, receiver, self.document.clone())
    }

    /// Takes what a flight came to. `jitter` is 0 to 255.
    pub(super) fn land(
        &mut self,
        result: &Result<Arc<Document>, Error>,
        settings: &Settings,
        jitter: u8,
        now: Instant,
    ) {
        self.flight = None;
        match result {
            Ok(document) => {
                self.failure = None;
                self.document = Some(document.clone());
            }
            Err(error) => {
                let count = self.failure.as_ref().map_or(0, |it| it.count);
                self.failure = Some(Failure {
                    cause: Arc::new(error.clone()),
                    until: now + settings.pause(count, jitter),
                    count: count.saturating_add(1),
                });
            }
        }
    }

    /// A flight that came to nothing and is nobody's fault.
    pub(super) fn abandon(&mut self) {
        self.flight = None;
    }

    fn rank(&self) -> (bool, u64) {
        (self.document.is_some(), self.used)
    }
}

impl Slots {
    /// The slot of a key that is wanted, made where there is none. What has no document goes first to make room, then what was longest not asked for; never what is being fetched.
    pub(super) fn want(&mut self, key: &DocumentKey, capacity: usize) -> Result<&mut Slot, Error> {
        self.uses = self.uses.saturating_add(1);
        if !self.slots.contains_key(key) && self.slots.len() >= capacity {
            let idle = self.slots.iter().filter(|(_, it)| it.flight.is_none());
            let least = idle.min_by_key(|(_, it)| it.rank()).map(|(key, _)| key);
            let least = least.cloned().ok_or(Error::Busy)?;
            self.slots.remove(&least);
        }
        let slot = self.slots.entry(key.clone()).or_default();
        slot.used = self.uses;
        Ok(slot)
    }

    /// The slot of a key, where there is one.
    pub(super) fn find(&mut self, key: &DocumentKey) -> Option<&mut Slot> {
        self.slots.get_mut(key)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}
