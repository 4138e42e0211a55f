//! Edge cases of renewal: randomness, clones, panics, unusable issuers; and the checks of an
//! identity.

#![cfg(feature = "tokio")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::key::{Signer, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, UnixTime};
use aims_wimse_cred::source::{Issue, IssueFuture, RenewingSource};
use aims_wimse_cred::{Error, Identity, IdentitySource as _};
use common::{NOW, at, claims, code, key, sign};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// A wall clock that follows tokio's clock.
#[derive(Clone, Copy, Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> UnixTime {
        at(NOW + self.0.elapsed().as_secs())
    }
}

/// A wall clock that jumps ahead of tokio's clock: the machine was suspended, or its clock was set.
#[derive(Debug)]
struct Jumping(Paused, AtomicU64);

impl Clock for Jumping {
    fn now(&self) -> UnixTime {
        at(self.0.now().as_secs() + self.1.load(Ordering::SeqCst))
    }
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    /// An identity for this many seconds.
    For(u64),
    Fails,
    Hangs,
    Panics,
}

/// Returns its answers in turn, then fails; records the times of the requests.
#[derive(Clone, Debug)]
struct Script(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<u64>>,
    clock: Paused,
}

impl Script {
    fn of(answers: &[Answer]) -> Self {
        let answers = Mutex::new(answers.iter().copied().collect());
        let (asked, clock) = (Mutex::default(), Paused(Instant::now()));
        Self(Arc::new(Inner {
            answers,
            asked,
            clock,
        }))
    }
    fn then(&self, answers: &[Answer]) {
        let mut all = self
            .0
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.extend(answers);
    }
    fn asked(&self) -> Vec<u64> {
        self.0
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    async fn start(&self, random: &'static dyn SecureRandom) -> Result<RenewingSource, Error> {
        let builder = RenewingSource::builder(self.clone()).with_clock(Arc::new(self.0.clock));
        builder.with_random(random).start().await
    }
    fn identity(&self, source: &RenewingSource) -> &'static str {
        code(source.identity(self.0.clock.now()))
    }
}

impl Issue for Script {
    fn issue(&self) -> IssueFuture<'_> {
        let now = self.0.clock.0.elapsed().as_secs();
        self.0
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(now);
        let next = self
            .0
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        Box::pin(async move {
            match next.unwrap_or(Answer::Fails) {
                Answer::For(seconds) => Ok(good(now, seconds)),
                Answer::Fails => Err(Arc::from(Box::from("no"))),
                Answer::Hangs => std::future::pending().await,
                Answer::Panics => panic!("an issuer may do this"),
            }
        })
    }
}

fn good(now: u64, seconds: u64) -> Identity {
    let agent = key(Algorithm::Es256, "a");
    let mut claims = claims(&agent);
    (claims["iat"], claims["exp"]) = ((NOW + now).into(), (NOW + now + seconds).into());
    let wit = sign("wit+jwt", &key(Algorithm::Es256, "ca"), &claims);
    join(&wit, &agent).unwrap()
}

fn join(wit: &str, key: &SigningKey) -> Result<Identity, Error> {
    Identity::new(
        SecretText::new(wit),
        Arc::new(key.clone()),
        key.public_jwk(),
    )
}

/// Returns always the same number, or fails.
#[derive(Debug)]
struct Fixed(Option<u64>);

impl SecureRandom for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
        let number = self.0.ok_or(aims_jose::Error::Random)?.to_le_bytes();
        buffer.copy_from_slice(&number);
        Ok(())
    }
}

static LATEST: Fixed = Fixed(Some(0));
static EARLIEST: Fixed = Fixed(Some(30_000));
static NONE: Fixed = Fixed(None);

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// F-03: with a lifetime of 300 s, the renewal is between 170 s and 200 s; without randomness it is
/// at 200 s.
#[tokio::test(start_paused = true)]
async fn chance_moves_the_renewal() {
    for (random, expected) in [(&LATEST, 200), (&EARLIEST, 170), (&NONE, 200)] {
        let script = Script::of(&[Answer::For(300), Answer::For(300)]);
        let source = script.start(random).await.unwrap();
        sleep(expected + 1).await;
        assert_eq!(script.asked(), [0, expected]);
        assert_eq!(script.identity(&source), "ok");
    }
}

