mod revocations;
mod stand_in;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aims_jose::time::{Clock, UnixTime, at};
use aims_replay::{Error as ReplayError, ReplayKey, Validity};
use stand_in::StandIn;

use super::{Error, SharedStore};
use crate::resolve::{Need, Resolve as _, Resolved, Spending};
use crate::revoked::RevokedBy;

/// A fault of the server.
type Fault = fn(&StandIn);

/// A clock that shows what it was set to.
#[derive(Clone, Default)]
struct Set(Arc<AtomicU64>);

impl Clock for Set {
    fn now(&self) -> UnixTime {
        at(self.0.load(Ordering::Relaxed))
    }
}

/// Seconds after which a proof is newer than the store. Each store rounds up.
const LATER: u64 = 10;

struct Scene {
    redis: StandIn,
    clock: Set,
    one: SharedStore,
    two: SharedStore,
}

impl Scene {
    async fn new() -> Self {
        let (redis, clock) = (StandIn::start().await, Set::default());
        clock.0.store(UnixTime::now().as_secs(), Ordering::Relaxed);
        let one = connect(&redis, &clock).await.unwrap();
        let two = connect(&redis, &clock).await.unwrap();
        Self {
            redis,
            clock,
            one,
            two,
        }
    }

    fn now(&self) -> u64 {
        self.clock.now().as_secs()
    }

    fn pass(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    /// A proof that was acceptable from this number of seconds after the clock's time on.
    fn proof(&self, id: &str, after: u64) -> Spending {
        let from = self.now() + after;
        let valid = Validity::new(at(from), at(from + 300));
        Spending::new(ReplayKey::new("wpt", "a", &[id]), valid)
    }
}

async fn connect(redis: &StandIn, clock: &Set) -> Result<SharedStore, Error> {
    let store = SharedStore::builder(&redis.url())?.clock(clock.clone());
    let store = store.timeout(Duration::from_millis(200));
    store.lease(Duration::from_millis(2_500)).connect().await
}

async fn spend(store: &SharedStore, proof: &Spending) -> Result<(), ReplayError> {
    let need = Need::SharedReplay(vec![proof.clone()]);
    match store.replay().resolve(need).await {
        Resolved::Spent(outcome) => outcome,
        other => unreachable!("{other:?}"),
    }
}

/// Waits until the condition holds, for at most ten seconds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!("not within ten seconds: {what}");
}

fn everyone(issuer: &str) -> RevokedBy {
    RevokedBy::Issuer(issuer.to_owned())
}

/// A proof passes once, at whichever store. One from before the store began passes never.
#[tokio::test]
async fn a_proof_is_spent_once_by_all() {
    let scene = Scene::new().await;
    let old = scene.proof("old", 0);
    assert_eq!(spend(&scene.one, &old).await, Err(ReplayError::BeforeStart));
    let new = scene.proof("new", LATER);
    assert_eq!(spend(&scene.one, &new).await, Ok(()));
    assert_eq!(spend(&scene.two, &new).await, Err(ReplayError::Replayed));
    assert_eq!(spend(&scene.one, &new).await, Err(ReplayError::Replayed));
    let both = Need::SharedReplay(vec![scene.proof("other", LATER), new.clone()]);
    let both = scene.one.replay().resolve(both).await;
    assert!(matches!(both, Resolved::Spent(Err(ReplayError::Replayed))));
    scene.pass(400);
    assert_eq!(spend(&scene.one, &new).await, Err(ReplayError::Expired));
    let far = Validity::new(at(scene.now() + LATER), at(u64::MAX));
    let far = Spending::new(ReplayKey::new("wpt", "a", &["far"]), far);
    assert_eq!(spend(&scene.one, &far).await, Err(ReplayError::Horizon));
}

/// After each fault by which the server can lose entries, what was accepted before is refused
/// by the stores that were there and by a new one. Proofs that are made later pass.
#[tokio::test]
async fn what_the_server_may_have_lost_is_refused() {
    let faults: [(&str, Fault); 4] = [
        ("a start without data", |redis| {
            redis.with(|it| {
                it.flush();
                it.run_id = "bbbb".to_owned();
            });
        }),
        ("a start with data that may be old", |redis| {
            redis.with(|it| it.run_id = "cccc".to_owned());
        }),
        ("FLUSHALL", |redis| redis.with(stand_in::State::flush)),
        ("a clock that was set", |redis| {
            redis.with(|it| it.ahead = 3_600)
        }),
    ];
    for (name, fault) in faults {
        let scene = Scene::new().await;
        let used = scene.proof("used", LATER);
        assert_eq!(spend(&scene.one, &used).await, Ok(()), "{name}");
        scene.pass(60);
        fault(&scene.redis);
        for _ in 0..3 {
            for store in [&scene.one, &scene.two] {
                assert_ne!(spend(store, &used).await, Ok(()), "{name}");
            }
        }
        // The same with proofs that were not used: no store can know. First they notice the loss.
        let mut outcome = Err(ReplayError::Unavailable);
        let mut number = 0;
        while outcome == Err(ReplayError::Unavailable) {
            let unused = scene.proof(&format!("unused {number}"), 0);
            outcome = spend(&scene.one, &unused).await;
            number += 1;
        }
        assert_eq!(outcome, Err(ReplayError::BeforeStart), "{name}");
        until(name, || scene.one.is_ready() && scene.two.is_ready()).await;
        let third = connect(&scene.redis, &scene.clock).await.unwrap();
        let early = scene.proof("early", 0);
        for proof in [&used, &early] {
            assert_ne!(spend(&third, proof).await, Ok(()), "{name}");
        }
        // A clock that is an hour ahead counts for a minute.
        let later = scene.proof("later", LATER + 60);
        assert_eq!(spend(&scene.one, &later).await, Ok(()), "{name}");
        assert_ne!(spend(&scene.one, &later).await, Ok(()), "{name}");
    }
}

