//! `Bearer` and `DPoP` at one resource (RFC 9449 §7.1, §7.2).

use aims::guard::Dpop;
use aims::{Guard, Requirements};
use serde_json::json;

use crate::common::{NOW, World, at, bare};
use crate::{Scene, answer, authorize, code, other_certificate};

fn lax(scene: &Scene) -> Guard {
    let route = Requirements::new().accept_bearer();
    scene.guard.requiring(route).unwrap()
}

/// DPOP-21: a bound token under `Bearer` is refused, with and without its proof, on each route.
#[test]
fn a_bound_token_under_bearer_is_refused() {
    let scene = Scene::new();
    for keeps_proof in [true, false] {
        let mut call = scene.call();
        authorize(&mut call, "Bearer", &scene.token);
        if !keeps_proof {
            call.headers.remove("dpop");
        }
        assert_eq!(code(lax(&scene).check(&call, at(NOW))), "token.not_bound");
        assert_eq!(scene.code(&call), "guard.proof");
    }
    let mut call = scene.call();
    authorize(&mut call, "Bearer", &scene.token);
    let refusal = lax(&scene).check(&call, at(NOW)).unwrap_err();
    assert!(
        refusal.detail().contains("Authorization: DPoP"),
        "{refusal}"
    );
}

/// DPOP-21: a token without `jkt` under `DPoP` is refused, also where bearer tokens are accepted.
#[test]
fn an_unbound_token_under_dpop_is_refused() {
    let scene = Scene::new();
    for cnf in [
        json!({"cnf": null}),
        json!({"cnf": {"x5t#S256": other_certificate()}}),
        json!({"cnf": {"jwk": serde_json::to_value(scene.key.public_jwk()).unwrap()}}),
    ] {
        let token = scene.token_with(&cnf);
        let proof = crate::proof(&scene.key, &crate::proof_claims(&token));
        let call = crate::request(&token, &proof);
        assert_eq!(scene.code(&call), "token.not_bound", "{cnf}");
        assert_eq!(code(lax(&scene).check(&call, at(NOW))), "token.not_bound");
    }
}

/// A bearer token is accepted where the route names it. A proof beside it is not judged, and counts
/// for nothing.
#[test]
fn a_bearer_token_is_accepted_by_name_alone() {
    let scene = Scene::new();
    let token = scene.token_with(&json!({"cnf": null}));
    let mut call = bare();
    authorize(&mut call, "Bearer", &token);
    assert_eq!(scene.code(&call), "guard.proof");
    assert_eq!(code(lax(&scene).check(&call, at(NOW))), "ok");
    let proof = crate::proof(&scene.key, &crate::proof_claims(&token));
    call.headers.insert("dpop", proof.parse().unwrap());
    let who = lax(&scene).check(&call, at(NOW)).unwrap();
    assert!(who.is_unbound() && who.proofs().is_empty());
}

/// RFC 9449 §6: each member of `cnf` must be satisfied.
#[test]
fn every_member_of_cnf_must_be_satisfied() {
    let scene = Scene::new();
    let jkt = scene.key.public_jwk().thumbprint().to_string();
    let cnf = json!({"cnf": {"jkt": jkt, "x5t#S256": other_certificate()}});
    let token = scene.token_with(&cnf);
    let proof = crate::proof(&scene.key, &crate::proof_claims(&token));
    let refusal = scene.guard.check(&crate::request(&token, &proof), at(NOW));
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.code(), "token.not_bound");
    assert!(refusal.detail().contains("x5t#S256"), "{refusal}");
}

/// DPOP-21: one `Authorization` field, of a scheme that the guard accepts.
#[test]
fn one_authorization_field_has_one_token() {
    let scene = Scene::new();
    let mut twice = scene.call();
    let value = format!("Bearer {}", scene.token).parse().unwrap();
    twice.headers.append("authorization", value);
    let refusal = scene.guard.check(&twice, at(NOW)).unwrap_err();
    let (refused, status, challenges, _) = answer(refusal);
    assert_eq!((refused, status), ("token.authorization", 400));
    assert!(challenges[0].contains(r#"error="invalid_request""#));
    for (scheme, expected) in [("dpop", "ok"), ("DPOP", "ok"), ("DPoP2", "token.scheme")] {
        let scene = Scene::new();
        let mut call = scene.call();
        authorize(&mut call, scheme, &scene.token);
        assert_eq!(scene.code(&call), expected, "{scheme}");
    }
    let mut long = scene.call();
    authorize(&mut long, "DPoP", &"a".repeat(8 * 1024 + 1));
    assert_eq!(scene.code(&long), "token.too_long");
}

/// Without the setting, the scheme is refused: a proof that is not checked protects nothing.
#[test]
fn a_guard_accepts_dpop_by_name_alone() {
    let world = World::new();
    let plain = world
        .guard_by_default()
        .issuers(std::sync::Arc::clone(&world.issuers))
        .accept_bearer()
        .build()
        .unwrap();
    let scene = Scene::new();
    assert_eq!(code(plain.check(&scene.call(), at(NOW))), "token.scheme");
}

/// A guard that accepts DPoP needs an issuer, and one that asks for it must accept it.
#[test]
fn settings_that_contradict_themselves_are_refused() {
    let world = World::new();
    let alone = world.guard_by_default().dpop(Dpop::new()).build();
    assert!(matches!(alone, Err(aims::guard::BuildError::NoIssuer)));
    let asks = Requirements::new().proof(aims::guard::ProofMethod::Dpop);
    let without = world
        .guard_by_default()
        .issuers(std::sync::Arc::clone(&world.issuers))
        .require(asks.clone())
        .build();
    let error = without.unwrap_err().to_string();
    assert!(error.contains("GuardBuilder::dpop"), "{error}");
    let scene = Scene::with(|it| it.dpop(Dpop::new()).require(asks));
    assert_eq!(scene.code(&scene.call()), "ok");
}