/// F-03: the pauses after failures are 1, 2, 4, … 60 s; after a success they begin again.
#[tokio::test(start_paused = true)]
async fn waits_double_up_to_a_minute() {
    let mut answers = vec![Answer::For(300)];
    answers.extend([Answer::Fails; 8]);
    answers.push(Answer::For(300));
    let script = Script::of(&answers);
    let source = script.start(&LATEST).await.unwrap();
    sleep(200 + 63 + 120 + 1).await;
    let asked = script.asked();
    let waits: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [200, 1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(script.identity(&source), "ok");
    sleep(203).await;
    let asked = script.asked();
    assert_eq!(asked[10..], [583, 584, 586]);
}

/// F-03, F-04: after a jump of the clock, an overdue renewal starts within half a minute: before
/// and after the expiry, while waiting for a renewal and in a pause.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_is_followed() {
    for (jump, expected) in [(3_000, "ok"), (10_000, "source.expired")] {
        let script = Script::of(&[Answer::For(4_000), Answer::Fails, Answer::For(40_000)]);
        let clock = Arc::new(Jumping(script.0.clock, AtomicU64::new(0)));
        let builder = RenewingSource::builder(script.clone()).with_clock(clock.clone());
        let source = builder.with_random(&LATEST).start().await.unwrap();
        sleep(45).await;
        assert_eq!(script.asked(), [0]);
        clock.1.store(jump, Ordering::SeqCst);
        assert_eq!(code(source.identity(clock.now())), expected);
        sleep(14).await;
        assert_eq!(script.asked(), [0], "not before it looks again");
        sleep(3).await;
        assert_eq!(script.asked(), [0, 60, 61]);
        assert_eq!(code(source.identity(clock.now())), "ok");
    }
    // A pause of a minute ends early too.
    let mut answers = vec![Answer::For(300)];
    answers.extend([Answer::Fails; 7]);
    let script = Script::of(&answers);
    let clock = Arc::new(Jumping(script.0.clock, AtomicU64::new(0)));
    let builder = RenewingSource::builder(script.clone()).with_clock(clock.clone());
    let _source = builder.with_random(&LATEST).start().await.unwrap();
    sleep(200 + 63 + 1).await;
    assert_eq!(script.asked().last(), Some(&263));
    clock.1.store(60, Ordering::SeqCst);
    sleep(30).await;
    assert_eq!(script.asked().last(), Some(&293));
}

/// F-04: a clock that goes back delays no renewal.
#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_delays_nothing() {
    let script = Script::of(&[Answer::For(300), Answer::For(300)]);
    let clock = Arc::new(Jumping(script.0.clock, AtomicU64::new(100)));
    let builder = RenewingSource::builder(script.clone()).with_clock(clock.clone());
    let _source = builder.with_random(&LATEST).start().await.unwrap();
    // The clock shows that 200 s are left.
    sleep(10).await;
    clock.1.store(0, Ordering::SeqCst);
    sleep(124).await;
    assert_eq!(script.asked(), [0, 133]);
}

/// F-03: without a valid first identity there is no source; an expired one is not valid.
#[tokio::test(start_paused = true)]
async fn a_start_needs_an_identity() {
    for (answer, expected) in [
        (Answer::Fails, "source.unavailable"),
        (Answer::Hangs, "source.unavailable"),
        (Answer::For(0), "source.expired"),
    ] {
        let script = Script::of(&[answer]);
        assert_eq!(code(script.start(&LATEST).await), expected, "{answer:?}");
        assert_eq!(script.asked().len(), 1);
    }
}

/// F-03, WIT-08: a renewal that has already expired does not replace a valid identity.
#[tokio::test(start_paused = true)]
async fn a_useless_renewal_replaces_nothing() {
    let script = Script::of(&[Answer::For(300), Answer::For(0), Answer::Hangs]);
    let source = script.start(&LATEST).await.unwrap();
    sleep(299).await;
    assert_eq!(script.identity(&source), "ok");
    assert!(script.asked().len() > 3, "the hanging one was given up");
    sleep(1).await;
    assert_eq!(script.identity(&source), "source.expired");
}

