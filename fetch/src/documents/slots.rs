//! The state of the cache: which caller may fetch, and when. It has no clock and no tasks; each
//! decision is a function of the slot and the time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Document, DocumentKey, Settings};
use crate::{Error, Landing, SingleFlight, Waiting};

/// The result of a fetch.
pub(super) type Outcome = Result<Arc<Document>, Error>;

/// The next step for a document.
pub(super) enum Step {
    /// Return this document.
    Give(Arc<Document>),
    /// Wait for the running fetch.
    Join(Waiting<Outcome>),
    /// Fetch the document. The slot is claimed, and holds the earlier document.
    Lead(Landing<Outcome>, Waiting<Outcome>, Option<Arc<Document>>),
    /// Return this error.
    Refuse(Error),
}

/// The state of one document.
#[derive(Debug, Default)]
pub(super) struct Slot {
    document: Option<Arc<Document>>,
    failure: Option<Failure>,
    flight: SingleFlight<Outcome>,
    attempted: Option<Instant>,
    used: u64,
}

#[derive(Debug)]
struct Failure {
    cause: Arc<Error>,
    until: Instant,
    count: u32,
}

/// All slots: a limited number of cached ones, and a limited number of running fetches.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: HashMap<DocumentKey, Slot>,
    uses: u64,
}

impl Slot {
    fn usable(&self, now: Instant) -> Option<&Arc<Document>> {
        self.document.as_ref().filter(|it| now < it.usable_until)
    }

    /// Returns the cached document if it may be returned after this error, and the error otherwise.
    pub(super) fn or_stale(&self, error: Error, now: Instant) -> Result<Arc<Document>, Error> {
        self.usable(now).cloned().ok_or(error)
    }

    /// Marks the document as old, if the slot still has it.
    pub(super) fn expire(&mut self, document: &Document, now: Instant) {
        let Some(own) = self.document.as_mut() else {
            return;
        };
        if own.fetched == document.fetched {
            *own = Arc::new(own.expired(now));
            if self.failure.is_none() {
                self.attempted = None;
            }
        }
    }

    fn backing_off(&self, now: Instant) -> Option<Error> {
        let failure = self.failure.as_ref().filter(|it| now < it.until)?;
        Some(Error::BackingOff {
            retry_in: failure.until.saturating_duration_since(now),
            cause: failure.cause.clone(),
        })
    }

    /// Returns what to do without a new fetch for a caller that accepts a fresh document, if
    /// anything.
    fn at_hand(&self, now: Instant) -> Option<Step> {
        let fresh = self.document.as_ref().filter(|it| now < it.fresh_until);
        match fresh {
            Some(document) => Some(Step::Give(document.clone())),
            None => self.under_way(now),
        }
    }

    /// Returns what to do without a new fetch for a caller that needs a newer document, if
    /// anything.
    fn at_hand_anew(&self, interval: Duration, now: Instant) -> Option<Step> {
        let early = |it: Instant| now < it + interval;
        if !self.flight.is_under_way() && self.attempted.is_some_and(early) {
            let error = self.backing_off(now).unwrap_or(Error::TooSoon);
            return Some(self.stale_step(error, now));
        }
        self.under_way(now)
    }

    fn under_way(&self, now: Instant) -> Option<Step> {
        if let Some(flight) = self.flight.join() {
            return Some(Step::Join(flight));
        }
        let error = self.backing_off(now)?;
        Some(self.stale_step(error, now))
    }

    fn stale_step(&self, error: Error, now: Instant) -> Step {
        self.or_stale(error, now)
            .map_or_else(Step::Refuse, Step::Give)
    }

    fn lead(&mut self, now: Instant) -> Step {
        let (landing, waiting) = self.flight.lead();
        // Claim the slot before sending, so that a fetch that hangs or fails counts as well.
        self.attempted = Some(now);
        Step::Lead(landing, waiting, self.document.clone())
    }

    /// Stores the result of a fetch.
    fn land(
        &mut self,
        result: &Result<Arc<Document>, Error>,
        settings: &Settings,
        random: u64,
        now: Instant,
    ) {
        self.flight.end();
        match result {
            Ok(document) => {
                self.failure = None;
                self.document = Some(document.clone());
            }
            Err(error) => {
                let count = self.failure.as_ref().map_or(0, |it| it.count);
                self.failure = Some(Failure {
                    cause: Arc::new(error.clone()),
                    until: now + settings.pause(count, random),
                    count: count.saturating_add(1),
                });
            }
        }
    }

