//! Tests that a key is spent only once, with many threads, a clock that goes back, and many
//! senders.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use aims_replay::{Error, ReplayCache, ReplayKey, ReplayStore, Validity};
use rustls_pki_types::UnixTime;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn key(sender: &str, id: usize) -> ReplayKey {
    ReplayKey::new("wpt", sender, &[&id.to_string()])
}

#[test]
fn a_key_is_spent_once_up_to_its_end() {
    let store = ReplayCache::in_memory(100);
    let key = key("a", 1);
    assert_eq!(store.spend(&key, at(100), at(50)), Ok(()));
    assert_eq!(store.spend(&key, at(100), at(50)), Err(Error::Replayed));
    assert_eq!(store.spend(&key, at(100), at(100)), Err(Error::Replayed));
    assert_eq!(store.spend(&key, at(100), at(101)), Err(Error::Expired));
    assert_eq!(store.live(at(100)), 1);
    assert_eq!(store.live(at(101)), 0);
    assert_eq!(store.spend(&key, at(200), at(101)), Ok(()));
}

/// T-035: what may have been used before the start is refused until it ends; what is newer is not.
#[test]
fn what_may_precede_the_start_is_refused() {
    let store = ReplayCache::in_memory(100);
    let spend = |id, from, until, now| {
        let valid = Validity::new(at(from), at(until));
        aims_replay::spend_proof(&store, &key("a", id), valid, at(now))
    };
    // Without a start, the store remembers everything.
    assert_eq!(spend(1, 40, 100, 60), Ok(()));
    store.begin(at(50));
    store.begin(at(70)); // not the first
    assert_eq!(spend(2, 50, 100, 60), Err(Error::BeforeStart));
    assert_eq!(spend(2, 50, 100, 100), Err(Error::BeforeStart));
    assert_eq!(spend(2, 50, 100, 101), Err(Error::Expired));
    assert_eq!(spend(2, 51, 100, 60), Ok(()));
    assert_eq!(spend(2, 51, 100, 60), Err(Error::Replayed));
    assert_eq!(store.live(at(60)), 2, "what is refused takes no room");
    let shared: Arc<dyn ReplayStore> = Arc::new(store);
    let valid = Validity::new(at(50), at(100));
    let refused = shared.spend_proof(&key("a", 3), valid, at(60));
    assert_eq!(refused, Err(Error::BeforeStart));
}

/// A store that loses nothing has no start.
#[test]
fn a_store_that_loses_nothing_has_no_start() {
    #[derive(Debug)]
    struct Kept;
    impl ReplayStore for Kept {
        fn spend(&self, _: &ReplayKey, until: UnixTime, _: UnixTime) -> Result<(), Error> {
            assert_eq!(until, at(100));
            Ok(())
        }
    }
    Kept.begin(at(50));
    let valid = Validity::new(at(10), at(100));
    let spent = aims_replay::spend_proof(&Kept, &key("a", 1), valid, at(60));
    assert_eq!(spent, Ok(()));
}

/// T-035: the store is not asked about an expired key, because it may have forgotten the key
/// already.
#[test]
fn what_has_ended_is_refused_before_the_store_is_asked() {
    #[derive(Debug)]
    struct Forgets;
    impl ReplayStore for Forgets {
        fn spend(&self, _: &ReplayKey, _: UnixTime, _: UnixTime) -> Result<(), Error> {
            Ok(())
        }
    }
    let key = key("a", 1);
    assert_eq!(aims_replay::spend(&Forgets, &key, at(100), at(100)), Ok(()));
    assert_eq!(
        aims_replay::spend(&Forgets, &key, at(100), at(101)),
        Err(Error::Expired)
    );
}

