//! One fetch for all waiting callers, and no caller can disturb it.

use std::time::Duration;

use crate::support::{Act, Script, code, good, key, key_of, over, secs};
use tokio::time::{advance, timeout};

/// F-03: the fetch does not belong to the caller that started it: it continues when that stops
/// waiting, and runs once.
#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_takes_nothing_along() {
    let script = Script::new(&[Act::Slow(10)]);
    let documents = over(&script).build();
    let leader = timeout(secs(5), documents.get(&key())).await;
    assert!(leader.is_err());
    let at = tokio::time::Instant::now();
    let followers = (0..50).map(|_| {
        let documents = documents.clone();
        tokio::spawn(async move { documents.get(&key()).await.unwrap().bytes().len() })
    });
    for follower in followers.collect::<Vec<_>>() {
        assert_eq!(follower.await.unwrap(), 2);
    }
    assert_eq!(at.elapsed(), secs(5));
    assert_eq!(script.count(), 1);
}

/// F-03: waiting callers of a fetch that panics or hangs get an error, and after the pause it is
/// tried again.
#[tokio::test(start_paused = true)]
async fn a_flight_that_fails_ends_for_all() {
    for (act, expected) in [
        (Act::Panic, "fetch.interrupted"),
        (Act::Hang, "fetch.timeout"),
    ] {
        let script = Script::new(&[act, good("max-age=60")]);
        let documents = over(&script).build();
        let (one, two) = (key(), key());
        let at = tokio::time::Instant::now();
        let both = tokio::join!(code(&documents, &one), code(&documents, &two));
        assert_eq!(both, (expected, expected));
        assert!(at.elapsed() < secs(21));
        assert_eq!(script.count(), 1);
        advance(secs(5)).await;
        assert_eq!(code(&documents, &key()).await, "ok");
    }
}

/// F-03, F-14: a runtime that stops during a fetch, and no runtime.
#[test]
fn a_runtime_that_stops_poisons_nothing() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let script = Script::new(&[Act::Hang, good("max-age=60")]);
    let documents = over(&script).build();
    let first = runtime();
    first.block_on(async {
        assert!(timeout(secs(1), documents.get(&key())).await.is_err());
    });
    let (joined, is_joined) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn({
        let (documents, second) = (documents.clone(), runtime());
        move || {
            second.block_on(async {
                let key = key();
                let mut waited = std::pin::pin!(code(&documents, &key));
                std::future::poll_fn(|context| {
                    assert!(waited.as_mut().poll(context).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
                joined.send(()).unwrap();
                waited.await
            })
        }
    });
    is_joined.recv().unwrap();
    drop(first);
    assert_eq!(waiting.join().unwrap(), "fetch.interrupted");
    assert_eq!(runtime().block_on(code(&documents, &key())), "ok");

    let documents = over(&Script::new(&[good("max-age=60")])).build();
    let key = key();
    let mut get = std::pin::pin!(documents.get(&key));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match get.as_mut().poll(&mut context) {
        std::task::Poll::Ready(result) => {
            assert_eq!(result.unwrap_err().code(), "fetch.interrupted");
        }
        std::task::Poll::Pending => panic!("it waits for nobody"),
    }
    assert_eq!(runtime().block_on(code(&documents, &key)), "ok");
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_delays_no_other() {
    let script = Script::new(&[good("max-age=60")]);
    let documents = over(&script).build();
    let hanging = tokio::spawn({
        let documents = documents.clone();
        async move { code(&documents, &key_of("https://as.example/hang")).await }
    });
    tokio::task::yield_now().await;
    let at = tokio::time::Instant::now();
    assert_eq!(code(&documents, &key()).await, "ok");
    assert_eq!(at.elapsed(), Duration::ZERO);
    assert_eq!(hanging.await.unwrap(), "fetch.timeout");
}
