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

/// The trusted origins at one moment. It never changes; [`TrustStore::snapshot`] returns the
/// current one.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    epoch: u64,
    bundles: HashMap<Origin, Arc<Bundle>>,
    removed: HashSet<Origin>,
    /// The origins that may get a bundle, once too many were removed to remember each.
    named: Option<HashSet<Origin>>,
}

impl Trust {
    /// Returns the number of this snapshot, which grows with every change of the store.
    ///
    /// Records and health pages use it to say which keys a decision was based on, and whether a
    /// change has arrived. Do not compare epochs of two stores: they may be equal while the stores
    /// trust different keys.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the bundle of an origin, given by its text, such as `spiffe://example.org`.
    #[must_use]
    pub fn bundle(&self, origin: &str) -> Option<&Bundle> {
        self.bundles.get(origin).map(AsRef::as_ref)
    }

    /// Returns all bundles, in no particular order.
    pub fn bundles(&self) -> impl Iterator<Item = &Bundle> {
        self.bundles.values().map(AsRef::as_ref)
    }

    /// Returns whether the program removed the origin and has not [named](TrustStore::name) it
    /// again.
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

    /// Returns some of the origins, formatted for a message.
    fn some_origins(&self) -> Box<str> {
        let some = self.bundles.keys().take(MAX_NAMED).map(AsRef::as_ref);
        shown(some.collect::<BTreeSet<&str>>())
    }

    /// Returns the bundle for an identifier, unless it is stale.
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

/// Selects the one key of a bundle for the `kid` and `alg` of a token.
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

/// Returns the `kid` of some of these keys, formatted for a message.
fn key_ids(keys: &JwkSet) -> Box<str> {
    if keys.is_empty() {
        return Box::default();
    }
    shown(keys.iter().filter_map(VerifyingKey::key_id).take(MAX_NAMED))
}

/// Maximum number of origins or keys that an error names.
const MAX_NAMED: usize = 8;

/// A set of origins and their bundles that can be replaced while other threads read.
///
/// A reader takes a snapshot and holds no lock. A change makes a new snapshot with the next epoch.
/// Bundles of different origins are kept apart: a key signs credentials of its own origin only
/// (draft-ietf-wimse-workload-creds §3).
///
/// A removal is final. A bundle that arrives later, from a fetch in progress or from a task that
/// refreshes it, is refused with `trust.removed`. The program trusts the origin again by
/// [`name`](Self::name) or [`replace`](Self::replace).
///
/// ```
/// use aims_jose::provider::AWS_LC;
/// use aims_wimse_cred::{Bundle, TrustStore};
///
/// let origin = "wimse://example.org".parse()?;
/// let bundle = || Bundle::parse(&origin, br#"{"keys":[]}"#, AWS_LC);
/// let store = TrustStore::of([bundle()?]);
/// store.remove(&origin);
/// assert_eq!(store.set(bundle()?).unwrap_err().code(), "trust.removed");
///
/// store.name(&origin);
/// store.set(bundle()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct TrustStore {
    now: ArcSwap<Trust>,
    writing: Mutex<()>,
}

impl TrustStore {
    /// Creates a store that trusts no origin.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a store that trusts exactly these bundles. If an origin has two, the last one wins.
    #[must_use]
    pub fn of(bundles: impl IntoIterator<Item = Bundle>) -> Self {
        let store = Self::new();
        store.replace(bundles);
        store
    }

    /// Sets the bundle of its origin, whether the origin was known before or not.
    ///
    /// # Errors
    ///
    /// `bundle.sequence` if the current bundle of the origin has a higher `spiffe_sequence`, or has
    /// one and the new bundle has none; the current bundle stays. `trust.removed` if the origin was
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

    /// Trusts exactly these bundles from now on, whatever their sequence numbers.
    ///
    /// It is for a decision of an operator, such as a configuration that is read again. Other
    /// origins that had a bundle are [removed](Self::remove).
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

    /// Allows the origin to have a bundle again after it was [removed](Self::remove).
    ///
    /// The origin is trusted once its bundle is set.
    pub fn name(&self, origin: &Origin) {
        let _held = self.write();
        let mut next = Trust::clone(&self.now.load());
        next.name(origin);
        self.now.store(Arc::new(next));
    }

    /// Removes an origin from the trusted origins. Returns whether it was trusted.
    ///
    /// The removal is final, also for an origin whose bundle is still being fetched: bundles are
    /// refused until the program [names](Self::name) the origin. The store remembers 1,000 removed
    /// origins. Beyond these, it refuses the bundle of every origin that has none and was not
    /// named.
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

    /// Returns the current snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Trust> {
        self.now.load_full()
    }

    /// Returns the [epoch](Trust::epoch) of the current snapshot.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.now.load().epoch
    }

    /// Borrows the current snapshot for a short time. It is cheaper than
    /// [`snapshot`](Self::snapshot).
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

/// Number of removed origins that a store remembers.
const MAX_REMOVED: usize = 1_000;
