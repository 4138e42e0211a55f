//! The guard without access tokens. Each refused input differs in one thing from an accepted one.

#![cfg(feature = "tool")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aims::cred::{WitIssuer, WitRules};
use aims::decision::{Authorize, Call, Decision, Denial, Reason};
use aims::guard::{BuildError, ProofMethod};
use aims::id::IdPattern;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::time::{Clock, Skew, UnixTime};
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::replay::ReplayCache;
use aims::resolve::{Keys, Need, Resolve, ResolveFuture, Resolved};
use aims::revoked::{Credential, Revoked};
use aims::wpt::Binding;
use aims::{Guard, Principal, Requirements};
use common::{CALL, Events, NOW, World, at, bare, bundle, key, proven, told};
use http::HeaderValue;
use http::request::Parts;

const AGENT: &str = "spiffe://example.org/agent";

fn code(guard: &Guard, request: &Parts) -> (&'static str, u16) {
    let (code, status, challenge) = told(guard.check(request, at(NOW)));
    assert_eq!(
        challenge, "",
        "a WIT or WPT failure has no challenge (WIT-07)"
    );
    (code, status)
}

#[test]
fn a_proven_agent_is_let_in() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let who = guard.check(&world.agent(AGENT).call(), at(NOW)).unwrap();
    assert_eq!(who.agent().unwrap().as_str(), AGENT);
    assert_eq!(
        (who.subject(), common::methods(&who)),
        (AGENT, vec![ProofMethod::Wpt])
    );
    assert_eq!(who.expires(), at(NOW + 3_600));
}

/// WIT-06, WIT-07, WPT-08: both fields must occur once, as compact JWTs. The answer is 400, or 431
/// before anything is parsed.
#[test]
fn the_two_fields_are_there_once() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let agent = world.agent(AGENT);
    assert_eq!(code(&guard, &bare()), ("guard.proof", 400));
    for (field, missing) in [
        ("workload-identity-token", true),
        ("workload-proof-token", true),
        ("workload-identity-token", false),
        ("workload-proof-token", false),
    ] {
        let mut request = agent.call();
        if missing {
            request.headers.remove(field);
            assert_eq!(
                code(&guard, &request),
                ("wpt.field_missing", 400),
                "{field}"
            );
        } else {
            let value = request.headers[field].clone();
            request.headers.append(field, value);
            assert_eq!(
                code(&guard, &request),
                ("wpt.field_repeated", 400),
                "{field}"
            );
        }
        let mut request = agent.call();
        request
            .headers
            .insert(field, HeaderValue::from_static("a.b.c.d"));
        assert_eq!(code(&guard, &request), ("wpt.field_syntax", 400), "{field}");
        let long = format!("a.b.{}", "c".repeat(8 * 1024));
        request.headers.insert(field, long.parse().unwrap());
        assert_eq!(
            code(&guard, &request),
            ("wpt.field_too_long", 431),
            "{field}"
        );
    }
}

/// T-033, WPT-02, WPT-05: a proof for another tool, of another WIT, or by another key is refused.
#[test]
fn a_proof_is_of_this_wit_for_this_tool() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let (agent, other) = (
        world.agent(AGENT),
        world.agent("spiffe://example.org/other"),
    );
    for audience in [
        "https://other.example/mcp/call",
        "https://tools.example/mcp",
        "https://tools.example/mcp/call/",
        "https://tools.example/mcp/call?x=1",
        "http://tools.example/mcp/call",
    ] {
        let request = proven(agent.wit.expose(), &agent.wpt(&Binding::to(audience)), None);
        assert_eq!(code(&guard, &request), ("wpt.audience", 400), "{audience}");
    }
    let stolen = proven(agent.wit.expose(), &other.wpt(&Binding::to(CALL)), None);
    assert_eq!(code(&guard, &stolen), ("wpt.signature", 400));
    let again = WitIssuer::new(Arc::new(world.ca.clone()), None)
        .issue(
            &agent.id,
            agent.key.public_jwk(),
            Duration::from_secs(60),
            at(NOW),
        )
        .unwrap();
    let mixed = proven(again.expose(), &agent.wpt(&Binding::to(CALL)), None);
    assert_eq!(code(&guard, &mixed), ("wpt.wth", 400));
}

