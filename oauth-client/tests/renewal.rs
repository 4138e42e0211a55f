//! When a token is renewed, which token is returned meanwhile, and how long a failing server is not
//! asked.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aims_jose::random::SecureRandom;
use aims_jose::time::{Clock, UnixTime};
use common::{Answer, Fixed, NOW, Server, ask, at, code, sleep, token};

/// F-02: after two thirds of its lifetime a task renews the token; the old one is returned
/// meanwhile.
#[tokio::test(start_paused = true)]
async fn the_old_token_is_given_until_the_new_one_is_there() {
    let server = Server::of(&[]);
    let source = server.source();
    assert_eq!(ask(&source).await.unwrap(), token(0));
    // The token was requested at 0 s and arrived at 1 s. It is valid until 300 s.
    sleep(198).await;
    assert_eq!((ask(&source).await.unwrap(), server.calls()), (token(0), 1));
    sleep(1).await;
    for _ in 0..3 {
        assert_eq!(ask(&source).await.unwrap(), token(0));
        tokio::task::yield_now().await;
    }
    assert_eq!(server.asked(), [0, 200_000]);
    sleep(2).await;
    assert_eq!((ask(&source).await.unwrap(), server.calls()), (token(1), 2));
}

/// F-02: while renewals fail, the old token is returned until it expires. Then there is none.
#[tokio::test(start_paused = true)]
async fn an_old_token_outlives_failures_and_no_more() {
    let server = Server::of(&[Answer::Token]);
    server.then(&[Answer::Fails; 100]);
    let source = server.source();
    assert_eq!(ask(&source).await.unwrap(), token(0));
    for second in 1..300 {
        assert_eq!(ask(&source).await.unwrap(), token(0), "at {second} s");
        sleep(1).await;
    }
    assert!(server.calls() > 3);
    assert_eq!(code(ask(&source).await), "grant.backing_off");
    sleep(61).await;
    assert_eq!(code(ask(&source).await), "grant.transport");
}

/// F-02: the pauses after failures are 1, 2, 4, … 60 s; after a success they start again.
#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_a_minute() {
    let server = Server::of(&[Answer::Says(500, ""); 9]);
    let source = server.source();
    for _ in 0..4_000 {
        drop(ask(&source).await);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let asked = server.asked();
    let pauses: Vec<_> = asked.windows(2).map(|it| (it[1] - it[0]) / 1_000).collect();
    assert_eq!(pauses[..9], [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    server.then(&[Answer::Says(500, ""); 2]);
    sleep(300).await;
    let before = server.calls();
    assert_eq!(code(ask(&source).await), "oauth.refused");
    assert_eq!(code(ask(&source).await), "grant.backing_off");
    sleep(1).await;
    assert_eq!(code(ask(&source).await), "oauth.refused");
    assert_eq!(server.calls(), before + 2);
}

/// F-02: a pause is randomly shortened by up to a half, and a renewal is moved forward by up to a
/// tenth of the lifetime.
#[tokio::test(start_paused = true)]
async fn chance_shortens() {
    static HALF: Fixed = Fixed(500);
    static TENTH: Fixed = Fixed(29);
    let server = Server::of(&[Answer::Says(500, "")]);
    let source = server.source().with_random(&HALF);
    assert_eq!(code(ask(&source).await), "oauth.refused");
    let millis = std::time::Duration::from_millis;
    tokio::time::sleep(millis(490)).await;
    assert_eq!(code(ask(&source).await), "grant.backing_off");
    tokio::time::sleep(millis(20)).await;
    assert_eq!(code(ask(&source).await), "ok");

    let server = Server::of(&[]);
    let source = server.source().with_random(&TENTH);
    drop(ask(&source).await.unwrap());
    for _ in 0..200 {
        drop(ask(&source).await.unwrap());
        sleep(1).await;
    }
    assert_eq!(server.asked()[..2], [0, 171_000]);
}

/// F-02: `Retry-After` of a 429 or 503 is used, up to ten minutes, and never shortens a pause; a
/// malformed one is ignored.
#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_within_bounds() {
    // `NOW` is 2027-01-15 08:00:00.
    for (status, field, pause) in [
        (429, "7", 7),
        (503, "7", 7),
        (429, "0", 1),
        (429, "", 1),
        (429, "600", 600),
        (429, "601", 600),
        (429, "99999999999999999999999", 600),
        (429, "Fri, 15 Jan 2027 08:00:09 GMT", 9),
        (429, "Fri, 15 Jan 2027 07:00:00 GMT", 1),
        (429, "-7", 1),
        (429, "7.5", 1),
        (429, "soon", 1),
        (429, "7|7", 1),
        (500, "7", 1),
        (400, "7", 1),
    ] {
        let server = Server::of(&[Answer::Says(status, field)]);
        let source = server.source();
        assert_eq!(
            code(ask(&source).await),
            "oauth.refused",
            "{status} {field}"
        );
        sleep(pause - 1).await;
        tokio::time::sleep(std::time::Duration::from_millis(990)).await;
        assert_eq!(
            code(ask(&source).await),
            "grant.backing_off",
            "{status} {field}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert_eq!(code(ask(&source).await), "ok", "{status} {field}");
    }
}

/// Random numbers that are the same in each run.
#[derive(Debug)]
struct Mixed(AtomicU64);

impl SecureRandom for Mixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
        let seed = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        buffer.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        Ok(())
    }
}

