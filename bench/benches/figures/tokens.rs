//! Tokens and proofs, compared with the backend alone.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aims::cred::{Wit, WitCache, WitRules};
use aims::guard::Dpop;
use aims::jose::digest::Hashed;
use aims::jose::jws::Unverified;
use aims::jose::time::UnixTime;
use aims::oauth_rs::{AccessToken, AccessTokenRules, TokenCache};
use aims::oauth_wire::introspection::Introspection;
use aims::replay::ReplayCache;
use aims::wpt::{Binding, WptRules, verify};
use aims_bench::raw::{RawKey, Signed};
use aims_bench::sampler::{Case, Samples};
use aims_bench::world::{CALL, ISSUER, TOOL, World};
use serde::Deserialize;

use super::{Effort, Figure};

/// The claims that jsonwebtoken reads from an access token.
#[derive(Deserialize)]
struct Claims {
    sub: String,
}

/// An opaque access token.
const OPAQUE: &str = "2YotnFZFEjr1zCsicMWpAA.6wRZpHpPLSXyM8XvS0SLZwS3nB2w2xEUkJc";

/// Measures a batch of one operation.
fn timed(batch: usize, mut once: impl FnMut(usize)) -> Duration {
    let start = Instant::now();
    (0..batch).for_each(&mut once);
    start.elapsed()
}

