//! The stream of revocations, and its entries.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aims_jose::time::{UnixTime, at};
use proptest::prelude::*;

use super::stand_in::{StandIn, State};
use super::{Scene, Set, connect, everyone, until};
use crate::redis::SharedStore;
use crate::redis::entry::{Entry, Placed};
use crate::revoked::{Revoked as _, RevokedBy};

/// A revocation reaches the others by a message, or without one by the next reading.
#[tokio::test]
async fn messages_only_wake() {
    let scene = Scene::new().await;
    let (one, two) = (scene.one.revocations(), scene.two.revocations());
    one.revoke(everyone("https://a.example"), at(5))
        .await
        .unwrap();
    assert_eq!(one.list().len(), 1);
    until("by a message", || two.list().len() == 1).await;
    scene.redis.with(|it| it.loses_messages = true);
    one.revoke(everyone("https://b.example"), at(5))
        .await
        .unwrap();
    until("without one", || two.list().len() == 2).await;
}

/// A store that does not hear from the server is not current when its lease has ended.
/// It is again when it has read what it missed, and not before.
#[tokio::test]
async fn a_stale_store_is_not_current() {
    let scene = Scene::new().await;
    let own = scene.one.revocations();
    assert!(own.is_current());
    scene.redis.with(|it| {
        it.is_silent = true;
        it.add(&[
            "by",
            "issuer",
            "name",
            "https://missed.example",
            "until",
            "5",
        ]);
    });
    until("stale", || !own.is_current()).await;
    assert_eq!(own.list().len(), 0);
    scene.redis.with(|it| it.is_silent = false);
    until("current", || own.is_current()).await;
    assert_eq!(own.list().len(), 1, "the gap was read before");
}

/// A revocation whose caller does not wait for the answer reaches the others.
#[tokio::test]
async fn a_cancelled_revocation_is_published() {
    let scene = Scene::new().await;
    let own = scene.one.revocations();
    scene.redis.with(|it| it.is_silent = true);
    let revoking = own.revoke(everyone("https://a.example"), at(5));
    let outcome = tokio::time::timeout(Duration::from_millis(20), revoking).await;
    assert!(outcome.is_err(), "it was cancelled");
    scene.redis.with(|it| it.is_silent = false);
    until("published", || scene.two.revocations().list().len() == 1).await;
}

/// A stream that lost revocations gets them back from the stores that know them.
#[tokio::test]
async fn the_stream_gets_back_what_it_lost() {
    let scene = Scene::new().await;
    let own = scene.one.revocations();
    for by in kinds() {
        own.revoke(by, at(5)).await.unwrap();
    }
    let count = kinds().len();
    // The last one covers the others, which the list keeps for a while.
    let everything = (RevokedBy::Everything, at(5));
    let two = scene.two.revocations();
    until("seen", || two.list().entries().contains(&everything)).await;
    scene.redis.with(State::flush);
    until("there again", || {
        scene.redis.with(|it| it.stream.len() >= count)
    })
    .await;
    let third = connect(&scene.redis, &scene.clock).await.unwrap();
    let (mine, third) = (own.list().len(), third.revocations().list().len());
    assert_eq!(third, mine);
}

/// A stream with more entries than allowed coarsens, and forgets none.
#[tokio::test]
async fn a_full_stream_coarsens() {
    let (redis, clock) = (StandIn::start().await, Set::default());
    clock.0.store(UnixTime::now().as_secs(), Ordering::Relaxed);
    let store = SharedStore::builder(&redis.url()).unwrap().revocations(10);
    let store = store.clock(clock.clone()).connect().await.unwrap();
    for time in 1..=11 {
        let issuer = format!("https://{time}.example");
        store
            .revocations()
            .revoke(everyone(&issuer), at(time))
            .await
            .unwrap();
    }
    let entries = redis.with(|it| it.stream.values().cloned().collect::<Vec<_>>());
    assert_eq!(entries.len(), 7, "five of eleven became one: {entries:?}");
    assert_eq!(
        entries.last().unwrap(),
        &["by", "everything", "name", "", "until", "5"]
    );
    let fresh = connect(&redis, &clock).await.unwrap();
    let all = fresh.revocations().list().entries();
    assert!(all.contains(&(RevokedBy::Everything, at(5))), "{all:?}");
    assert_eq!(all.len(), 7);
}

/// Adds entries to the stream as the servers do that know these revocations.
fn add(redis: &StandIn, revocations: &[(RevokedBy, u64)]) {
    for (by, until) in revocations {
        let entry = Entry {
            by: by.clone(),
            until: at(*until),
        };
        let fields = entry.fields();
        let fields: Vec<&str> = fields.iter().flat_map(|(name, it)| [name, &**it]).collect();
        redis.with(|it| it.add(&fields));
    }
}

