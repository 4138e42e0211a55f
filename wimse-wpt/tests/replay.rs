//! A proof is accepted once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use aims_jose::alg::Algorithm;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayCache, ReplayKey, ReplayStore};
use aims_wimse_wpt::{Binding, Revisions, WptRules};
use common::{AGENT, AUDIENCE, Agent, NOW, agent, at, code, draft01};
use serde_json::json;

const OTHER: &str = "spiffe://example.org/other";

/// Records its calls.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<(ReplayKey, UnixTime, UnixTime)>>);

impl ReplayStore for Asked {
    fn spend(
        &self,
        key: &ReplayKey,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), aims_replay::Error> {
        self.0.lock().unwrap().push((*key, until, now));
        Ok(())
    }
}

fn spend(agent: &Agent, proof: &str, store: &dyn ReplayStore, now: u64) -> &'static str {
    let (binding, rules) = (draft01(), WptRules::default());
    let rules = rules.with_revisions(Revisions::DRAFT_01);
    let verified = aims_wimse_wpt::verify(proof, &agent.wit, &binding, &rules, at(now));
    code(verified.and_then(|unspent| unspent.spend(store, at(now))))
}

/// WPT-04, T-034: with 64 threads and one proof, exactly one passes, in many rounds.
#[test]
fn one_of_many_threads_passes() {
    const THREADS: usize = 64;
    const ROUNDS: usize = 200;
    let agent = agent();
    let store = ReplayCache::in_memory(64 * ROUNDS);
    let proofs: Vec<_> = (0..ROUNDS)
        .map(|round| agent.proof(&json!({"jti": format!("round-{round}")})))
        .collect();
    let (passed, replayed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for (round, proof) in proofs.iter().enumerate() {
                    let verified = agent.verify(proof, &Binding::to(AUDIENCE)).unwrap();
                    barrier.wait();
                    match code(verified.spend(&store, at(NOW))) {
                        "ok" => passed.fetch_add(1, Ordering::SeqCst),
                        "replay.replayed" => replayed.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other}"),
                    };
                    barrier.wait();
                    assert_eq!(passed.load(Ordering::SeqCst), round + 1);
                    barrier.wait();
                }
            });
        }
    });
    assert_eq!(replayed.into_inner(), (THREADS - 1) * ROUNDS);
}

/// WPT-04: two senders may use the same `jti`; one sender may not, not even with another WIT and
/// key.
#[test]
fn ids_belong_to_their_sender() {
    let store = ReplayCache::in_memory(1000);
    let (agent, other) = (agent(), Agent::new(OTHER, Algorithm::Es256));
    let renewed = Agent::new(AGENT, Algorithm::Es256);
    let same = json!({"jti": "1"});
    assert_eq!(spend(&agent, &agent.proof(&same), &store, NOW), "ok");
    assert_eq!(spend(&other, &other.proof(&same), &store, NOW), "ok");
    let again = spend(&renewed, &renewed.proof(&same), &store, NOW);
    assert_eq!(again, "replay.replayed");
    let fresh = json!({"jti": "2"});
    assert_eq!(spend(&agent, &agent.proof(&fresh), &store, NOW), "ok");
}

/// WPT-04: the same `jti` with another signature or other claims is the same proof.
#[test]
fn a_proof_signed_again_is_a_replay() {
    let store = ReplayCache::in_memory(1000);
    let agent = agent();
    let (one, two) = (
        agent.proof(&json!({})),
        agent.proof(&json!({"exp": NOW + 61})),
    );
    assert_ne!(one, two);
    assert_eq!(spend(&agent, &one, &store, NOW), "ok");
    assert_eq!(spend(&agent, &one, &store, NOW), "replay.replayed");
    assert_eq!(spend(&agent, &two, &store, NOW), "replay.replayed");
}