/// F-03: an issuer that panics fails one renewal; the next one follows as after any failure.
#[tokio::test(start_paused = true)]
async fn a_panicking_issuer_fails_closed() {
    let answers = [Answer::For(300), Answer::Panics, Answer::Panics];
    let script = Script::of(&answers);
    let source = script.start(&LATEST).await.unwrap();
    sleep(299).await;
    assert_eq!(script.identity(&source), "ok");
    sleep(1).await;
    assert_eq!(script.identity(&source), "source.expired");
    assert_eq!(script.asked()[..4], [0, 200, 201, 203], "it goes on");
    script.then(&[Answer::For(300)]);
    sleep(60).await;
    assert_eq!(script.identity(&source), "ok", "it recovers");
    let panicking = Script::of(&[Answer::Panics]);
    assert_eq!(code(panicking.start(&LATEST).await), "source.unavailable");
}

/// F-22: dropping the source, in a pause or during a call, leaves no task.
#[tokio::test(start_paused = true)]
async fn the_end_leaves_no_task() {
    let alive = || Handle::current().metrics().num_alive_tasks();
    for second in [Answer::For(300), Answer::Hangs] {
        let script = Script::of(&[Answer::For(300), second]);
        let source = script.start(&LATEST).await.unwrap();
        sleep(201).await;
        let tasks = if matches!(second, Answer::Hangs) {
            2
        } else {
            1
        };
        assert_eq!(alive(), tasks, "{second:?}");
        drop(source);
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(alive(), 0, "{second:?}");
    }
    // A call that timed out leaves no task either.
    let script = Script::of(&[Answer::Hangs]);
    assert_eq!(code(script.start(&LATEST).await), "source.unavailable");
    tokio::task::yield_now().await;
    assert_eq!(alive(), 0);
}

/// F-03: clones share one task, which ends with the last of them, even during a call.
#[tokio::test(start_paused = true)]
async fn the_last_clone_ends_the_task() {
    let answers = [Answer::For(300), Answer::For(300), Answer::Hangs];
    let script = Script::of(&answers);
    let source = script.start(&LATEST).await.unwrap();
    let clone = source.clone();
    drop(source);
    sleep(201).await;
    assert_eq!(script.asked(), [0, 200]);
    sleep(200).await;
    assert_eq!(script.asked(), [0, 200, 400], "it hangs now");
    drop(clone);
    sleep(3_600).await;
    assert_eq!(script.asked(), [0, 200, 400]);
}

/// WIT-02, WIT-08: each WIT that an identity refuses; the same key for another algorithm is
/// refused.
#[test]
fn an_identity_refuses_what_does_not_fit() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Ed25519, "a"));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims(&agent);
        change(&mut claims);
        code(join(&sign("wit+jwt", &ca, &claims), &agent))
    };
    let jwk =
        |member: &str, value: Value| with(&|claims| claims["cnf"]["jwk"][member] = value.clone());
    assert_eq!(with(&|_| {}), "ok");
    assert_eq!(with(&|claims| claims["sub"] = json!("a")), "cred.subject");
    for claim in ["sub", "exp", "cnf"] {
        assert_eq!(with(&|claims| claims[claim] = Value::Null), "wit.claim");
        let without = |claims: &mut Value| drop(claims.as_object_mut().unwrap().remove(claim));
        assert_eq!(with(&without), "wit.claim", "{claim}");
    }
    assert_eq!(
        with(&|claims| claims["cnf"] = json!({})),
        "wit.confirmation"
    );
    assert_eq!(jwk("alg", Value::Null), "wit.confirmation");
    assert_eq!(jwk("d", json!("AAAA")), "wit.confirmation");
    assert_eq!(jwk("alg", json!("EdDSA")), "source.key");
    assert_eq!(jwk("alg", json!("none")), "wit.confirmation");
    let other: Value = serde_json::from_str(&common::bare(&key(Algorithm::Ed25519, "b"))).unwrap();
    assert_eq!(jwk("x", other["x"].clone()), "source.key");
    // A signer of another algorithm with the right public key.
    let wit = sign("wit+jwt", &ca, &claims(&agent));
    let signer: Arc<dyn Signer> = Arc::new(SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap());
    let mixed = Identity::new(SecretText::new(wit), signer, agent.public_jwk());
    assert_eq!(code(mixed), "source.key");
}