async fn small(redis: &StandIn, clock: &Set, most: usize) -> SharedStore {
    let store = SharedStore::builder(&redis.url()).unwrap();
    let store = store.revocations(most).clock(clock.clone());
    store.connect().await.unwrap()
}

/// After a loss, many servers add the same revocations. They count once: a further revocation
/// revokes nothing else, and none is lost.
#[tokio::test]
async fn the_same_revocations_of_many_servers_count_once() {
    let (redis, clock) = (StandIn::start().await, Set::default());
    clock.0.store(UnixTime::now().as_secs(), Ordering::Relaxed);
    let issuer = |time: u64| everyone(&format!("https://{time}.example"));
    let all: Vec<_> = (1..=7).map(|time| (issuer(time), time)).collect();
    let store = small(&redis, &clock, 10).await;
    for _server in 0..6 {
        add(&redis, &all);
    }
    // The same scope with other times, in both orders, and one credential that has ended.
    add(&redis, &[(issuer(1), 20), (issuer(1), 15), (issuer(2), 30)]);
    let ended = RevokedBy::SignedHash {
        hash: [1; 32],
        expires: at(100),
    };
    add(&redis, &[(ended, 50)]);
    let own = store.revocations();
    own.revoke(issuer(8), at(40)).await.unwrap();
    let entries = redis.with(|it| it.stream.values().cloned().collect::<Vec<_>>());
    assert_eq!(entries.len(), 8, "{entries:?}");
    let fresh = connect(&redis, &clock).await.unwrap();
    let mut found = fresh.revocations().list().entries();
    found.sort_by_key(|(by, until)| (*until, format!("{by:?}")));
    let times = [3, 4, 5, 6, 7, 20, 30, 40];
    let issuers = [3, 4, 5, 6, 7, 1, 2, 8];
    let expected = times.iter().zip(issuers);
    let expected: Vec<_> = expected.map(|(time, it)| (issuer(it), at(*time))).collect();
    assert_eq!(found, expected);
}

/// Servers that make room at the same time lose nothing.
#[tokio::test]
async fn many_servers_make_room_at_once() {
    let (redis, clock) = (StandIn::start().await, Set::default());
    clock.0.store(UnixTime::now().as_secs(), Ordering::Relaxed);
    let issuer = |time: u64| everyone(&format!("https://{time}.example"));
    let all: Vec<_> = (1..=5).map(|time| (issuer(time), time)).collect();
    let (one, two) = (
        small(&redis, &clock, 10).await,
        small(&redis, &clock, 10).await,
    );
    for _server in 0..8 {
        add(&redis, &all);
    }
    let (first, second) = (one.revocations(), two.revocations());
    let both = tokio::join!(
        first.revoke(issuer(6), at(6)),
        second.revoke(issuer(7), at(7))
    );
    assert!(both.0.is_ok() && both.1.is_ok());
    let fresh = connect(&redis, &clock).await.unwrap();
    let mut found = fresh.revocations().list().entries();
    found.sort_by_key(|(_, until)| *until);
    let expected: Vec<_> = (1..=7).map(|time| (issuer(time), at(time))).collect();
    assert_eq!(found, expected);
}

/// The oldest revocations become one by their time, wherever they stand in the stream. One that
/// this version does not know stays, and stands for no other.
#[tokio::test]
async fn the_oldest_revocations_become_one() {
    let (redis, clock) = (StandIn::start().await, Set::default());
    clock.0.store(UnixTime::now().as_secs(), Ordering::Relaxed);
    let issuer = |time: u64| everyone(&format!("https://{time}.example"));
    let store = small(&redis, &clock, 10).await;
    let newest_first: Vec<_> = (1..=10).rev().map(|time| (issuer(time), time)).collect();
    add(&redis, &newest_first);
    let unknown = ["by", "tenant", "name", "t", "until", "100"];
    redis.with(|it| it.add(&unknown));
    add(&redis, &[(RevokedBy::Everything, 3)]);
    store
        .revocations()
        .revoke(issuer(11), at(11))
        .await
        .unwrap();
    let until = |entry: &Vec<String>| entry.last().unwrap().parse::<u64>().unwrap();
    let entries = redis.with(|it| it.stream.values().cloned().collect::<Vec<_>>());
    let mut times: Vec<u64> = entries.iter().map(until).collect();
    times.sort_unstable();
    // 1 to 3 are covered: eight issuers, everything until 3, and the unknown one are ten.
    assert_eq!(times, [3, 4, 5, 6, 7, 8, 9, 10, 11, 100]);
    store
        .revocations()
        .revoke(issuer(12), at(12))
        .await
        .unwrap();
    let entries = redis.with(|it| it.stream.values().cloned().collect::<Vec<_>>());
    let mut times: Vec<u64> = entries.iter().map(until).collect();
    times.sort_unstable();
    // The older half of eleven: everything until 3, and 4 to 7.
    assert_eq!(times, [7, 8, 9, 10, 11, 12, 100]);
    let everything = ["by", "everything", "name", "", "until", "7"];
    assert!(entries.iter().any(|it| it == &everything), "{entries:?}");
    assert!(entries.iter().any(|it| it == &unknown), "{entries:?}");
}