/// T-037: moving a character between two parts of a key gives another key.
#[test]
fn keys_do_not_collide() {
    let keys = [
        ReplayKey::new("wpt", "a", &["b", "c"]),
        ReplayKey::new("wpt", "a", &["bc"]),
        ReplayKey::new("wpt", "a", &["b", "c", ""]),
        ReplayKey::new("wpt", "ab", &["c"]),
        ReplayKey::new("wpt", "", &["a", "b", "c"]),
        ReplayKey::new("wpta", "", &["b", "c"]),
        ReplayKey::new("dpop", "a", &["b", "c"]),
    ];
    let unique: std::collections::HashSet<_> = keys.iter().map(|key| *key.as_bytes()).collect();
    assert_eq!(unique.len(), keys.len());
    let long = "j".repeat(1 << 20);
    assert_eq!(ReplayKey::new("wpt", "a", &[&long]).as_bytes().len(), 32);
}

/// T-034: of 64 threads with one key exactly one passes, a thousand times.
#[test]
fn exactly_one_of_many_threads_passes() {
    let store = ReplayCache::in_memory(100_000).with_share(64);
    let passed: Vec<_> = (0..1_000).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for (round, passed) in passed.iter().enumerate() {
                    if store.spend(&key("a", round), at(100), at(50)).is_ok() {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(
        passed
            .iter()
            .all(|passed| passed.load(Ordering::Relaxed) == 1)
    );
}

/// T-035: a full store refuses and forgets no live entry; when time passes there is room
/// again.
#[test]
fn a_full_store_refuses() {
    let store = ReplayCache::in_memory(1_000).with_share(64);
    let spent: Vec<_> = (0..10_000)
        .filter(|id| store.spend(&key("a", *id), at(100), at(50)).is_ok())
        .collect();
    assert!(spent.len() >= 1_000, "{}", spent.len());
    assert!(spent.len() <= 1_500, "{}", spent.len());
    for id in &spent {
        assert_eq!(
            store.spend(&key("a", *id), at(100), at(50)),
            Err(Error::Replayed)
        );
    }
    let refused = (0..10_000)
        .find(|id| !spent.contains(id))
        .into_iter()
        .map(|id| key("a", id));
    for key in refused {
        assert_eq!(store.spend(&key, at(100), at(50)), Err(Error::Full));
        assert_eq!(store.spend(&key, at(200), at(101)), Ok(()));
    }
}

/// T-036: one sender leaves room for the others.
#[test]
fn a_sender_has_a_share() {
    let store = ReplayCache::in_memory(1_000);
    let mut refusals = 0;
    for id in 0..10_000 {
        match store.spend(&key("greedy", id), at(100), at(50)) {
            Ok(()) => {}
            Err(Error::SenderFull) => refusals += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refusals > 9_000, "{refusals}");
    for sender in 0..200 {
        assert_eq!(
            store.spend(&key(&format!("sender {sender}"), 1), at(100), at(50)),
            Ok(())
        );
    }
}

/// Two senders that send as fast as they can leave room for a third (M3 of an attack on the running
/// programs).
#[test]
fn two_senders_cannot_fill_the_store_for_a_third() {
    let store = ReplayCache::in_memory(4_000);
    for id in 0..20_000 {
        for greedy in ["one", "two"] {
            let spent = store.spend(&key(greedy, id), at(100), at(50));
            assert!(
                matches!(spent, Ok(()) | Err(Error::SenderFull)),
                "{spent:?}"
            );
        }
    }
    for id in 0..300 {
        assert_eq!(store.spend(&key("victim", id), at(100), at(50)), Ok(()));
    }
}

/// A sender that has chosen its name so that the first four bytes of its hash are those of a victim
/// does not use up the victim's share.
#[test]
fn a_sender_with_a_similar_hash_has_another_share() {
    let mut seen = std::collections::HashMap::new();
    let tag = |name: &str| key(name, 0).sender()[..4].to_vec();
    let (attacker, victim) = (0..)
        .find_map(|number| {
            let name = format!("w{number}");
            let other = seen.insert(tag(&name), name.clone())?;
            Some((other, name))
        })
        .unwrap();
    let store = ReplayCache::in_memory(4_000);
    let greedy = (0..20_000).map(|id| store.spend(&key(&attacker, id), at(100), at(50)));
    assert!(
        greedy
            .filter(|spent| *spent == Err(Error::SenderFull))
            .count()
            > 10_000
    );
    for id in 0..300 {
        assert_eq!(store.spend(&key(&victim, id), at(100), at(50)), Ok(()));
    }
}

/// A sender has a rate. Others, and repetitions of a captured proof, do not use it up.
#[test]
fn a_sender_has_a_rate() {
    let store = ReplayCache::in_memory(10_000).with_sender_rate(2, 10);
    let spend = |sender: &str, id, now| store.spend(&key(sender, id), at(1_000), at(now));
    assert_eq!(spend("a", 0, 50), Ok(()));
    for _ in 0..100 {
        assert_eq!(spend("a", 0, 50), Err(Error::Replayed));
    }
    for id in 1..10 {
        assert_eq!(spend("a", id, 50), Ok(()));
    }
    assert_eq!(spend("a", 10, 50), Err(Error::SenderFull));
    assert_eq!(spend("b", 0, 50), Ok(()));
    assert_eq!(spend("a", 10, 51), Ok(()));
    assert_eq!(spend("a", 11, 51), Ok(()));
    assert_eq!(spend("a", 12, 51), Err(Error::SenderFull));
    // A clock that goes back gives nothing.
    assert_eq!(spend("a", 12, 10), Err(Error::SenderFull));
}

/// T-035: when the clock goes back to a time of overwritten entries, the store refuses.
#[test]
fn a_clock_that_goes_back_lets_nothing_in() {
    let store = ReplayCache::in_memory(10).with_share(64);
    let first: Vec<_> = (0..200)
        .filter(|id| store.spend(&key("a", *id), at(100), at(50)).is_ok())
        .collect();
    for id in 1_000..2_000 {
        let _ = store.spend(&key("a", id), at(10_000), at(5_000));
    }
    for id in first {
        let again = store.spend(&key("a", id), at(100), at(50));
        assert!(
            matches!(again, Err(Error::Replayed | Error::Unavailable)),
            "{again:?}"
        );
    }
}

/// T-027: no time makes the arithmetic overflow, and no time beyond the maximum is accepted.
#[test]
fn times_at_the_edge() {
    let store = ReplayCache::in_memory(10);
    let last = u64::from(u32::MAX);
    assert_eq!(store.spend(&key("a", 1), at(last), at(0)), Ok(()));
    assert_eq!(
        store.spend(&key("a", 1), at(last), at(last)),
        Err(Error::Replayed)
    );
    assert_eq!(
        store.spend(&key("a", 2), at(last + 1), at(0)),
        Err(Error::Horizon)
    );
    assert_eq!(
        store.spend(&key("a", 2), at(u64::MAX), at(u64::MAX)),
        Err(Error::Horizon)
    );
    assert_eq!(store.spend(&key("a", 3), at(0), at(1)), Err(Error::Expired));
}

/// Each entry takes at most 48 bytes of all the memory that the store allocates.
#[test]
fn an_entry_takes_at_most_48_bytes() {
    let capacity = 1_000_000;
    let mut spent = 0_usize;
    let used = allocation_counter::measure(|| {
        let store = ReplayCache::in_memory(capacity).with_share(64);
        for id in 0..capacity {
            spent += usize::from(store.spend(&key("a", id), at(100), at(50)).is_ok());
        }
    });
    assert_eq!(spent, capacity);
    assert!(used.bytes_max <= 48 * 1_000_000, "{used:?}");
}

#[test]
fn codes_are_unique() {
    let unique: std::collections::BTreeSet<_> = Error::CODES.iter().collect();
    assert_eq!(unique.len(), Error::CODES.len());
}
