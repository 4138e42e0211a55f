//! Proofs that may have been used before the guard was started (L2).

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims::Guard;
use aims::guard::{Dpop, GuardBuilder, HttpSignatures, Trusting};
use aims::http_sig::HttpRequest;
use aims::http_sig::profile::wimse::{Content, RequestSigning};
use aims::jose::alg::Algorithm;
use aims::jose::digest::{Hashed, sha256};
use aims::jose::{base64url, random};
use aims::oauth_wire::dpop;
use aims::replay::ReplayCache;
use common::{Agent, CALL, NOW, TOOL, Then, World, at, bare, proven, sign, told};
use http::request::Parts;
use serde_json::json;

/// A guard that is started at [`NOW`].
fn started(world: &World, url: &str) -> GuardBuilder<Trusting> {
    let guard = Guard::builder(url).trust(Arc::clone(&world.trust));
    let guard = guard.wpt_revisions(aims::wpt::Revision::Draft01);
    guard.http_signatures(HttpSignatures::new()).clock(Then)
}

/// A call with a WPT of these times.
fn wpt(agent: &Agent, iat: Option<u64>, exp: u64) -> Parts {
    wpt_to(CALL, agent, iat, exp)
}

fn wpt_to(aud: &str, agent: &Agent, iat: Option<u64>, exp: u64) -> Parts {
    let wit = agent.wit.expose();
    let mut claims = json!({
        "aud": aud, "exp": exp, "jti": random::id128(random::SYSTEM).unwrap(),
        "wth": base64url::encode(&sha256(wit.as_bytes())),
    });
    if let Some(iat) = iat {
        claims["iat"] = iat.into();
    }
    proven(wit, &sign("wpt+jwt", &agent.key, &claims), None)
}

fn code(guard: &Guard, call: &Parts, now: u64) -> (&'static str, u16) {
    let told = told(guard.check((call, b"".as_slice()), at(now)));
    (told.0, told.1)
}

const REFUSED: (&str, u16) = ("replay.before_start", 503);

/// A WPT that was made up to 30 s after the start, the clock skew, may have been used before.
#[test]
fn a_wpt_may_have_been_used_before_the_start() {
    let world = World::new();
    let agent = world.agent("spiffe://example.org/agent");
    let guard = started(&world, TOOL).build().unwrap();
    let captured = wpt(&agent, Some(NOW - 5), NOW + 55);
    assert_eq!(code(&guard, &captured, NOW), REFUSED);
    assert_eq!(
        code(&guard, &wpt(&agent, Some(NOW + 30), NOW + 90), NOW + 30),
        REFUSED
    );
    let first = wpt(&agent, Some(NOW + 31), NOW + 91);
    assert_eq!(code(&guard, &first, NOW + 31).0, "ok");
    assert_eq!(code(&guard, &first, NOW + 31).0, "replay.replayed");
    // It is refused for as long as it lives.
    assert_eq!(code(&guard, &captured, NOW + 84), REFUSED);
}

/// One without `iat` counts as made as early as its `exp` allows: a WPT lives 300 s.
#[test]
fn a_wpt_without_iat_may_be_old() {
    let world = World::new();
    let agent = world.agent("spiffe://example.org/agent");
    let guard = started(&world, TOOL).build().unwrap();
    let undated = |exp| wpt(&agent, None, exp);
    for (exp, now) in [
        (NOW + 60, NOW),
        (NOW + 300, NOW + 10),
        (NOW + 330, NOW + 300),
    ] {
        assert_eq!(code(&guard, &undated(exp), now), REFUSED, "{exp} {now}");
    }
    // No server could have accepted this one at the start, because it lives too long for that.
    assert_eq!(code(&guard, &undated(NOW + 331), NOW + 31).0, "ok");
}

#[test]
fn a_signature_may_have_been_used_before_the_start() {
    let world = World::new();
    let agent = world.agent("spiffe://example.org/agent");
    let guard = started(&world, TOOL).build().unwrap();
    let signed = |made| {
        let mut head = bare();
        let wit = agent.wit.expose().parse().unwrap();
        head.headers.insert("workload-identity-token", wit);
        let message = HttpRequest::received(&head, "https", "tools.example");
        let signing = RequestSigning::to(CALL).unwrap();
        let prepared = signing.prepare(&message, Content::Empty, random::SYSTEM, at(made));
        let (prepared, _) = prepared.unwrap();
        let signed = prepared.sign(&agent.key).unwrap();
        signed.apply(&mut head.headers).unwrap();
        head
    };
    assert_eq!(code(&guard, &signed(NOW + 30), NOW + 30), REFUSED);
    assert_eq!(code(&guard, &signed(NOW + 31), NOW + 31).0, "ok");
}