/// T-136: a caller cannot change the audience by any field that names the host.
#[test]
fn the_audience_is_configuration() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let agent = world.agent(AGENT);
    let mut request = proven(
        agent.wit.expose(),
        &agent.wpt(&Binding::to("https://evil.example/mcp/call")),
        None,
    );
    for field in ["host", "x-forwarded-host", "forwarded"] {
        request
            .headers
            .insert(field, HeaderValue::from_static("evil.example"));
    }
    request.uri = "https://evil.example/mcp/call".parse().unwrap();
    assert_eq!(code(&guard, &request), ("wpt.audience", 400));
    let named = world.guard().proof_audience("tool-7").build().unwrap();
    let request = proven(agent.wit.expose(), &agent.wpt(&Binding::to("tool-7")), None);
    assert_eq!(code(&named, &request), ("ok", 200));
    assert_eq!(code(&named, &agent.call()), ("wpt.audience", 400));
}

/// WPT-04, T-034: a proof is accepted once.
#[test]
fn a_proof_is_spent() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let request = world.agent(AGENT).call();
    assert_eq!(code(&guard, &request), ("ok", 200));
    assert_eq!(code(&guard, &request), ("replay.replayed", 400));
    assert_eq!(
        code(&guard.requiring(Requirements::new()).unwrap(), &request),
        ("replay.replayed", 400)
    );
}

/// A full replay store refuses the request with 503, because the caller is not at fault.
#[test]
fn a_full_memory_refuses() {
    let world = World::new();
    let guard = world
        .guard()
        .replay(ReplayCache::in_memory(1).with_share(64))
        .build()
        .unwrap();
    let agent = world.agent(AGENT);
    let mut last = code(&guard, &agent.call());
    for _ in 0..64 {
        last = code(&guard, &agent.call());
    }
    assert!(
        last.0 == "replay.full" || last.0 == "replay.sender_full",
        "{}",
        last.0
    );
    assert_eq!(last.1, 503);
}

/// WIT-04, ID-07, T-032: only keys of the agent's own origin are trusted.
#[test]
fn other_origins_and_keys_are_not_trusted() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    for id in ["spiffe://example.com/agent", "wimse://example.org/agent"] {
        let stranger = world.agent(id);
        assert_eq!(
            code(&guard, &stranger.call()),
            ("trust.unknown_origin", 400),
            "{id}"
        );
    }
    let forger = World::new();
    assert_eq!(
        code(&guard, &forger.agent(AGENT).call()),
        ("wit.signature", 400)
    );
}

/// WIT-02, WIT-08, T-038: an expired WIT is refused, cached or not.
#[test]
fn an_expired_identity_is_refused() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let agent = world.agent(AGENT);
    assert_eq!(code(&guard, &agent.call()), ("ok", 200));
    let late = at(NOW + 3_600 + 30);
    assert_eq!(told(guard.check(&agent.call(), late)).0, "wit.expired");
    let fresh = world.guard().build().unwrap();
    assert_eq!(told(fresh.check(&agent.call(), late)).0, "wit.expired");
    // WPT-03: only the proof has expired.
    assert_eq!(
        told(guard.check(&agent.call(), at(NOW + 90))).0,
        "wpt.expired"
    );
}

/// T-038: the key leaves the bundle between two requests.
#[test]
fn a_withdrawn_key_ends_what_was_cached() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let agent = world.agent(AGENT);
    assert_eq!(code(&guard, &agent.call()), ("ok", 200));
    let next = key(Algorithm::Es256).with_key_id("next");
    world.trust.set(bundle(AGENT, &next, 2)).unwrap();
    assert_eq!(code(&guard, &agent.call()), ("trust.unknown_key", 400));
}

/// SVD-01: the guard can require the stricter profile.
#[test]
fn wit_rules_are_the_guards() {
    let world = World::new();
    world
        .trust
        .set(bundle("wimse://example.org/x", &world.ca, 1))
        .unwrap();
    let agent = world.agent("wimse://example.org/agent");
    // The keys in the bundle of a `wimse` origin have no `use`.
    assert_eq!(
        code(&world.guard().build().unwrap(), &agent.call()).0,
        "trust.unknown_key"
    );
    let guard = world
        .guard()
        .wit_rules(WitRules::wit_svid())
        .build()
        .unwrap();
    assert_eq!(code(&guard, &world.agent(AGENT).call()), ("ok", 200));
}

#[derive(Debug)]
struct AllRevoked;

