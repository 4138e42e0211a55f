//! One owner of keys, where its keys are published, and what was fetched from there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aims_fetch::{Document, DocumentKey};
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::{Issuer, differ_in_root_slash};
use aims_wimse_id::Origin;
use tokio::time::Instant;

use super::discovery::Discovered;
use super::error::Cause;
use crate::resolve::Keys;

/// An owner of keys and the location of its keys.
pub(super) enum Place {
    /// The bundle of an origin, at one URL.
    Origin(Origin, DocumentKey, Memory),
    /// The JWK set of an issuer, at a configured URL or one from its metadata.
    Issuer(Issuer, Option<DocumentKey>, Memory),
}

/// The data that was fetched from a place.
#[derive(Default)]
pub(super) struct Memory(Mutex<Held>);

#[derive(Default)]
struct Held {
    discovered: Option<Discovered>,
    document: Option<Arc<Document>>,
    /// The wall-clock time, in seconds, at which the document was fetched or confirmed. The clock
    /// of the runtime may stop while the machine is suspended.
    confirmed: u64,
    /// The cache key of the document.
    key: Option<DocumentKey>,
    /// The refresh interval that the owner suggests.
    hint: Option<Duration>,
    /// The version of the keys. It grows with every change.
    version: u64,
    changed: Option<Instant>,
    refused: Option<(DocumentKey, Arc<Cause>)>,
}

impl Place {
    pub(super) fn origin(origin: Origin, key: DocumentKey) -> Self {
        Self::Origin(origin, key, Memory::default())
    }

    pub(super) fn issuer(issuer: Issuer, key: Option<DocumentKey>) -> Self {
        Self::Issuer(issuer, key, Memory::default())
    }

    pub(super) fn keys(&self) -> Keys {
        match self {
            Self::Issuer(issuer, ..) => Keys::Issuer(issuer.as_str().to_owned()),
            Self::Origin(origin, ..) => Keys::Origin(origin.clone()),
        }
    }

    /// Returns the issuer as it was configured.
    pub(super) const fn issuer_name(&self) -> Option<&Issuer> {
        match self {
            Self::Issuer(issuer, ..) => Some(issuer),
            Self::Origin(..) => None,
        }
    }

    /// Returns the issuer as it was configured, and its other spelling if discovery accepts both
    /// (RFC 3986 §6.2.3).
    pub(super) fn spellings(&self) -> Vec<Issuer> {
        let Self::Issuer(issuer, at, _) = self else {
            return Vec::new();
        };
        let other = issuer.root_slash_variant().filter(|_| at.is_none());
        [Some(issuer.clone()), other]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Returns whether these are the keys of this place. Before metadata tells how the server
    /// spells its issuer, both spellings of an empty path match.
    pub(super) fn has(&self, keys: &Keys) -> bool {
        match (self, keys) {
            (Self::Issuer(issuer, None, memory), Keys::Issuer(asked)) => {
                match memory.discovered() {
                    Some(found) => found.issuer.as_str() == asked || issuer.as_str() == asked,
                    None => {
                        issuer.as_str() == asked || differ_in_root_slash(issuer.as_str(), asked)
                    }
                }
            }
            _ => self.keys() == *keys,
        }
    }

    /// Returns whether a document belongs to this place.
    pub(super) fn owns(&self, key: &DocumentKey) -> bool {
        match self {
            Self::Issuer(issuer, ..) => key.purpose() != BUNDLE && key.owner() == issuer.as_str(),
            Self::Origin(origin, ..) => key.purpose() == BUNDLE && key.owner() == origin.as_ref(),
        }
    }

    /// Returns the data that was fetched from the place.
    pub(super) const fn memory(&self) -> &Memory {
        match self {
            Self::Issuer(_, _, memory) | Self::Origin(_, _, memory) => memory,
        }
    }
}

impl Memory {
    /// Returns where the keys are according to the last metadata.
    pub(super) fn discovered(&self) -> Option<Discovered> {
        self.held().discovered.clone()
    }

    pub(super) fn set_discovered(&self, discovered: Discovered) {
        self.held().discovered = Some(discovered);
    }

    /// Sets whether the keys were missing at the location from the metadata.
    pub(super) fn set_lost(&self, lost: bool) {
        if let Some(discovered) = &mut self.held().discovered {
            discovered.lost = lost;
        }
    }

    /// Sets the cache key of the document that has the keys.
    pub(super) fn set_key(&self, key: &DocumentKey) {
        let mut held = self.held();
        if held.key.as_ref() != Some(key) {
            held.key = Some(key.clone());
        }
    }

