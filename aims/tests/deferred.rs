//! Guards that wait for other machines: a shared replay store, and remote decisions.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::Principal;
use aims::decision::{Attributes, Decision, Denial, Extract, Reason};
use aims::guard::{Deferred, Guard};
use aims::jose::time::{Clock, UnixTime};
use aims::replay;
use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
use common::{Events, NOW, Then, World, at};
use http::request::Parts;

const AGENT: &str = "spiffe://example.org/agent";

/// A remote machine that answers all needs and records them.
#[derive(Clone, Debug, Default)]
struct Elsewhere(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    spent: HashSet<[u8; 32]>,
    asked: Vec<&'static str>,
    /// The kind of answer that it gives.
    mood: Mood,
}

#[derive(Clone, Copy, Debug, Default)]
enum Mood {
    #[default]
    Good,
    /// It does what is asked, but its answer is lost.
    Silent,
    /// It gives an answer of another kind.
    Confused,
    Denying,
}

impl Resolve for Elsewhere {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let (answer, mood) = {
                let mut state = self.0.lock().unwrap();
                let answer = state.answer(need);
                (answer, state.mood)
            };
            match mood {
                Mood::Silent => std::future::pending().await,
                Mood::Confused => Resolved::Changed,
                Mood::Good | Mood::Denying => answer,
            }
        })
    }
}

impl State {
    fn answer(&mut self, need: Need) -> Resolved {
        match need {
            Need::SharedReplay(proofs) => {
                self.asked.push("replay");
                let fresh = proofs
                    .iter()
                    .all(|it| self.spent.insert(*it.key.as_bytes()));
                Resolved::Spent(if fresh {
                    Ok(())
                } else {
                    Err(replay::Error::Replayed)
                })
            }
            Need::Decision(request) => {
                self.asked.push("decision");
                let tool = request.call().attributes.get(Attributes::TOOL);
                assert_eq!(tool, Some("weather"));
                assert_eq!(request.principal.agent().unwrap().as_str(), AGENT);
                Resolved::Decided(match self.mood {
                    Mood::Denying => Decision::Deny(
                        Denial::Forbidden,
                        vec![Reason::new("policy.7", "not today")],
                    ),
                    _ => Decision::Allow(vec![Reason::new("policy.1", "allowed")]),
                })
            }
            Need::Bundle(_)
            | Need::IssuerKeys(_)
            | Need::TransactionKeys(_)
            | Need::Introspection(_) => Resolved::Unchanged,
        }
    }
}

#[derive(Debug)]
struct Weather;

impl Extract for Weather {
    fn extract(&self, _: &Parts, call: &mut Attributes) {
        call.insert(Attributes::TOOL, "weather");
    }
}

fn guard(world: &World, elsewhere: &Elsewhere, events: &Events) -> Guard<Deferred> {
    let guard = world.guard().clock(Then).record(events.clone());
    let guard = guard.extract(Weather).deadline(Duration::from_secs(5));
    let guard = guard.shared_replay(elsewhere.clone());
    let guard = guard.authorize_elsewhere(elsewhere.clone());
    guard.build().unwrap()
}

async fn code(guard: &Guard<Deferred>, request: &Parts) -> &'static str {
    let verdict: Result<Principal, _> = guard.admit(request).await;
    verdict.map_or_else(|it| it.code(), |_| "ok")
}

/// The proof is spent remotely, once for all guards that share the store. Then the call is decided
/// remotely; a spent proof is not refused as a replay when the decision arrives.
#[tokio::test]
async fn proofs_are_spent_and_calls_decided_elsewhere() {
    let (world, elsewhere, events) = (World::new(), Elsewhere::default(), Events::default());
    let (one, two) = (
        guard(&world, &elsewhere, &events),
        guard(&world, &elsewhere, &events),
    );
    let request = world.agent(AGENT).call();
    assert_eq!(code(&one, &request).await, "ok");
    assert_eq!(code(&two, &request).await, "replay.replayed");
    assert_eq!(code(&one, &request).await, "replay.replayed");
    let asked = elsewhere.0.lock().unwrap().asked.clone();
    assert_eq!(asked, ["replay", "decision", "replay", "replay"]);
    let events = events.0.lock().unwrap();
    assert_eq!(events.len(), 3);
    assert!(events[0].contains("policy.1") && events[0].contains("weather"));
}

/// A refusal by the decision names the proven agent; the proof stays spent.
#[tokio::test]
async fn a_decision_can_refuse() {
    let (world, elsewhere, events) = (World::new(), Elsewhere::default(), Events::default());
    let guard = guard(&world, &elsewhere, &events);
    let request = world.agent(AGENT).call();
    elsewhere.0.lock().unwrap().mood = Mood::Denying;
    assert_eq!(code(&guard, &request).await, "guard.forbidden");
    elsewhere.0.lock().unwrap().mood = Mood::Good;
    assert_eq!(code(&guard, &request).await, "replay.replayed");
    assert!(events.0.lock().unwrap()[0].contains("{ agent: Some("));
}

/// A lost answer or one of another kind refuses the request, and the proof counts as spent.
#[tokio::test(start_paused = true)]
async fn what_is_unknown_counts_as_spent() {
    for mood in [Mood::Silent, Mood::Confused] {
        let (world, elsewhere, events) = (World::new(), Elsewhere::default(), Events::default());
        let guard = guard(&world, &elsewhere, &events);
        let request = world.agent(AGENT).call();
        elsewhere.0.lock().unwrap().mood = mood;
        assert_eq!(code(&guard, &request).await, "replay.unavailable");
        assert!(events.0.lock().unwrap()[0].contains("{ agent: None"));
        elsewhere.0.lock().unwrap().mood = Mood::Good;
        assert_eq!(code(&guard, &request).await, "replay.replayed");
    }
}

/// A clock that shows each of these seconds once, and then always the last one.
#[derive(Debug)]
struct Shown(Mutex<Vec<u64>>);

impl Clock for Shown {
    fn now(&self) -> UnixTime {
        let mut left = self.0.lock().unwrap();
        let next = if left.len() > 1 {
            left.remove(0)
        } else {
            left[0]
        };
        at(next)
    }
}

/// A store that answers after a proof has expired may have forgotten it, so the proof is refused.
#[tokio::test]
async fn a_proof_that_ends_while_it_is_spent_is_refused() {
    for (answered, expected) in [(NOW + 90, "ok"), (NOW + 91, "replay.expired")] {
        let (world, elsewhere) = (World::new(), Elsewhere::default());
        let guard = world.guard().clock(Shown(Mutex::new(vec![NOW, answered])));
        let guard = guard.shared_replay(elsewhere.clone()).build().unwrap();
        let request = world.agent(AGENT).call();
        assert_eq!(code(&guard, &request).await, expected);
    }
}
