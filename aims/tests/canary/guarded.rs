//! A guard: its events, its refusals and its principals.

use std::sync::Arc;

use aims::jose::Chain;
use http::request::Parts;

use crate::common::{NOW, World, at, bare};
use crate::net::note_fields;
use crate::planted;
use crate::seen::{Given, Seen};

fn with(mut request: Parts, fields: &[(&'static str, String)]) -> Parts {
    for (name, value) in fields {
        request.headers.insert(*name, value.parse().unwrap());
    }
    request
}

/// Requests with good and bad credentials.
#[test]
fn no_secret_is_seen_of_a_guard() {
    let (seen, mut given) = (Seen::default(), Given::default());
    let _logging = tracing::subscriber::set_default(seen.clone());
    let world = World::new();
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let guard = guard.record(seen.clone()).build().unwrap();
    seen.debug(&guard);
    let agent = world.agent("spiffe://example.org/agent");
    let token = world.token(&World::claims(&agent));
    let good = agent.call_with(&token);
    let junk = |name: &'static str, scheme: &str| (name, format!("{scheme}{}", planted(name)));
    let mut requests = vec![
        good.clone(),
        agent.call(),
        with(bare(), &[junk("authorization", "Bearer ")]),
        with(bare(), &[junk("authorization", "Basic ")]),
        with(bare(), &[junk("authorization", "DPoP "), junk("dpop", "")]),
        with(good.clone(), &[junk("authorization", "Bearer ")]),
        with(good.clone(), &[junk("authorization", "Bearer a.b.")]),
        with(good.clone(), &[junk("workload-identity-token", "a.b.")]),
        with(good.clone(), &[junk("workload-proof-token", "a.b.")]),
        with(good.clone(), &[junk("txn-token", "a.b.")]),
    ];
    requests.push(with(
        bare(),
        &[("authorization", format!("Bearer {token}"))],
    ));
    for request in &requests {
        note_fields(&request.headers, &mut given);
        match guard.check(request, at(NOW)) {
            Ok(principal) => seen.debug(&principal),
            Err(refusal) => {
                seen.text(format!("{refusal} {}", Chain(&refusal)));
                seen.debug(&refusal);
                let answer = refusal.into_response::<Vec<u8>>();
                seen.debug(&answer.headers());
                seen.text(String::from_utf8_lossy(answer.body()));
            }
        }
    }
    assert_eq!(given.names().len(), 3);
    seen.search(&given, 30);
}
