//! [`MemoryState`]: the state in the memory of one process.

use core::fmt;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aims_jose::time::UnixTime;

use super::{Change, Entry, Kind, State, Stored};
use crate::Error;

/// Default maximum number of entries of one kind.
const CAPACITY: usize = 65_536;
/// Maximum number of ended entries that one change removes.
const STEP: usize = 64;

/// The state of an authorization server in the memory of one process. It is lost with the process.
///
/// It holds at most 65,536 entries of each kind. Clones share their entries.
#[derive(Clone)]
pub struct MemoryState {
    capacity: usize,
    tables: Arc<Mutex<HashMap<Kind, Table>>>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<String, Stored>,
    /// The entries in the order of their end.
    ends: BTreeSet<(u64, String)>,
    /// The last version that was given.
    versions: u64,
}

impl MemoryState {
    /// Creates an empty state.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// Creates an empty state with another maximum number of entries of each kind.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            capacity,
            tables: Arc::default(),
        }
    }
}

impl Default for MemoryState {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryState").finish_non_exhaustive()
    }
}

impl State for MemoryState {
    fn may_block(&self) -> bool {
        false
    }

    fn load(&self, kind: Kind, key: &str, now: UnixTime) -> Result<Option<Stored>, Error> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = tables.get(&kind).and_then(|table| table.entries.get(key));
        Ok(stored.filter(|it| it.entry.until >= now).cloned())
    }

    fn swap(
        &self,
        kind: Kind,
        key: &str,
        change: Change<'_>,
        now: UnixTime,
    ) -> Result<bool, Error> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables.entry(kind).or_default();
        table.forget_ended(now);
        let found = table.entries.get(key);
        let found = found
            .filter(|it| it.entry.until >= now)
            .map(|it| it.version);
        match change {
            Change::Insert(_) if found.is_some() => return Ok(false),
            Change::Insert(entry) => {
                table.remove(key);
                if table.entries.len() >= self.capacity {
                    return Err(Error::StateFull { kind });
                }
                table.put(key, entry);
            }
            Change::Replace(version, _) | Change::Remove(version) if found != Some(version) => {
                return Ok(false);
            }
            Change::Replace(_, entry) => {
                table.remove(key);
                table.put(key, entry);
            }
            Change::Remove(_) => table.remove(key),
        }
        Ok(true)
    }
}

impl Table {
    fn put(&mut self, key: &str, entry: &Entry) {
        self.versions = self.versions.wrapping_add(1);
        let stored = Stored {
            entry: entry.clone(),
            version: self.versions,
        };
        self.ends.insert((entry.until.as_secs(), key.to_owned()));
        self.entries.insert(key.to_owned(), stored);
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, stored)) = self.entries.remove_entry(key) {
            self.ends.remove(&(stored.entry.until.as_secs(), key));
        }
    }

    fn forget_ended(&mut self, now: UnixTime) {
        for _ in 0..STEP {
            match self.ends.first() {
                Some((end, _)) if *end < now.as_secs() => {}
                _ => return,
            }
            if let Some((_, key)) = self.ends.pop_first() {
                self.entries.remove(&key);
            }
        }
    }
}