/// A DPoP proof with a nonce of the guard was made after the nonce was issued, so it needs no wait.
#[test]
fn a_dpop_proof_may_have_been_used_before_the_start() {
    let world = World::new();
    let agent = world.agent("spiffe://example.org/agent");
    let mut claims = World::claims(&agent);
    let jkt = agent.key.public_jwk().thumbprint();
    claims["cnf"] = json!({"jkt": jkt.to_string()});
    let token = world.token(&claims);
    let call = |made, nonce: Option<&str>| {
        let hash = Hashed::of(&token);
        let mut binding = dpop::Binding::to("POST", CALL).access_token(&hash);
        if let Some(nonce) = nonce {
            binding = binding.nonce(nonce);
        }
        let jwk = agent.key.public_jwk();
        let proof = binding.prepare(jwk, Algorithm::Es256, random::SYSTEM, at(made));
        let proof = proof.unwrap().sign(&agent.key).unwrap();
        let mut head = bare();
        let token = format!("DPoP {token}").parse().unwrap();
        head.headers.insert("authorization", token);
        head.headers.insert("dpop", proof.expose().parse().unwrap());
        head
    };
    let guard = |dpop| {
        let guard = started(&world, TOOL).issuers(Arc::clone(&world.issuers));
        guard.dpop(dpop).build().unwrap()
    };
    let plain = guard(Dpop::new());
    assert_eq!(code(&plain, &call(NOW + 30, None), NOW + 30), REFUSED);
    assert_eq!(code(&plain, &call(NOW + 31, None), NOW + 31).0, "ok");
    let nonces = guard(Dpop::new().requiring_nonces());
    let refusal = nonces.check(&call(NOW + 1, None), at(NOW + 1)).unwrap_err();
    let answer: http::Response<Vec<u8>> = refusal.into_response();
    let nonce = answer.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    assert_eq!(code(&nonces, &call(NOW + 2, Some(&nonce)), NOW + 2).0, "ok");
    // The nonce of another server with the same secret was stamped by another clock.
    let secret = [7; 32];
    let shared = guard(Dpop::new().requiring_nonces_under(&secret));
    let issued = |now| dpop::NonceIssuer::new(TOOL, &secret).issue(&jkt, at(now));
    let answer = |now| {
        let nonce = issued(now);
        code(&shared, &call(now, Some(nonce.as_str())), now)
    };
    assert_eq!(answer(NOW + 30), REFUSED);
    assert_eq!(answer(NOW + 31).0, "ok");
}

/// The rule holds for every store that forgets. It is lifted by name, and on loopback, where only
/// programs of this machine call.
#[test]
fn the_start_counts_unless_it_is_lifted() {
    let world = World::new();
    let agent = world.agent("spiffe://example.org/agent");
    let call = || wpt(&agent, Some(NOW), NOW + 60);
    let own = || ReplayCache::in_memory(100);
    let guard = started(&world, TOOL).replay(own()).build().unwrap();
    assert_eq!(code(&guard, &call(), NOW), REFUSED);
    let guard = started(&world, TOOL).accept_proofs_before_start();
    let guard = guard.build().unwrap();
    assert_eq!(code(&guard, &call(), NOW).0, "ok");
    let local = "http://127.0.0.1:8080/mcp/call";
    let loopback = || started(&world, "http://127.0.0.1:8080/mcp").proof_audience(local);
    let call_here = || wpt_to(local, &agent, Some(NOW), NOW + 60);
    let guard = loopback().build().unwrap();
    assert_eq!(code(&guard, &call_here(), NOW).0, "ok");
    // Behind a proxy, others call as well.
    let guard = loopback().proof_audience(CALL).build().unwrap();
    assert_eq!(code(&guard, &call(), NOW), REFUSED);
    assert_eq!(code(&guard, &call_here(), NOW), REFUSED);
    // A store that is used by two guards began with the first.
    let shared = Arc::new(own());
    let first = started(&world, TOOL).replay(Arc::clone(&shared)).build();
    let second = started(&world, TOOL).replay(shared).build().unwrap();
    drop(first);
    assert_eq!(code(&second, &call(), NOW), REFUSED);
}