/// F-20: of 1,000 clients that got their tokens, or the same `Retry-After`, in one second, no
/// second has more than a tenth.
#[tokio::test(start_paused = true)]
async fn a_fleet_does_not_come_at_once() {
    static CHANCE: Mixed = Mixed(AtomicU64::new(1));
    for (first, seconds) in [
        (Answer::Token, 165..205),
        (Answer::Says(429, "100"), 100..125),
    ] {
        let servers: Vec<_> = (0..1_000).map(|_| Server::of(&[first])).collect();
        let sources: Vec<_> = servers
            .iter()
            .map(|server| Arc::new(server.source().with_random(&CHANCE)))
            .collect();
        let all = async || {
            let asks = sources.iter().cloned();
            let asks = asks.map(|source| tokio::spawn(async move { drop(ask(&source).await) }));
            for ask in asks.collect::<Vec<_>>() {
                ask.await.unwrap();
            }
        };
        all().await;
        tokio::time::sleep_until(tokio::time::Instant::now()).await;
        sleep(seconds.start - 2).await;
        for _ in seconds {
            tokio::join!(all(), sleep(1));
        }
        let mut by_second: BTreeMap<u64, usize> = BTreeMap::new();
        for server in &servers {
            *by_second.entry(server.asked()[1] / 1_000).or_default() += 1;
        }
        assert_eq!(by_second.values().sum::<usize>(), 1_000);
        assert!(
            by_second.values().all(|count| *count <= 100),
            "{by_second:?}"
        );
    }
}

/// F-04: setting the clock back extends no lifetime, and setting it forward ends the token.
#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_prolongs_nothing() {
    #[derive(Clone, Debug, Default)]
    struct Wall(Arc<AtomicU64>);
    impl Clock for Wall {
        fn now(&self) -> UnixTime {
            at(self.0.load(Ordering::SeqCst))
        }
    }
    let wall = Wall(Arc::new(AtomicU64::new(NOW)));
    let server = Server::of(&[Answer::Token, Answer::Token, Answer::Token]);
    let source = server.source().with_clock(wall.clone());
    assert_eq!(ask(&source).await.unwrap(), token(0));
    wall.0.store(NOW - 3_600, Ordering::SeqCst);
    sleep(298).await;
    assert_eq!(ask(&source).await.unwrap(), token(0));
    sleep(3).await;
    assert_eq!(ask(&source).await.unwrap(), token(1));
    wall.0.store(NOW + 3_600, Ordering::SeqCst);
    assert_eq!(ask(&source).await.unwrap(), token(2));
}

/// A refused token is not returned again.
#[tokio::test(start_paused = true)]
async fn a_forgotten_token_is_got_anew() {
    let server = Server::of(&[]);
    let source = server.source();
    let (resource, scope) = (
        "https://tools.example/mcp".parse().unwrap(),
        "read".parse().unwrap(),
    );
    let first = source.token_for(&resource, &scope).await.unwrap();
    source.forget(&first);
    let next = source.token_for(&resource, &scope).await.unwrap();
    assert_eq!(next.fingerprint().to_string(), token(1));
    // Forgetting the old one again changes nothing.
    source.forget(&first);
    let again = source.token_for(&resource, &scope).await.unwrap();
    assert!(Arc::ptr_eq(&next, &again));
}