/// A server that does not answer is given up after three time-outs. Then nothing is sent to it
/// by requests until it answers again.
#[tokio::test]
async fn a_silent_server_opens_the_circuit() {
    let scene = Scene::new().await;
    scene.redis.with(|it| it.is_silent = true);
    for id in ["1", "2", "3"] {
        let proof = scene.proof(id, LATER);
        assert_eq!(
            spend(&scene.one, &proof).await,
            Err(ReplayError::Unavailable)
        );
    }
    assert!(!scene.one.is_ready());
    let before = scene.redis.with(|it| it.commands);
    let proof = scene.proof("4", LATER);
    for _ in 0..100 {
        assert_eq!(
            spend(&scene.one, &proof).await,
            Err(ReplayError::Unavailable)
        );
    }
    // The background task tries to connect, and the other store asks as well.
    assert!(scene.redis.with(|it| it.commands) < before + 50);
    scene.redis.with(|it| it.is_silent = false);
    until("connected", || scene.one.is_ready()).await;
    assert_eq!(spend(&scene.one, &proof).await, Ok(()));
}

/// A store is not made on a server that evicts, refuses the password or is none, and ends with one
/// that begins to evict.
#[tokio::test]
async fn unsuitable_servers_are_refused() {
    let scene = Scene::new().await;
    let code = |store: Result<SharedStore, Error>| store.err().map(|error| error.code());
    scene.redis.with(|it| it.policy = "allkeys-lru".to_owned());
    let refused = connect(&scene.redis, &scene.clock).await;
    assert!(
        refused
            .as_ref()
            .is_err_and(|it| it.to_string().contains("allkeys-lru"))
    );
    assert_eq!(code(refused), Some("redis.eviction"));
    until("given up", || !scene.one.is_ready()).await;
    let proof = scene.proof("1", LATER);
    assert_eq!(
        spend(&scene.one, &proof).await,
        Err(ReplayError::Unavailable)
    );
    scene.redis.with(|it| it.policy = "noeviction".to_owned());
    until("good again", || scene.one.is_ready()).await;

    scene
        .redis
        .with(|it| it.password = Some("right".to_owned()));
    let refused = connect(&scene.redis, &scene.clock).await;
    assert_eq!(code(refused), Some("redis.login"));
    let wrong = scene.redis.url().replace("//", "//:wrong@");
    let wrong = SharedStore::builder(&wrong).unwrap().connect().await;
    assert_eq!(code(wrong), Some("redis.login"));
    let right = scene.redis.url().replace("//", "//:right@");
    let right = SharedStore::builder(&right).unwrap();
    assert!(!format!("{right:?}").contains("right"));
    assert!(right.connect().await.is_ok());

    scene.redis.with(|it| it.password = None);
    scene.redis.with(|it| it.run_id = String::new());
    let refused = connect(&scene.redis, &scene.clock).await;
    assert_eq!(code(refused), Some("redis.reply"));
    for url in ["http://redis.example", "redis.example", "redis://", ""] {
        let refused = SharedStore::builder(url).err().map(|error| error.code());
        assert_eq!(refused, Some("redis.url"), "{url}");
    }
    let nobody = SharedStore::builder("redis://127.0.0.1:1").unwrap();
    assert_eq!(code(nobody.connect().await), Some("redis.unavailable"));
}

/// A full server refuses new proofs and revocations, and keeps what it has. The revocation is in
/// effect here, and is published when there is room.
#[tokio::test]
async fn a_full_server_refuses() {
    let scene = Scene::new().await;
    let used = scene.proof("used", LATER);
    assert_eq!(spend(&scene.one, &used).await, Ok(()));
    scene.redis.with(|it| it.is_full = true);
    assert_eq!(
        spend(&scene.one, &scene.proof("new", LATER)).await,
        Err(ReplayError::Full)
    );
    assert_ne!(spend(&scene.two, &used).await, Ok(()));
    let own = scene.one.revocations();
    let refused = own.revoke(everyone("https://a.example"), at(5)).await;
    assert_eq!(refused.unwrap_err().code(), "redis.unavailable");
    assert_eq!(own.list().len(), 1);
    assert!(scene.one.is_ready());
    scene.redis.with(|it| it.is_full = false);
    until("published", || scene.two.revocations().list().len() == 1).await;
}
