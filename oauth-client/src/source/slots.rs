//! The slots of a source, found by the kind of grant and the target.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::slot::Slot;
use crate::{Error, Grant, Target};

/// The tokens of a source and its clones.
#[derive(Default)]
pub(super) struct Slots(Mutex<HashSet<Entry>>);

/// A slot, which is compared by what it is found by. The set has one pointer for each.
struct Entry(Arc<Slot>);

/// The key by which a slot is found.
trait Named {
    fn cached_as(&self) -> &str;
    fn target(&self) -> &Target;
}

/// A grant whose slot is sought.
struct Sought<'a>(&'a dyn Grant);

impl Slots {
    /// Returns the slot of a grant, a new one if there is none.
    ///
    /// If there are as many slots as this, the one whose token expires first is removed, but never
    /// one that is being requested.
    ///
    /// # Errors
    ///
    /// `grant.busy` if all are being requested.
    pub(super) fn of(&self, grant: &dyn Grant, capacity: usize) -> Result<Arc<Slot>, Error> {
        let mut slots = self.lock();
        let sought: &dyn Named = &Sought(grant);
        if let Some(Entry(slot)) = slots.get(sought) {
            return Ok(Arc::clone(slot));
        }
        if slots.len() >= capacity {
            let idle = slots
                .iter()
                .filter_map(|Entry(slot)| Some((slot.idle_until()?, slot)))
                .min_by_key(|(until, _)| *until);
            let (_, first) = idle.ok_or(Error::Busy)?;
            let first = Entry(Arc::clone(first));
            slots.remove(&first);
        }
        let slot = Arc::new(Slot::new(grant.cached_as(), grant.target()));
        slots.insert(Entry(Arc::clone(&slot)));
        Ok(slot)
    }

    /// Calls a function for each slot.
    pub(super) fn each(&self, act: impl FnMut(&Slot)) {
        self.lock().iter().map(|Entry(slot)| &**slot).for_each(act);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.each(Slot::abort);
    }
}

impl Named for Entry {
    fn cached_as(&self) -> &str {
        &self.0.cached_as
    }

    fn target(&self) -> &Target {
        &self.0.target
    }
}

impl Named for Sought<'_> {
    fn cached_as(&self) -> &str {
        self.0.cached_as()
    }

    fn target(&self) -> &Target {
        self.0.target()
    }
}

impl<'a> Borrow<dyn Named + 'a> for Entry {
    fn borrow(&self) -> &(dyn Named + 'a) {
        self
    }
}

impl Hash for dyn Named + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.cached_as(), self.target()).hash(state);
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        (self.cached_as(), self.target()) == (other.cached_as(), other.target())
    }
}

impl Eq for dyn Named + '_ {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let named: &dyn Named = self;
        named.hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let (own, other): (&dyn Named, &dyn Named) = (self, other);
        own == other
    }
}

impl Eq for Entry {}