/// T-035: remembered until `exp` plus the skew, which is as long as it verifies.
#[test]
fn remembered_as_long_as_it_verifies() {
    let agent = agent();
    let proof = agent.proof(&json!({}));
    let store = ReplayCache::in_memory(1000);
    assert_eq!(spend(&agent, &proof, &store, NOW), "ok");
    for (now, expected) in [
        (NOW + 60, "replay.replayed"),
        (NOW + 89, "replay.replayed"),
        (NOW + 90, "wpt.expired"),
    ] {
        assert_eq!(spend(&agent, &proof, &store, now), expected, "{now}");
    }
    let asked = Asked::default();
    assert_eq!(spend(&agent, &proof, &asked, NOW + 1), "ok");
    let rules = WptRules::default().with_skew(Skew::ZERO);
    let binding = Binding::to(AUDIENCE);
    let exact = aims_wimse_wpt::verify(&proof, &agent.wit, &binding, &rules, at(NOW)).unwrap();
    exact.spend(&asked, at(NOW)).unwrap();
    let key = ReplayKey::new("wpt", AGENT, &["d9b1Y2GSRyqcDv8FQnoQ7A"]);
    let expected = [
        (key, at(NOW + 90), at(NOW + 1)),
        (key, at(NOW + 60), at(NOW)),
    ];
    assert_eq!(asked.0.into_inner().unwrap(), expected);
}

/// T-036: an invalid proof is not stored, and does not use up the `jti` of the valid proof.
#[test]
fn only_what_verifies_is_stored() {
    let (agent, other) = (agent(), Agent::new(OTHER, Algorithm::Es256));
    let store = ReplayCache::in_memory(1000);
    let id = json!("taken");
    let forged = common::sign("wpt+jwt", &other.key, &agent.claims());
    assert_eq!(spend(&agent, &forged, &store, NOW), "wpt.signature");
    for bad in [
        json!({"jti": id, "aud": "https://other.example.com/"}),
        json!({"jti": id, "wth": "x"}),
        json!({"jti": id, "ath": "x"}),
        json!({"jti": id, "tth": "x"}),
        json!({"jti": id, "oth": {"x": "x"}}),
        json!({"jti": id, "exp": NOW - 60}),
    ] {
        assert_ne!(
            spend(&agent, &agent.proof(&bad), &store, NOW),
            "ok",
            "{bad}"
        );
    }
    assert_eq!(store.live(at(NOW)), 0);
    // A verified proof that is not spent is not stored either.
    let good = agent.proof(&json!({"jti": id}));
    drop(agent.verify(&good, &Binding::to(AUDIENCE)).unwrap());
    assert_eq!(store.live(at(NOW)), 0);
    assert_eq!(spend(&agent, &good, &store, NOW), "ok");
    assert_eq!(store.live(at(NOW)), 1);
}

/// T-035, T-036: a full store refuses, also a sender over its share, and forgets nothing for them.
#[test]
fn a_full_store_refuses() {
    let agent = agent();
    let fill = |store: &ReplayCache| {
        let spent = |id: u32| {
            let proof = agent.proof(&json!({"jti": id.to_string()}));
            spend(&agent, &proof, store, NOW)
        };
        let last = (0..200).map(spent).find(|code| *code != "ok");
        (spent(0), last.unwrap())
    };
    let shared = ReplayCache::in_memory(1);
    assert_eq!(fill(&shared), ("replay.replayed", "replay.sender_full"));
    let other = Agent::new(OTHER, Algorithm::Es256);
    assert_eq!(spend(&other, &other.proof(&json!({})), &shared, NOW), "ok");
    let alone = ReplayCache::in_memory(1).with_share(64);
    assert_eq!(fill(&alone), ("replay.replayed", "replay.full"));
    let refused = spend(&other, &other.proof(&json!({})), &alone, NOW);
    assert_eq!(refused, "replay.full");
}

/// T-037: a `jti` of any form becomes a key of fixed length, and no two are confused.
#[test]
fn odd_ids_do_not_collide() {
    let agent = agent();
    let store = ReplayCache::in_memory(1000);
    let long = "a".repeat(5000);
    for id in [
        "a",
        "a ",
        "A",
        "a:b",
        "a\u{0}b",
        "spiffe://example.org/agent",
        &long,
    ] {
        let proof = agent.proof(&json!({"jti": id}));
        assert_eq!(spend(&agent, &proof, &store, NOW), "ok", "{id}");
        assert_eq!(
            spend(&agent, &proof, &store, NOW),
            "replay.replayed",
            "{id}"
        );
    }
}
