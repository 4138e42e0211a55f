//! Signature fields without a WIT, beside a bearer token. They have no owner, so they prove nothing
//! and are no reason to refuse the request.

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use aims::guard::{HttpSignatures, ProofMethod};
use aims::{Guard, Requirements};
use common::{NOW, World, at, bare, told};
use http::request::Parts;

const AGENT: &str = "spiffe://example.org/agent";
const INPUT: &str = r#"wimse=("@method");created=1800000000;tag="wimse-workload-to-workload""#;
const SIGNATURE: &str = "wimse=:AAAA:";

/// Signature fields without an owner: complete, partial, and malformed.
const DANGLING: [&[(&str, &str)]; 4] = [
    &[("signature-input", INPUT), ("signature", SIGNATURE)],
    &[("signature-input", INPUT)],
    &[("signature", SIGNATURE)],
    &[("signature-input", "?"), ("signature", "?")],
];

fn request(token: &str, fields: &[(&'static str, &str)]) -> Parts {
    let mut request = bare();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers.insert("authorization", bearer);
    for (name, value) in fields {
        request.headers.insert(*name, value.parse().unwrap());
    }
    request
}

/// All guards treat them alike: with HTTP signatures or without, with the head alone or with the
/// content.
#[test]
fn dangling_signatures_beside_a_bearer_token_are_nothing() {
    let world = World::new();
    let mut claims = World::claims(&world.agent(AGENT));
    let bound = world.token(&claims);
    claims.as_object_mut().unwrap().remove("cnf");
    let token = world.token(&claims);
    let plain = || world.guard().issuers(Arc::clone(&world.issuers));
    let bearer = Requirements::new().accept_bearer();
    let guards = [plain(), plain().http_signatures(HttpSignatures::new())];
    for guard in guards {
        let strict = guard.build().unwrap();
        let lax = strict.requiring(bearer.clone()).unwrap();
        let signed = bearer.clone().proof(ProofMethod::HttpSignature);
        let signed = strict.requiring(signed).unwrap();
        for fields in DANGLING {
            let request = request(&token, fields);
            for who in [
                lax.check(&request, at(NOW)),
                lax.check((&request, b"x"), at(NOW)),
            ] {
                let who = who.unwrap();
                assert!(who.agent().is_none() && who.proofs().is_empty());
                assert!(who.is_unbound());
                assert!(who.signature().is_none());
            }
            // They do not count as a proof.
            assert_eq!(both(&strict, &request), ["guard.proof"; 2]);
            assert_eq!(both(&signed, &request), ["guard.forbidden"; 2]);
            let bound = self::request(&bound, fields);
            assert_eq!(both(&lax, &bound), ["token.not_bound"; 2]);
        }
    }
}

/// With a WIT they have an owner: they are a proof, or the request is refused.
#[test]
fn beside_a_wit_they_are_a_proof_or_a_refusal() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let mut claims = World::claims(&agent);
    claims.as_object_mut().unwrap().remove("cnf");
    let token = world.token(&claims);
    let plain = || world.guard().issuers(Arc::clone(&world.issuers));
    let bearer = Requirements::new().accept_bearer();
    let codes = |guard: Guard, fields| {
        let mut request = request(&token, fields);
        let wit = agent.wit.expose().parse().unwrap();
        request.headers.insert("workload-identity-token", wit);
        both(&guard.requiring(bearer.clone()).unwrap(), &request)
    };
    let taking = || plain().http_signatures(HttpSignatures::new());
    for (fields, judged) in DANGLING.into_iter().zip([
        "sig.parameter_required",
        "sig.labels_differ",
        "sig.labels_differ",
        "sig.syntax",
    ]) {
        let without = codes(plain().build().unwrap(), fields);
        let there = fields.iter().any(|(name, _)| *name == "signature-input");
        let untaken = if there {
            "guard.signature_not_accepted"
        } else {
            "wpt.field_missing"
        };
        assert_eq!(without, [untaken; 2]);
        let with = codes(taking().build().unwrap(), fields);
        assert_eq!(with, [untaken, judged]);
    }
}

/// Returns the codes for the head alone and with a content.
fn both(guard: &Guard, request: &Parts) -> [&'static str; 2] {
    [
        told(guard.check(request, at(NOW))).0,
        told(guard.check((request, b""), at(NOW))).0,
    ]
}
