//! The bundles of all trusted origins, read by snapshot.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aims_error::shown;
use aims_jose::alg::Algorithm;
use aims_jose::jwk::JwkSet;
use aims_jose::key::VerifyingKey;
use aims_jose::time::UnixTime;
use aims_wimse_id::{Origin, WorkloadId};
use arc_swap::{ArcSwap, Guard};

use super::Bundle;
use crate::Error;

/// The trusted origins at one moment. Never changes; [`TrustStore::snapshot`] gives the current
/// one.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    epoch: u64,
    bundles: HashMap<Origin, Arc<Bundle>>,
    removed: HashSet<Origin>,
    /// Where too many origins were removed to remember each: those that may get a bundle.
    named: Option<HashSet<Origin>>,
}

impl Trust {
    /// Which snapshot this is: it grows with every change of the store. For records and health
    /// pages, which say by it whose word a decision was taken on, and whether a change has arrived.
    /// Nothing is decided by it: two stores may have the same epoch and trust others.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The bundle of an origin, by its text, such as `spiffe://example.org`.
    #[must_use]
    pub fn bundle(&self, origin: &str) -> Option<&Bundle> {
        self.bundles.get(origin).map(AsRef::as_ref)
    }

    /// All bundles, in no order.
    pub fn bundles(&self) -> impl Iterator<Item = &Bundle> {
        self.bundles.values().map(AsRef::as_ref)
    }

    /// Whether the program removed the origin, and has not [named](TrustStore::name) it again.
    #[must_use]
    pub fn is_removed(&self, origin: &Origin) -> bool {
        let is_named = |named: &HashSet<Origin>| named.contains(origin);
        let is_open = self.named.as_ref().is_none_or(is_named);
        !self.bundles.contains_key(origin) && (!is_open || self.removed.contains(origin))
    }

    fn name(&mut self, origin: &Origin) {
        self.removed.remove(origin);
        if let Some(named) = &mut self.named {
            named.insert(origin.clone());
        }
    }

    fn remove(&mut self, origin: &Origin) -> bool {
        if self.removed.len() < MAX_REMOVED {
            self.removed.insert(origin.clone());
        } else if !self.removed.contains(origin) {
            self.named.get_or_insert_default().remove(origin);
        }
        self.bundles.remove(origin).is_some()
    }

    /// Some of the origins, for a message.
    fn some_origins(&self) -> Box<str> {
        let some = self.bundles.keys().take(MAX_NAMED).map(AsRef::as_ref);
        shown(some.collect::<BTreeSet<&str>>())
    }

    /// The bundle for an identifier, where it is not stale.
    pub(crate) fn bundle_for(&self, id: &WorkloadId, now: UnixTime) -> Result<&Bundle, Error> {
        let bundle = self
            .bundle(id.origin_str())
            .ok_or_else(|| Error::UnknownOrigin {
                origin: id.origin(),
                known: self.some_origins(),
            })?;
        bundle.check_fresh(now)?;
        Ok(bundle)
    }
}

/// The one key of a bundle for a token's `kid` and `alg`.
pub(crate) fn select<'a>(
    keys: &'a JwkSet,
    origin: &Origin,
    (key_id, algorithm): (Option<&str>, Algorithm),
    refused: fn(aims_jose::Error) -> Error,
) -> Result<&'a VerifyingKey, Error> {
    keys.select(key_id, algorithm).map_err(|error| match error {
        aims_jose::Error::UnknownKey => Error::UnknownKey {
            origin: origin.clone(),
            key_id: key_id.map(str::to_owned),
            usable: keys.keys().len(),
            known: key_ids(keys),
            skipped: keys.skipped_keys(),
        },
        aims_jose::Error::AmbiguousKey => Error::AmbiguousKey {
            origin: origin.clone(),
        },
        other => refused(other),
    })
}

/// The `kid` of some of these keys, for a message.
fn key_ids(keys: &JwkSet) -> Box<str> {
    if keys.is_empty() {
        return Box::default();
    }
    shown(keys.iter().filter_map(VerifyingKey::key_id).take(MAX_NAMED))
}

