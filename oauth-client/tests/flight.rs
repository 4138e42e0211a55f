//! The request for a token runs in its own task, not in that of a caller.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aims_oauth_client::{Error, TokenSource};
use common::{Answer, Fixed, Server, ask, ask_for, code, sleep, token};
use tokio::runtime::{Builder, Handle};
use tokio::time::Instant;

fn callers(
    source: &Arc<TokenSource>,
    count: usize,
) -> Vec<tokio::task::JoinHandle<Result<String, Error>>> {
    let callers = (0..count).map(|_| {
        let source = Arc::clone(source);
        tokio::spawn(async move { ask(&source).await })
    });
    callers.collect()
}

/// F-03: many callers cause one request.
#[tokio::test(start_paused = true)]
async fn one_request_for_many_callers() {
    let server = Server::of(&[]);
    let source = Arc::new(server.source());
    for caller in callers(&source, 50) {
        assert_eq!(caller.await.unwrap().unwrap(), token(0));
    }
    assert_eq!(server.calls(), 1);
}

/// F-02, F-03: the caller that caused the request stops waiting, at any point; the others get its
/// result, and nothing is sent again.
#[tokio::test(start_paused = true)]
async fn a_leader_that_goes_away_takes_nothing_along() {
    for polls in 0..12 {
        let server = Server::of(&[Answer::Polled(6)]);
        let source = Arc::new(server.source());
        let followers = {
            let mut leader = pin!(ask(&source));
            let mut done = false;
            for _ in 0..polls {
                let polled = poll_fn(|context| Poll::Ready(leader.as_mut().poll(context)));
                done = done || polled.await.is_ready();
                if done {
                    break;
                }
                tokio::task::yield_now().await;
            }
            callers(&source, 5)
        };
        for follower in followers {
            assert_eq!(follower.await.unwrap().unwrap(), token(0), "{polls} polls");
        }
        assert_eq!(server.calls(), 1, "{polls} polls");
    }
}

/// F-02: the timeout of a caller ends only its own wait.
#[tokio::test(start_paused = true)]
async fn a_timeout_ends_ones_own_wait() {
    let server = Server::of(&[]);
    let source = Arc::new(server.source());
    let follower = callers(&source, 1);
    let gone = tokio::time::timeout(Duration::from_millis(500), ask(&source)).await;
    assert!(gone.is_err());
    // No caller waits for the token, and it is cached.
    follower.iter().for_each(tokio::task::JoinHandle::abort);
    sleep(1).await;
    let asked = Instant::now();
    assert_eq!(ask(&source).await.unwrap(), token(0));
    assert!(asked.elapsed().is_zero());
    assert_eq!(server.calls(), 1);
}

/// F-03: a transport that panics ends the wait of all callers at once, and the next request is a
/// new one.
#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_wait_of_all() {
    let server = Server::of(&[Answer::Panics]);
    let source = Arc::new(server.source());
    let start = Instant::now();
    for caller in callers(&source, 5) {
        assert_eq!(code(caller.await.unwrap()), "grant.interrupted");
    }
    assert!(start.elapsed() < Duration::from_millis(1_100));
    assert_eq!(code(ask(&source).await), "grant.backing_off");
    sleep(1).await;
    assert_eq!(ask(&source).await.unwrap(), token(1));
}

/// F-03: with a server that never answers, no caller waits longer than the deadline, whenever it
/// started.
#[tokio::test(start_paused = true)]
async fn a_silent_server_is_not_waited_for() {
    let server = Server::of(&[Answer::Hangs]);
    let source = Arc::new(server.source());
    let start = Instant::now();
    let first = callers(&source, 3);
    sleep(20).await;
    for caller in first.into_iter().chain(callers(&source, 3)) {
        assert_eq!(code(caller.await.unwrap()), "grant.transport");
    }
    assert!(start.elapsed() < Duration::from_millis(30_100));
    assert_eq!(server.calls(), 1);
}

/// F-03: the same if a transport blocks its thread, so that no timeout ends it: the callers stop
/// waiting before it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_transport_is_not_waited_for() {
    let server = Server::of(&[Answer::Blocks]);
    let source = Arc::new(server.source().with_timeout(Duration::from_millis(100)));
    for caller in callers(&source, 3) {
        assert_eq!(code(caller.await.unwrap()), "grant.transport");
    }
    assert!(server.is_blocking());
    server.release();
    assert_eq!(server.calls(), 1);
}