    /// Returns whether the slot counts as cached. A document that is fetched for the first time
    /// does not; it has its own limit.
    const fn is_kept(&self) -> bool {
        self.document.is_some() || !self.flight.is_under_way()
    }

    /// Returns the order of removal: slots without a document first, then the least recently used
    /// ones.
    fn rank(&self, now: Instant) -> (bool, u64) {
        (self.usable(now).is_some(), self.used)
    }
}

impl Slots {
    /// Returns what to do for a caller that accepts a fresh document.
    pub(super) fn get(&mut self, key: &DocumentKey, settings: &Settings, now: Instant) -> Step {
        let step = self.want(key).and_then(|slot| slot.at_hand(now));
        step.unwrap_or_else(|| self.lead(key, settings, now))
    }

    /// Returns what to do for a caller that needs a newer document.
    pub(super) fn refresh(&mut self, key: &DocumentKey, settings: &Settings, now: Instant) -> Step {
        let interval = settings.refresh_interval;
        let slot = self.want(key);
        let step = slot.and_then(|slot| slot.at_hand_anew(interval, now));
        step.unwrap_or_else(|| self.lead(key, settings, now))
    }

    fn want(&mut self, key: &DocumentKey) -> Option<&Slot> {
        self.uses = self.uses.saturating_add(1);
        let slot = self.slots.get_mut(key)?;
        slot.used = self.uses;
        Some(slot)
    }

    /// Claims the fetch of a document. Other documents are removed only after it has arrived.
    fn lead(&mut self, key: &DocumentKey, settings: &Settings, now: Instant) -> Step {
        if self.is_busy(key, settings) {
            return Step::Refuse(Error::Busy);
        }
        let slot = self.slots.entry(key.clone()).or_default();
        slot.used = self.uses;
        slot.lead(now)
    }

    /// Returns whether the maximum number of fetches is running. Cached documents are counted
    /// separately from those that are not cached yet, because untrusted parties may choose the
    /// latter.
    fn is_busy(&self, key: &DocumentKey, settings: &Settings) -> bool {
        let is_known = |slot: &Slot| slot.document.is_some();
        let known = self.slots.get(key).is_some_and(is_known);
        let (mut all, mut of_host) = (0_usize, 0_usize);
        for (other, slot) in &self.slots {
            if slot.flight.is_under_way() && is_known(slot) == known {
                all = all.saturating_add(1);
                of_host = of_host.saturating_add(usize::from(other.host() == key.host()));
            }
        }
        all >= settings.flights || of_host >= settings.flights_per_host
    }

    /// Stores the result of a fetch.
    pub(super) fn land(
        &mut self,
        key: &DocumentKey,
        result: &Result<Arc<Document>, Error>,
        settings: &Settings,
        random: u64,
        now: Instant,
    ) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.land(result, settings, random, now);
        }
        let kept = self.slots.values().filter(|it| it.is_kept()).count();
        if kept > settings.capacity {
            self.make_room(key, now);
        }
    }

    /// Makes room for a new result. A failure never removes a usable document, and a running fetch
    /// is never removed. If there is no room, the new result is removed.
    fn make_room(&mut self, landed: &DocumentKey, now: Instant) {
        let usable = |slot: &Slot| slot.usable(now).is_some();
        let arrived = self.slots.get(landed).is_some_and(usable);
        let least = self
            .slots
            .iter()
            .filter(|(key, it)| {
                !it.flight.is_under_way() && *key != landed && (arrived || !usable(it))
            })
            .min_by_key(|(_, it)| it.rank(now))
            .map(|(key, _)| key.clone());
        self.slots.remove(least.as_ref().unwrap_or(landed));
    }

    /// Ends a fetch without a result and without a pause.
    pub(super) fn abandon(&mut self, key: &DocumentKey) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.flight.end();
            if slot.document.is_none() {
                self.slots.remove(key);
            }
        }
    }

    /// Returns the slot of a key, if there is one.
    pub(super) fn find(&mut self, key: &DocumentKey) -> Option<&mut Slot> {
        self.slots.get_mut(key)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}