/// How many origins or keys an error names.
const MAX_NAMED: usize = 8;

/// Origins and their bundles, replaced while others read.
///
/// Readers take a snapshot and hold no lock; a change makes the next snapshot, with the next epoch.
/// Bundles of different origins are never pooled: a key vouches for the identifiers of its own
/// origin alone (draft-ietf-wimse-workload-creds §3).
///
/// A removal is final: a bundle that comes later, from a fetch that was under way or from a task
/// that refreshes it, is refused with `trust.removed`. The program trusts the origin again by
/// [`name`](Self::name) or [`replace`](Self::replace).
#[derive(Debug, Default)]
pub struct TrustStore {
    now: ArcSwap<Trust>,
    writing: Mutex<()>,
}

impl TrustStore {
    /// Trusts nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts exactly these bundles; of two for one origin, the last.
    #[must_use]
    pub fn of(bundles: impl IntoIterator<Item = Bundle>) -> Self {
        let store = Self::new();
        store.replace(bundles);
        store
    }

    /// Sets the bundle of its origin, known before or not.
    ///
    /// # Errors
    ///
    /// `bundle.sequence` where the origin's bundle has a higher `spiffe_sequence`, or has one and
    /// this one has none; the old one stays. `trust.removed` where the origin was
    /// [removed](Self::remove).
    pub fn set(&self, bundle: Bundle) -> Result<(), Error> {
        let _held = self.write();
        let mut next = Trust::clone(&self.now.load());
        if next.is_removed(bundle.origin()) {
            let origin = bundle.origin().clone();
            return Err(Error::Removed { origin });
        }
        let held = next.bundles.get(bundle.origin());
        if let Some(held) = held.and_then(|held| held.sequence()) {
            let offered = bundle.sequence().unwrap_or(0);
            if offered < held {
                return Err(Error::BundleSequence { held, offered });
            }
        }
        next.bundles
            .insert(bundle.origin().clone(), Arc::new(bundle));
        self.publish(next);
        Ok(())
    }

    /// Trusts exactly these bundles from now on, whatever their sequence numbers: the decision of
    /// an operator, such as a configuration read again. Other origins that had a bundle are
    /// [removed](Self::remove).
    pub fn replace(&self, bundles: impl IntoIterator<Item = Bundle>) {
        let _held = self.write();
        let mut next = Trust::clone(&self.now.load());
        for origin in std::mem::take(&mut next.bundles).into_keys() {
            next.remove(&origin);
        }
        for bundle in bundles {
            next.name(bundle.origin());
            next.bundles
                .insert(bundle.origin().clone(), Arc::new(bundle));
        }
        self.publish(next);
    }

    /// Permits the origin to have a bundle again after it was [removed](Self::remove). It is
    /// trusted once its bundle is set.
    pub fn name(&self, origin: &Origin) {
        let _held = self.write();
        let mut next = Trust::clone(&self.now.load());
        next.name(origin);
        self.now.store(Arc::new(next));
    }

    /// Trusts an origin no longer. Says whether it was trusted.
    ///
    /// This is final, also for an origin whose bundle is still being fetched: it is refused until
    /// the program [names](Self::name) the origin. The store remembers 1,000 removed origins.
    /// Beyond these, it refuses the bundle of every origin that has none and was not named.
    pub fn remove(&self, origin: &Origin) -> bool {
        let _held = self.write();
        let mut next = Trust::clone(&self.now.load());
        let known = next.remove(origin);
        if known {
            self.publish(next);
        } else {
            self.now.store(Arc::new(next));
        }
        known
    }

    /// The trust as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Trust> {
        self.now.load_full()
    }

    /// The [epoch](Trust::epoch) of the current snapshot.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.now.load().epoch
    }

    /// The current snapshot for a moment, cheaper than [`snapshot`](Self::snapshot).
    pub(crate) fn peek(&self) -> Guard<Arc<Trust>> {
        self.now.load()
    }

    fn write(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, mut next: Trust) {
        next.epoch = next.epoch.saturating_add(1);
        self.now.store(Arc::new(next));
    }
}

/// How many removed origins a store remembers.
const MAX_REMOVED: usize = 1_000;