impl Revoked for AllRevoked {
    fn is_revoked(&self, _: Credential<'_>, _: UnixTime) -> bool {
        true
    }
}

#[derive(Debug)]
struct Closed(Denial);

impl Authorize for Closed {
    fn authorize(&self, _: &Principal, call: &Call<'_>, _: UnixTime) -> Decision {
        assert_eq!(call.path, "/mcp/call");
        Decision::Deny(self.0.clone(), vec![Reason::new("policy.closed", "closed")])
    }
}

/// The guard asks all three hooks and follows their answers.
#[test]
fn the_seams_are_asked() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard().revoked(AllRevoked).build().unwrap();
    assert_eq!(code(&guard, &agent.call()), ("wit.revoked", 400));
    for (denial, expected) in [
        (Denial::Forbidden, ("guard.forbidden", 403)),
        (Denial::Unavailable, ("guard.unavailable", 503)),
    ] {
        let guard = world.guard().authorize(Closed(denial)).build().unwrap();
        assert_eq!(code(&guard, &agent.call()), expected);
    }
    let events = Events::default();
    let guard = world.guard().record(events.clone()).build().unwrap();
    let request = agent.call();
    assert_eq!(code(&guard, &request), ("ok", 200));
    assert_eq!(code(&guard, &request), ("replay.replayed", 400));
    let events = events.0.lock().unwrap();
    assert_eq!(events.len(), 2);
    let proven = "{ agent: Some(";
    assert!(events[0].contains("outcome: Accepted") && events[0].contains(proven));
    // A sender that only shows a credential is never named as the caller.
    assert!(
        events[1].contains("{ agent: None, claimed_agent: Some("),
        "{}",
        events[1]
    );
    assert!(events[1].contains("outcome: Refused") && events[1].contains("replay.replayed"));
    for event in events.iter() {
        assert!(event.contains(AGENT));
        assert!(!event.contains(agent.wit.expose()), "a token in a record");
    }
}

/// ID-08, T-031: each route has its own patterns of agents.
#[test]
fn a_route_names_its_agents() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let pattern: IdPattern = "spiffe://example.org/pay/*".parse().unwrap();
    let pay = guard
        .requiring(Requirements::new().agents(pattern))
        .unwrap();
    assert_eq!(
        code(&pay, &world.agent("spiffe://example.org/pay/x").call()),
        ("ok", 200)
    );
    for id in ["spiffe://example.org/payroll", "spiffe://example.org/agent"] {
        assert_eq!(
            code(&pay, &world.agent(id).call()),
            ("guard.forbidden", 403),
            "{id}"
        );
    }
}

/// WPT-06, WPT-07: a proof must cover a transaction token and other token fields.
#[test]
fn other_tokens_are_covered() {
    let world = World::new();
    let guard = world
        .guard()
        .token_field("x-context".parse().unwrap())
        .build()
        .unwrap();
    let agent = world.agent(AGENT);
    let mut request = agent.call();
    request
        .headers
        .insert("txn-token", HeaderValue::from_static("a.b.c"));
    assert_eq!(code(&guard, &request), ("wpt.tth", 400));
    let wpt = agent.wpt(
        &Binding::to(CALL)
            .txn_token("a.b.c")
            .header("x-context", b"v"),
    );
    let mut request = proven(agent.wit.expose(), &wpt, None);
    request
        .headers
        .insert("txn-token", HeaderValue::from_static("a.b.c"));
    assert_eq!(code(&guard, &request), ("wpt.oth", 400));
    request
        .headers
        .insert("x-context", HeaderValue::from_static("other"));
    assert_eq!(code(&guard, &request), ("wpt.oth", 400));
    request
        .headers
        .insert("x-context", HeaderValue::from_static(" v "));
    assert_eq!(code(&guard, &request), ("ok", 200));
    let wpt = agent.wpt(&Binding::to(CALL).header("x-context", b"v"));
    let mut twice = proven(agent.wit.expose(), &wpt, None);
    twice
        .headers
        .append("x-context", HeaderValue::from_static("v"));
    twice
        .headers
        .append("x-context", HeaderValue::from_static("w"));
    assert_eq!(code(&guard, &twice), ("wpt.oth", 400));
}