    /// Returns the document under this key if it has expired by the wall clock but not by the clock
    /// of the runtime. The machine was suspended, or its clock was set forward.
    pub(super) fn outdated_by_clock(
        &self,
        key: &DocumentKey,
        now: UnixTime,
    ) -> Option<Arc<Document>> {
        let held = self.held();
        let document = held.document.as_ref()?;
        let by_wall = Duration::from_secs(now.as_secs().saturating_sub(held.confirmed));
        let lifetime = document
            .fresh_until()
            .saturating_duration_since(document.fetched());
        let is_old = by_wall > lifetime && by_wall > age(document) + SLACK;
        (is_old && held.key.as_ref() == Some(key)).then(|| Arc::clone(document))
    }

    /// Sets why a document is not cached.
    pub(super) fn set_refused(&self, key: &DocumentKey, cause: Cause) {
        self.held().refused = Some((key.clone(), Arc::new(cause)));
    }

    /// Returns why this document was not cached, if no other one was rejected after it.
    pub(super) fn refused(&self, key: &DocumentKey) -> Option<Arc<Cause>> {
        let held = self.held();
        let (refused, cause) = held.refused.as_ref()?;
        (refused == key).then(|| Arc::clone(cause))
    }

    /// Passes a document to `store`, which returns the refresh interval that the owner suggests.
    ///
    /// Skips a document that is older than the last one, and the last one itself while the store
    /// has keys.
    pub(super) fn take(
        &self,
        document: Arc<Document>,
        is_stored: bool,
        max_age: Duration,
        now: UnixTime,
        store: impl FnOnce(&Document) -> Result<Option<Duration>, Cause>,
    ) -> Result<(), Cause> {
        let mut held = self.held();
        let last = held.document.as_ref();
        let is_later = |last: &Arc<Document>| {
            let is_same = Arc::ptr_eq(last, &document);
            is_stored && is_same || last.fetched() > document.fetched()
        };
        if last.is_some_and(is_later) {
            return Ok(());
        }
        // Re-confirming stale keys counts as a change, by either clock.
        let by_wall = Duration::from_secs(now.as_secs().saturating_sub(held.confirmed));
        let was_good = |it: &Document| age(it) < max_age && by_wall < max_age;
        let is_known = last.is_some_and(|it| it.bytes() == document.bytes() && was_good(it));
        let is_known = is_known && is_stored;
        held.hint = store(&document)?;
        held.confirmed = now.as_secs().saturating_sub(age(&document).as_secs());
        held.document = Some(document);
        if !is_known {
            held.version = held.version.saturating_add(1);
            held.changed = Some(Instant::now());
        }
        Ok(())
    }

    /// Returns the version of the keys. It grows with every change.
    pub(super) fn version(&self) -> u64 {
        self.held().version
    }

    /// Returns whether the keys changed after this version, or less than a second ago. A request
    /// that found its key unknown just before the change must be verified again.
    pub(super) fn is_newer_than(&self, version: u64) -> bool {
        let held = self.held();
        let just_now = |at: Instant| at.elapsed() < JUST_NOW;
        held.version != version || held.changed.is_some_and(just_now)
    }

    /// Returns the time until the next fetch. Without a document it is the shortest interval.
    pub(super) fn due_in(&self) -> Duration {
        let held = self.held();
        let Some(document) = &held.document else {
            return SOONEST;
        };
        let due = match held.hint {
            Some(hint) => document.fetched() + hint.clamp(SOONEST, LATEST),
            None => document.fresh_until(),
        };
        let left = Instant::from_std(due).saturating_duration_since(Instant::now());
        left.clamp(SOONEST, LATEST)
    }

    /// Locks the data. A panic of another thread leaves it consistent, because `store` either fails
    /// or replaces everything.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how long ago a document was confirmed.
pub(super) fn age(document: &Document) -> Duration {
    Instant::from_std(document.fetched()).elapsed()
}

/// The purposes of documents, as names in the cache.
pub(super) const BUNDLE: &str = "bundle";
pub(super) const JWKS: &str = "jwks";
pub(super) const METADATA: &str = "metadata";

/// The minimum and the maximum time between two fetches.
const SOONEST: Duration = Duration::from_secs(30);
const LATEST: Duration = Duration::from_secs(3_600);

/// The difference between the two clocks from which a suspension is assumed.
const SLACK: Duration = Duration::from_secs(60);

/// A duration longer than the verification of a request.
const JUST_NOW: Duration = Duration::from_secs(1);