/// A stream that lost more than a page gets all of it back, from two servers at once.
#[tokio::test]
async fn many_lost_revocations_come_back() {
    let scene = Scene::new().await;
    let all: Vec<_> = (1..=2_500)
        .map(|time| (everyone(&format!("https://{time}.example")), time))
        .collect();
    add(&scene.redis, &all);
    for store in [&scene.one, &scene.two] {
        until("read", || store.revocations().list().len() == 2_500).await;
    }
    scene.redis.with(State::flush);
    let count = || {
        let entries = scene
            .redis
            .with(|it| it.stream.values().cloned().collect::<Vec<_>>());
        entries
            .into_iter()
            .collect::<std::collections::HashSet<_>>()
            .len()
    };
    until("there again", || count() == 2_500).await;
    let third = connect(&scene.redis, &scene.clock).await.unwrap();
    assert_eq!(third.revocations().list().len(), 2_500);
}

fn kinds() -> Vec<RevokedBy> {
    let (issuer, key) = ("https://as.example".to_owned(), [7; 32]);
    let of = || issuer.clone();
    vec![
        RevokedBy::Agent("spiffe://example.org/a".parse().unwrap()),
        RevokedBy::Issuer(of()),
        RevokedBy::Subject {
            issuer: of(),
            subject: "s".to_owned(),
        },
        RevokedBy::Client {
            issuer: of(),
            client: "c".to_owned(),
        },
        RevokedBy::Session {
            issuer: of(),
            session: "i".to_owned(),
        },
        RevokedBy::TokenId {
            issuer: of(),
            token_id: "t".to_owned(),
        },
        RevokedBy::Key(aims_jose::base64url::encode(&key).parse().unwrap()),
        RevokedBy::Certificate(aims_jose::base64url::encode(&key).parse().unwrap()),
        RevokedBy::SignedHash {
            hash: key,
            expires: at(u64::MAX),
        },
        RevokedBy::Everything,
    ]
}

fn read(id: &str, fields: &[(String, String)]) -> Entry {
    let text = |it: &str| redis::Value::BulkString(it.as_bytes().to_vec());
    let fields = fields
        .iter()
        .flat_map(|(name, value)| [text(name), text(value)]);
    let fields = redis::Value::Array(fields.collect());
    let entry = redis::Value::Array(vec![text(id), fields]);
    let mut all = Placed::parse_all(&redis::Value::Array(vec![entry])).unwrap();
    all.pop().unwrap().entry
}

fn owned(fields: Vec<(&'static str, String)>) -> Vec<(String, String)> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[test]
fn every_kind_of_entry_is_read_as_written() {
    for by in kinds() {
        let entry = Entry { by, until: at(9) };
        assert_eq!(read("1-0", &owned(entry.fields())), entry);
    }
}

/// An entry that cannot be read revokes everything until its time, or until it was added.
#[test]
fn an_unknown_entry_is_not_lost() {
    for by in kinds() {
        let entry = Entry { by, until: at(9) };
        let fields = owned(entry.fields());
        for left_out in 0..fields.len() {
            let mut less = fields.clone();
            let (name, _) = less.remove(left_out);
            let found = read("4500-0", &less);
            let until = if name == "until" { at(5) } else { at(9) };
            assert_eq!(found.until, until, "{name}");
            if name != "until" {
                assert_eq!(found.by, RevokedBy::Everything, "{name}");
            }
        }
    }
    let unknown = [("by", "planet"), ("name", "x"), ("until", "9")];
    let unknown = unknown.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let everything = Entry {
        by: RevokedBy::Everything,
        until: at(9),
    };
    assert_eq!(read("1-0", &unknown), everything);
    let never = Entry {
        by: RevokedBy::Everything,
        until: at(u64::MAX),
    };
    assert_eq!(read("x", &[]), never);
}

proptest! {
    /// Whatever stands in the stream, each entry revokes at least what a known one does.
    #[test]
    fn any_fields_are_read(fields in prop::collection::vec((".{0,12}", ".{0,40}"), 0..6), id in "[0-9]{0,20}-?[0-9]{0,3}") {
        let entry = read(&id, &fields);
        let again = read(&id, &owned(entry.fields()));
        prop_assert_eq!(again, entry);
    }
}
