//! Each state, in memory and in a file: one change for each version, room, and time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "sqlite")]
#[path = "common/folder.rs"]
mod folder;

use std::sync::atomic::{AtomicUsize, Ordering};

use aims_authority::{Change, Entry, Kind, MemoryState, State};
use aims_jose::time::{UnixTime, at};

/// Runs a test with an empty state of each kind.
fn each(capacity: u32, test: impl Fn(&dyn State)) {
    test(&MemoryState::with_capacity(capacity.try_into().unwrap()));
    #[cfg(feature = "sqlite")]
    {
        let folder = folder::Folder::new();
        let state = aims_authority::SqliteState::open(folder.path("state.db")).unwrap();
        test(&state.with_capacity(capacity));
    }
}

const ROOM: u32 = 10_000;

fn entry(text: &str, until: u64) -> Entry {
    Entry::new(text.as_bytes().to_vec(), at(until))
}

fn value(state: &dyn State, kind: Kind, now: UnixTime) -> Option<String> {
    let stored = state.load(kind, "k", now).unwrap()?;
    Some(String::from_utf8(stored.entry.value).unwrap())
}

#[test]
fn an_entry_is_inserted_replaced_and_removed_by_version() {
    each(ROOM, inserted_replaced_and_removed);
}

fn inserted_replaced_and_removed(state: &dyn State) {
    fn swap(state: &dyn State, change: Change<'_>) -> bool {
        state.swap(Kind::Grant, "k", change, at(1)).unwrap()
    }
    assert!(!swap(state, Change::Replace(1, &entry("a", 9))));
    assert!(!swap(state, Change::Remove(1)));
    assert!(swap(state, Change::Insert(&entry("a", 9))));
    assert!(!swap(state, Change::Insert(&entry("b", 9))));
    let first = state
        .load(Kind::Grant, "k", at(1))
        .unwrap()
        .unwrap()
        .version;
    assert!(swap(state, Change::Replace(first, &entry("b", 9))));
    assert!(!swap(state, Change::Replace(first, &entry("c", 9))));
    assert!(!swap(state, Change::Remove(first)));
    assert_eq!(value(state, Kind::Grant, at(1)).unwrap(), "b");
    assert_eq!(value(state, Kind::Code, at(1)), None);
    let second = state
        .load(Kind::Grant, "k", at(1))
        .unwrap()
        .unwrap()
        .version;
    assert!(swap(state, Change::Remove(second)));
    assert_eq!(value(state, Kind::Grant, at(1)), None);
    // A new entry has a version that no older one had.
    assert!(swap(state, Change::Insert(&entry("d", 9))));
    assert!(!swap(state, Change::Remove(first)));
    assert!(!swap(state, Change::Remove(second)));
}

#[test]
fn an_ended_entry_counts_as_absent() {
    each(1, ended);
}

fn ended(state: &dyn State) {
    let swap = |key: &str, change: Change<'_>, now| state.swap(Kind::Code, key, change, at(now));
    assert!(swap("k", Change::Insert(&entry("a", 9)), 1).unwrap());
    let version = state.load(Kind::Code, "k", at(9)).unwrap().unwrap().version;
    assert_eq!(value(state, Kind::Code, at(10)), None);
    assert!(!swap("k", Change::Remove(version), 10).unwrap());
    assert!(swap("k", Change::Insert(&entry("b", 20)), 10).unwrap());
    let full = swap("other", Change::Insert(&entry("c", 20)), 10).unwrap_err();
    assert_eq!(full.code(), "authority.state_full");
    // Each kind has room of its own, and an ended entry makes room.
    assert!(
        state
            .swap(Kind::Grant, "k", Change::Insert(&entry("a", 9)), at(9))
            .unwrap()
    );
    assert!(swap("other", Change::Insert(&entry("c", 30)), 21).unwrap());
}

/// Of 16 threads that read one version, one replaces it.
#[test]
fn one_of_many_changes_of_a_version_is_made() {
    each(ROOM, one_of_many);
}

fn one_of_many(state: &dyn State) {
    for _ in 0..50 {
        let key = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
        let insert = Change::Insert(&entry("a", 9));
        assert!(state.swap(Kind::Code, &key, insert, at(1)).unwrap());
        let version = state
            .load(Kind::Code, &key, at(1))
            .unwrap()
            .unwrap()
            .version;
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    if state
                        .swap(Kind::Code, &key, Change::Remove(version), at(1))
                        .unwrap()
                    {
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}

/// A thousand ended entries are forgotten in steps, and do not keep room.
#[test]
fn ended_entries_keep_no_room() {
    each(1_000, no_room);
}

fn no_room(state: &dyn State) {
    for n in 0..1_000 {
        let insert = Change::Insert(&entry("a", 9));
        assert!(
            state
                .swap(Kind::Code, &n.to_string(), insert, at(1))
                .unwrap()
        );
    }
    for n in 1_000..2_000 {
        let insert = Change::Insert(&entry("a", 99));
        assert!(
            state
                .swap(Kind::Code, &n.to_string(), insert, at(10))
                .unwrap()
        );
    }
}

/// An attacker who fills one kind, such as registered clients, leaves room for every other.
#[test]
fn each_kind_has_room_of_its_own() {
    each(1, room_of_its_own);
}

fn room_of_its_own(state: &dyn State) {
    let insert = |kind, key| state.swap(kind, key, Change::Insert(&entry("a", 9)), at(1));
    for kind in Kind::ALL {
        assert!(insert(*kind, "k").unwrap(), "{kind:?}");
        let full = insert(*kind, "l").unwrap_err();
        assert_eq!(full.code(), "authority.state_full", "{kind:?}");
    }
}
