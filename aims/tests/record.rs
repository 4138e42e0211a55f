//! A queue between the guard and a writer of events: no request waits for it, and lost events are
//! counted (F-24).

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::mpsc::channel;
use std::time::Duration;

use aims::Guard;
use aims::record::{Entry, Event, Queue, queue};
use common::{NOW, World, at, bare, told};

const AGENT: &str = "spiffe://example.org/agent";

fn kept(event: &Event<'_>) -> String {
    event.code.unwrap_or("ok").to_owned()
}

fn guard(world: &World, queue: &Queue<String>) -> Guard {
    world.guard().record(queue.clone()).build().unwrap()
}

fn refused(guard: &Guard) {
    assert_eq!(told(guard.check(&bare(), at(NOW))).0, "guard.proof");
}

fn told_of(entry: Option<Entry<String>>) -> Option<(String, u64)> {
    entry.map(|it| (it.event, it.lost_before))
}

#[test]
fn a_full_queue_counts_and_lets_requests_go_on() {
    let world = World::new();
    let (queue, entries) = queue(2, kept);
    let guard = guard(&world, &queue);
    refused(&guard);
    refused(&guard);
    assert_eq!(queue.lost(), 0);
    for lost in 1..=3 {
        let verdict = told(guard.check(&world.agent(AGENT).call(), at(NOW)));
        assert_eq!((verdict.0, queue.lost()), ("ok", lost));
    }
    let refusal = |lost| Some(("guard.proof".to_owned(), lost));
    assert_eq!(told_of(entries.waiting()), refusal(0));
    // There is room again, and the next entry reports the gap.
    refused(&guard);
    assert_eq!(told_of(entries.waiting()), refusal(0));
    assert_eq!(told_of(entries.waiting()), refusal(3));
    assert_eq!(told_of(entries.waiting()), None);
    refused(&guard);
    assert_eq!(told_of(entries.waiting()), refusal(0));
    assert_eq!(queue.lost(), 3);
}

#[test]
fn a_reader_that_is_gone_is_seen() {
    let world = World::new();
    let (queue, entries) = queue(0, kept);
    let guard = guard(&world, &queue);
    refused(&guard);
    assert_eq!(queue.lost(), 0);
    drop(entries);
    refused(&guard);
    refused(&guard);
    assert_eq!(queue.lost(), 2);
    assert_eq!(format!("{queue:?}"), "Queue { lost: 2, .. }");
}

/// A writer that hangs delays no request.
#[test]
fn a_writer_that_hangs_holds_up_nobody() {
    let world = World::new();
    let (queue, mut entries) = queue(4, kept);
    let guard = guard(&world, &queue);
    let ((has_one, one), (leave, may_leave)) = (channel(), channel());
    let writer = std::thread::spawn(move || {
        let first = entries.next().map(|it| it.event);
        has_one.send(first).unwrap();
        let () = may_leave.recv().unwrap();
        entries.map(|it| it.lost_before).collect::<Vec<_>>()
    });
    refused(&guard);
    let first = one.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(first.as_deref(), Some("guard.proof"));
    for _ in 0..100 {
        refused(&guard);
    }
    assert_eq!(queue.lost(), 96);
    leave.send(()).unwrap();
    drop((guard, queue));
    // The entries end when the last queue is dropped.
    assert_eq!(writer.join().unwrap(), [0, 0, 0, 0]);
}

/// Each event is either read or counted, with any number of threads.
#[test]
fn every_event_is_read_or_counted() {
    let world = World::new();
    let (queue, entries) = queue(16, kept);
    let guard = guard(&world, &queue);
    let reader = std::thread::spawn(move || {
        entries.fold((0_u64, 0_u64), |(read, lost), it| {
            (read + 1, lost + it.lost_before)
        })
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(|_| refused(&guard)));
        }
    });
    let lost = queue.lost();
    drop((guard, queue));
    let (read, told) = reader.join().unwrap();
    assert_eq!(read + lost, 1_000);
    assert!(told <= lost, "{told} {lost}");
}