pub(super) fn figures(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let world = World::new(UnixTime::now())?;
    let now = world.now;
    let proofs = world.proofs(CALL, effort.batch)?;
    let calls = world.calls(effort.batch.saturating_add(1))?;
    let dpop_calls = world.dpop_calls(effort.batch.saturating_add(1))?;
    let binding = Binding::to(CALL);
    let (wit_rules, wpt_rules) = (WitRules::wit(), WptRules::default());
    let trust = world.trust.snapshot();
    let issuers = world.issuers.snapshot();
    let rules = AccessTokenRules::new(TOOL);

    let (raw_ca, raw_agent) = (RawKey::of(&world.ca)?, RawKey::of(&world.agent)?);
    let raw_server = RawKey::of(&world.server)?;
    let (raw_wit, raw_token) = (Signed::of(&world.wit)?, Signed::of(&world.token)?);
    let raw_proofs = proofs
        .iter()
        .map(|it| Signed::of(it))
        .collect::<Result<Vec<_>, _>>()?;

    let body = serde_json::json!({
        "active": true, "iss": ISSUER, "aud": TOOL, "sub": "alice", "client_id": "web-client",
        "iat": now.as_secs(), "exp": now.as_secs() + 3_600, "scope": "tools:call tools:list",
    });
    let answer = http::Response::new(body.to_string().into_bytes());
    let answer = Introspection::parse(&answer)?;
    let warm_wits = WitCache::new(1_000, WitRules::wit());
    warm_wits.verify(&world.wit, &world.trust, now)?;
    let warm_tokens = TokenCache::new(1_000, AccessTokenRules::new(TOOL));
    warm_tokens.verify(&world.token, &world.issuers, now)?;
    warm_tokens.introspect(
        OPAQUE,
        &world.issuers,
        |issuers, rules| {
            let token = Hashed::of(OPAQUE);
            let minute = Duration::from_secs(60);
            let issuer = ISSUER.parse().expect("an issuer");
            AccessToken::introspected(&token, &answer, &issuer, issuers, rules, minute, now)
        },
        now,
    )?;
    let (x, y) = raw_server.coordinates();
    let other_key = jsonwebtoken::DecodingKey::from_ec_components(&x, &y)?;
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&[TOOL]);
    validation.set_issuer(&[ISSUER]);

    let spend = |wit: &Wit, proof: &str, seen: &ReplayCache| {
        let proof = verify(proof, wit, &binding, &wpt_rules, now).expect("a good proof");
        black_box(proof.spend(seen, now).expect("a fresh proof"));
    };
    let mut cases: Vec<Case<'_>> = vec![
        // 0: one verification by the backend
        Box::new(|n| timed(n, |_| assert!(raw_server.verify(black_box(&raw_token))))),
        // 1: two verifications and one key preparation by the backend
        Box::new(|n| {
            let mut proofs = raw_proofs.iter().cycle();
            timed(n, |_| {
                assert!(raw_ca.verify(black_box(&raw_wit)));
                assert!(raw_agent.prepare());
                assert!(proofs.next().is_some_and(|proof| raw_agent.verify(proof)));
            })
        }),
        // 2: a JWS
        Box::new(|n| {
            timed(n, |_| {
                let token = Unverified::parse(black_box(&world.token)).expect("a token");
                black_box(
                    token
                        .verify(world.server.verifying_key())
                        .expect("a good token"),
                );
            })
        }),
        // 3: WIT and WPT, cold
        Box::new(|n| {
            let seen = ReplayCache::in_memory(10_000);
            let mut proofs = proofs.iter().cycle();
            timed(n, |_| {
                let wit = Wit::verify(black_box(&world.wit), &trust, &wit_rules, now);
                spend(
                    &wit.expect("a good WIT"),
                    proofs.next().expect("a proof"),
                    &seen,
                );
            })
        }),
        // 4: WIT and WPT, warm
        Box::new(|n| {
            let seen = ReplayCache::in_memory(10_000);
            let mut proofs = proofs.iter().cycle();
            timed(n, |_| {
                let wit = warm_wits.verify(black_box(&world.wit), &world.trust, now);
                spend(
                    &wit.expect("a good WIT"),
                    proofs.next().expect("a proof"),
                    &seen,
                );
            })
        }),
        // 5: an access token, cold
        Box::new(|n| {
            timed(n, |_| {
                let token = AccessToken::verify(black_box(&world.token), &issuers, &rules, now);
                black_box(token.expect("a good token"));
            })
        }),
        // 6: an access token, warm
        Box::new(|n| {
            timed(n, |_| {
                let token = warm_tokens.verify(black_box(&world.token), &world.issuers, now);
                black_box(token.expect("a good token"));
            })
        }),
        // 7: one verification by the backend of the same proofs, because signatures differ in cost
        Box::new(|n| {
            let mut proofs = raw_proofs.iter().cycle();
            timed(n, |_| {
                assert!(proofs.next().is_some_and(|proof| raw_agent.verify(proof)));
            })
        }),
        // 8: the same token with jsonwebtoken
        Box::new(|n| {
            timed(n, |_| {
                let token = black_box(&world.token);
                let token = jsonwebtoken::decode::<Claims>(token, &other_key, &validation);
                black_box(token.expect("a good token").claims.sub);
            })
        }),
        // 9: the whole check of a request by a guard, with a cached WIT and token
        Box::new(|n| {
            let guard = world.guard().build().expect("a guard");
            let check = |call| guard.check((call, b""), now).expect("a good call");
            let (first, others) = calls.split_first().expect("calls");
            black_box(check(first));
            let mut others = others.iter();
            timed(n, |_| {
                black_box(check(black_box(others.next().expect("a call"))));
            })
        }),
        // 10: the whole check of a request with a DPoP proof and a cached token
        Box::new(|n| {
            let guard = world.guard().dpop(Dpop::new());
            let guard = guard.build().expect("a guard");
            let check = |call| guard.check(call, now).expect("a good call");
            let (first, others) = dpop_calls.split_first().expect("calls");
            black_box(check(first));
            let mut others = others.iter();
            timed(n, |_| {
                black_box(check(black_box(others.next().expect("a call"))));
            })
        }),
        // 11: an introspected token, warm
        Box::new(|n| {
            timed(n, |_| {
                let known = |_: &_, _: &_| Err(aims::oauth_rs::Error::Missing);
                let token = warm_tokens.introspect(black_box(OPAQUE), &world.issuers, known, now);
                black_box(token.expect("a good token"));
            })
        }),
    ];
    let samples = Samples::take(&mut cases, effort.rounds, effort.batch);
    let ratio =
        |of: usize, to: usize| samples.median(|costs| Some(costs.get(of)? / costs.get(to)?));
    let cost = |case| samples.cost(case);
    Ok(vec![
        Figure::new("backend: one verification", cost(0)),
        Figure::new("backend: one verification, of proofs", cost(7)),
        Figure::new("backend: two, and one key prepared", cost(1)),
        Figure::new("JWS verified", cost(2)).to("one verification", ratio(2, 0)),
        Figure::new("WIT and WPT, cold", cost(3))
            .to("two, and one key prepared", ratio(3, 1))
            .at_most(1.08),
        Figure::new("WIT and WPT, warm", cost(4))
            .to("one verification, of proofs", ratio(4, 7))
            .at_most(1.08),
        Figure::new("access token, cold", cost(5))
            .to("one verification", ratio(5, 0))
            .at_most(1.05),
        Figure::new("access token, warm", cost(6))
            .to("one verification", ratio(6, 0))
            .at_most(0.02),
        Figure::new("introspected token, warm", cost(11))
            .to("one verification", ratio(11, 0))
            .at_most(0.02),
        Figure::new("the same by jsonwebtoken 11", cost(8)).to("one verification", ratio(8, 0)),
        Figure::new("access token, cold", cost(5))
            .to("jsonwebtoken 11", ratio(5, 8))
            .at_most(1.0),
        Figure::new("check in process with HTTP signature and token", cost(9))
            .to("one verification, of proofs", ratio(9, 7))
            .at_most(1.09),
        Figure::new("check in process with DPoP, token known", cost(10))
            .to("one verification, of proofs", ratio(10, 7))
            .at_most(1.10),
    ])
}