/// T-141: every refused identity gets the same answer.
#[test]
fn the_answer_does_not_tell_why() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let body = |request: &Parts| {
        let refusal = guard.check(request, at(NOW)).unwrap_err();
        let answer = refusal.into_response::<Vec<u8>>();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        answer.into_body()
    };
    let unknown = body(&world.agent("spiffe://nowhere.example/agent").call());
    let forged = body(&World::new().agent(AGENT).call());
    assert_eq!(unknown, forged);
    assert!(
        String::from_utf8(unknown)
            .unwrap()
            .contains("\"status\":400")
    );
}

/// A resource is a URL, and scopes need an issuer. A request without a proof and without a token is
/// refused, whatever the guard tolerates.
#[test]
fn nobody_is_never_let_in() {
    let world = World::new();
    let lax = Requirements::new().accept_bearer();
    let guard = world.guard().require(lax).build().unwrap();
    assert_eq!(code(&guard, &bare()), ("guard.proof", 400));
}

#[test]
fn what_cannot_be_guarded_is_refused() {
    let world = World::new();
    let built = |resource| {
        let builder = Guard::builder(resource).trust(Arc::clone(&world.trust));
        builder.build().unwrap_err()
    };
    for no_address in ["tools.example", "http://tools.example/"] {
        assert!(
            matches!(built(no_address), BuildError::Resource { .. }),
            "{no_address}"
        );
    }
    assert!(matches!(
        built("https://tools.example/?a"),
        BuildError::NotHttp { .. }
    ));
    let scopes = "tools:call".parse().unwrap();
    let scoped = Requirements::new().scopes(scopes);
    let built = world.guard().require(scoped).build();
    assert!(matches!(built, Err(BuildError::NoIssuer)));
    let other = ResourceMetadata::new("https://other.example".parse().unwrap());
    let built = world.guard().metadata(other).build();
    assert!(matches!(built, Err(BuildError::OtherResource { .. })));
}

/// One skew applies to all credentials, in any order of the settings.
#[test]
fn the_skew_holds_whatever_the_rules_say() {
    let world = World::new();
    let rules = WitRules::wit();
    let guard = world
        .guard()
        .skew(Skew::ZERO)
        .wit_rules(rules)
        .build()
        .unwrap();
    let request = world.agent(AGENT).call();
    let verdict = guard.check(&request, at(NOW + 61));
    assert_eq!(told(verdict).0, "wpt.expired");
}

/// Adds the new key to the store, and counts.
#[derive(Clone, Debug)]
struct Refreshing(Arc<(World, SigningKey, AtomicUsize)>);

impl Resolve for Refreshing {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        let Some(keys) = need.keys() else {
            return Box::pin(std::future::ready(Resolved::Unavailable));
        };
        let (world, next, count) = &*self.0;
        assert_eq!(keys, Keys::Origin(bundle(AGENT, next, 2).origin().clone()));
        count.fetch_add(1, Ordering::SeqCst);
        let newer = world.trust.set(bundle(AGENT, next, 2)).is_ok();
        let answer = if newer {
            Resolved::Changed
        } else {
            Resolved::Unchanged
        };
        Box::pin(std::future::ready(answer))
    }
}

#[derive(Debug)]
struct Then;

impl Clock for Then {
    fn now(&self) -> UnixTime {
        at(NOW)
    }
}

/// ATJ-11, T-085: an unknown key is requested once. A key that stays unknown is not requested
/// again, and no other refusal requests keys.
#[tokio::test]
async fn an_unknown_key_is_asked_for_once() {
    let mut signer = World::new();
    signer.ca = key(Algorithm::Es256).with_key_id("next");
    let refreshing = Refreshing(Arc::new((
        World::new(),
        signer.ca.clone(),
        AtomicUsize::new(0),
    )));
    let (world, _, count) = &*refreshing.0;
    let guard = world.guard().resolve(refreshing.clone()).clock(Then);
    let guard = guard.build().unwrap();
    let request = signer.agent(AGENT).call();
    assert_eq!(
        guard.check(&request, at(NOW)).unwrap_err().code(),
        "trust.unknown_key"
    );
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert!(guard.admit(&request).await.is_ok());
    assert_eq!(
        guard.admit(&request).await.unwrap_err().code(),
        "replay.replayed"
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);
    signer.ca = key(Algorithm::Es256).with_key_id("never");
    let request = signer.agent(AGENT).call();
    assert_eq!(
        guard.admit(&request).await.unwrap_err().code(),
        "trust.unknown_key"
    );
    assert_eq!(count.load(Ordering::SeqCst), 2);
}