/// F-22: a dropped source leaves no task.
#[tokio::test(start_paused = true)]
async fn the_end_of_the_source_ends_its_tasks() {
    let server = Server::of(&[Answer::Hangs]);
    let source = server.source();
    let waited = tokio::time::timeout(Duration::from_secs(1), ask(&source)).await;
    assert!(waited.is_err());
    let alive = || Handle::current().metrics().num_alive_tasks();
    assert_eq!(alive(), 1);
    drop(source);
    tokio::task::yield_now().await;
    assert_eq!(alive(), 0);
}

/// F-14: without a runtime there is an error, and nothing is sent.
#[test]
fn without_a_runtime_there_is_no_token() {
    let server = Server::of(&[]);
    let source = server.source();
    let mut asking = pin!(ask(&source));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(answer) = asking.as_mut().poll(&mut context) else {
        panic!("nobody would wake it");
    };
    assert_eq!((code(answer), server.calls()), ("grant.interrupted", 0));
}

/// F-03, F-14: a runtime that stops during a request leaves no broken state: a second runtime
/// continues.
#[test]
fn a_runtime_that_stops_poisons_nothing() {
    static SHORTEST: Fixed = Fixed(500);
    let runtime = || {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let server = Server::of(&[Answer::Hangs, Answer::Polled(1)]);
    let source = server.source().with_random(&SHORTEST);
    // The paused clock of a runtime starts at zero: in the second runtime the pause is not over
    // until it sleeps.
    let (first, second) = (runtime(), runtime());
    let long = Duration::from_secs(1);
    let waited = first.block_on(async { tokio::time::timeout(long, ask(&source)).await });
    assert!(waited.is_err());
    drop(first);
    let last = second.block_on(ask(&source)).unwrap_err();
    assert!(matches!(&last, Error::BackingOff { last } if last.code() == "grant.interrupted"));
    let asked = second.block_on(async {
        sleep(60).await;
        ask(&source).await
    });
    assert_eq!(asked.unwrap(), token(1));
}

/// F-18: the number of tokens is limited. The one that expires first makes room; one that is being
/// requested does not.
#[tokio::test(start_paused = true)]
async fn the_room_is_bounded() {
    let (a, b, c) = (
        "https://a.example",
        "https://b.example",
        "https://c.example",
    );
    let server = Server::of(&[]);
    let source = server.source().with_capacity(2);
    for (tool, expected) in [(a, 0), (b, 1), (a, 0), (c, 2), (b, 1), (a, 3), (b, 4)] {
        let got = ask_for(&source, tool, "read").await.unwrap();
        assert_eq!(got, token(expected), "{tool}");
    }
    let server = Server::of(&[Answer::Hangs, Answer::Hangs]);
    let source = server.source().with_capacity(2);
    let asks = async { tokio::join!(ask_for(&source, a, "read"), ask_for(&source, b, "read")) };
    let waited = tokio::time::timeout(Duration::from_secs(1), asks).await;
    assert!(waited.is_err());
    assert_eq!(code(ask_for(&source, c, "read").await), "grant.busy");
    assert_eq!(server.calls(), 2);
}

/// Clones share requests and tokens, and end no request of each other. A clone with other settings
/// shares nothing.
#[tokio::test(start_paused = true)]
async fn clones_share_requests_and_tokens() {
    let server = Server::of(&[]);
    let source = server.source();
    let (own, other) = (source.clone(), source.clone());
    let waiting = tokio::spawn(async move { ask(&own).await });
    tokio::task::yield_now().await;
    drop(source);
    assert_eq!(ask(&other).await.unwrap(), token(0));
    assert_eq!(waiting.await.unwrap().unwrap(), token(0));
    assert_eq!(ask(&other.clone()).await.unwrap(), token(0));
    assert_eq!(server.calls(), 1);
    let changed = other.clone().with_timeout(Duration::from_secs(5));
    assert_eq!(ask(&changed).await.unwrap(), token(1));
    let changed = other.clone().with_capacity(1);
    assert_eq!(ask(&changed).await.unwrap(), token(2));
    assert_eq!(ask(&other).await.unwrap(), token(0));
    // A source that has no clone keeps its tokens.
    let changed = changed.with_timeout(Duration::from_secs(5));
    assert_eq!(ask(&changed).await.unwrap(), token(2));
}
