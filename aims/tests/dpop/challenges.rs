//! The challenges of a refused request (RFC 9449 §7.1).

use aims::Requirements;
use aims::guard::Dpop;
use aims::jose::alg::{Algorithm, AlgorithmSet};
use aims::oauth_wire::dpop::DpopRules;
use aims::oauth_wire::metadata::ResourceMetadata;
use serde_json::json;

use crate::common::{ISSUER, NOW, TOOL, at, bare, key};
use crate::{Scene, answer, authorize, proof, proof_claims, request};

const METADATA: &str =
    r#"resource_metadata="https://tools.example/.well-known/oauth-protected-resource/mcp""#;

fn scene() -> Scene {
    let metadata = ResourceMetadata::new(TOOL.parse().unwrap());
    let metadata = metadata.with_authorization_server(ISSUER.parse().unwrap());
    let algorithms = AlgorithmSet::of(&[Algorithm::Es256, Algorithm::Ed25519]);
    let rules = DpopRules::new().with_algorithms(algorithms);
    Scene::with(|guard| guard.metadata(metadata).dpop(Dpop::new().with_rules(rules)))
}

fn told(scene: &Scene, call: &http::request::Parts) -> (&'static str, u16, Vec<String>) {
    let (code, status, challenges, headers) = answer(scene.guard.check(call, at(NOW)).unwrap_err());
    assert!(!headers.contains_key("dpop-nonce"));
    (code, status, challenges)
}

/// DPOP-24: without credentials, a challenge of each scheme, none with `error`; `Bearer` first.
#[test]
fn each_scheme_is_named_without_an_error() {
    let (code, status, challenges) = told(&scene(), &bare());
    assert_eq!((code, status), ("token.missing", 401));
    assert_eq!(
        challenges,
        [
            format!(r#"Bearer scope="tools:call", {METADATA}"#),
            format!(r#"DPoP algs="Ed25519 ES256", scope="tools:call", {METADATA}"#),
        ]
    );
}

/// DPOP-24: `error` stands in the challenge of the scheme that was tried: `invalid_token` for the
/// token and its binding, `invalid_dpop_proof` for the proof.
#[test]
fn the_scheme_that_was_tried_has_the_error() {
    let scene = scene();
    let error = |error: &str| {
        format!(r#"DPoP algs="Ed25519 ES256", error="{error}", scope="tools:call", {METADATA}"#)
    };
    let bearer = format!(r#"Bearer scope="tools:call", {METADATA}"#);
    let thief = key(Algorithm::Es256);
    let expired = scene.token_with(&json!({"iat": NOW - 600, "exp": NOW - 60}));
    let mut missing = scene.call();
    missing.headers.remove("dpop");
    let replayed = scene.call_with(&json!({"jti": "again"}));
    drop(scene.guard.check(&replayed, at(NOW)).unwrap());
    for (call, code, expected) in [
        (
            scene.call_with(&json!({"htm": "GET"})),
            "dpop.htm",
            "invalid_dpop_proof",
        ),
        (missing, "dpop.missing", "invalid_dpop_proof"),
        (replayed, "replay.replayed", "invalid_dpop_proof"),
        (
            request(&scene.token, &proof(&thief, &scene.proof_claims())),
            "token.not_bound",
            "invalid_token",
        ),
        (
            request(&expired, &proof(&scene.key, &proof_claims(&expired))),
            "token.expired",
            "invalid_token",
        ),
    ] {
        let (refused, status, challenges) = told(&scene, &call);
        assert_eq!((refused, status), (code, 401));
        assert_eq!(challenges, [bearer.clone(), error(expected)], "{code}");
    }
}

/// RFC 9449 §7.2: the challenge of `Bearer` answers a bound token under `Bearer`.
#[test]
fn a_bound_token_under_bearer_is_told_so() {
    let scene = scene();
    let route = Requirements::new().accept_bearer();
    let mut call = scene.call();
    authorize(&mut call, "Bearer", &scene.token);
    let refusal = scene.guard.requiring(route).unwrap().check(&call, at(NOW));
    let (code, status, challenges, _) = answer(refusal.unwrap_err());
    assert_eq!((code, status), ("token.not_bound", 401));
    assert_eq!(
        challenges,
        [
            format!(r#"Bearer error="invalid_token", {METADATA}"#),
            format!(r#"DPoP algs="Ed25519 ES256", {METADATA}"#),
        ]
    );
}

/// A bearer token where none is accepted: the challenges say what is, without an error.
#[test]
fn a_bearer_token_where_none_is_accepted_is_told_of_dpop() {
    let scene = scene();
    let token = scene.token_with(&json!({"cnf": null}));
    let mut call = bare();
    authorize(&mut call, "Bearer", &token);
    let (code, status, challenges) = told(&scene, &call);
    assert_eq!((code, status), ("guard.proof", 401));
    assert!(challenges.iter().any(|it| it.starts_with("DPoP algs=")));
    assert!(!challenges.concat().contains("error"), "{challenges:?}");
}

/// RFC 6750 §3.1: the challenge of the token's own scheme answers too little scope.
#[test]
fn too_little_scope_is_told_by_the_tokens_scheme() {
    let scene = scene();
    let token = scene.token_with(&json!({"scope": "other"}));
    let call = request(&token, &proof(&scene.key, &proof_claims(&token)));
    let (code, status, challenges) = told(&scene, &call);
    assert_eq!((code, status), ("guard.scope", 403));
    let expected = format!(
        r#"DPoP algs="Ed25519 ES256", error="insufficient_scope", scope="tools:call", {METADATA}"#
    );
    assert_eq!(challenges, [expected]);
}

/// A route that an identity satisfies names the scheme of its proof as well.
#[test]
fn a_route_for_identities_names_wpt() {
    let scene = scene();
    let route = Requirements::new().identity_alone();
    let refusal = scene
        .guard
        .requiring(route)
        .unwrap()
        .check(&bare(), at(NOW));
    let (code, _, challenges, _) = answer(refusal.unwrap_err());
    assert_eq!(code, "token.missing");
    let schemes: Vec<_> = challenges
        .iter()
        .map(|it| it.split(' ').next().unwrap())
        .collect();
    assert_eq!(schemes, ["Bearer", "DPoP", "WPT"]);
}

/// RFC 9728 §2: the metadata names the algorithms that the challenge names.
#[test]
fn the_metadata_names_the_algorithms() {
    let scene = scene();
    let document = scene.guard.published().unwrap().to_response::<Vec<u8>>();
    let document: serde_json::Value = serde_json::from_slice(document.body()).unwrap();
    let found = &document["dpop_signing_alg_values_supported"];
    assert_eq!(*found, json!(["Ed25519", "ES256"]));
}
