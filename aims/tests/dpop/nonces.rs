//! Nonces that the guard demands (RFC 9449 §9).

use aims::guard::Dpop;
use aims::jose::alg::Algorithm;
use aims::jose::time::UnixTime;
use aims::oauth_wire::dpop::NonceIssuer;
use serde_json::{Value, json};

use crate::common::{NOW, TOOL, at, key};
use crate::{Scene, answer, code};

const SECRET: &[u8; 32] = b"the secret of a tool's servers..";

fn scene() -> Scene {
    Scene::with(|guard| guard.dpop(Dpop::new().requiring_nonces_under(SECRET)))
}

fn nonce(server: &str, key: &aims::jose::key::SigningKey, now: UnixTime) -> String {
    let nonces = NonceIssuer::new(server, SECRET);
    let nonce = nonces.issue(&key.public_jwk().thumbprint(), now);
    nonce.as_str().to_owned()
}

/// DPOP-23: a proof without a nonce is refused, and told one for its key, with which it is
/// accepted.
#[test]
fn a_proof_without_a_nonce_is_told_one() {
    for dpop in [
        Dpop::new().requiring_nonces(),
        Dpop::new().requiring_nonces_under(SECRET),
    ] {
        let scene = Scene::with(|guard| guard.dpop(dpop));
        let (code, status, challenges, headers) =
            answer(scene.guard.check(&scene.call(), at(NOW)).unwrap_err());
        assert_eq!((code, status), ("dpop.nonce", 401));
        assert!(challenges[1].starts_with("DPoP "), "{challenges:?}");
        assert!(
            challenges[1].contains(r#"error="use_dpop_nonce""#),
            "{challenges:?}"
        );
        let nonce = headers["dpop-nonce"].to_str().unwrap();
        assert_eq!(scene.code(&scene.call_with(&json!({"nonce": nonce}))), "ok");
    }
}

/// DPOP-20: a nonce of another guard, for another key, out of its time, or made up.
#[test]
fn a_nonce_is_of_this_guard_for_this_key_and_lately() {
    let scene = scene();
    let now = at(NOW);
    let other_secret = NonceIssuer::new(TOOL, &[7; 32]);
    let other_secret = other_secret.issue(&scene.key.public_jwk().thumbprint(), now);
    for (nonce, expected) in [
        (json!(nonce(TOOL, &scene.key, now)), "ok"),
        (json!(nonce(TOOL, &scene.key, at(NOW - 300))), "ok"),
        (json!(nonce(TOOL, &scene.key, at(NOW - 301))), "dpop.nonce"),
        (json!(nonce(TOOL, &scene.key, at(NOW + 31))), "dpop.nonce"),
        (
            json!(nonce(TOOL, &key(Algorithm::Es256), now)),
            "dpop.nonce",
        ),
        (
            json!(nonce("https://other.example", &scene.key, now)),
            "dpop.nonce",
        ),
        (json!(other_secret.as_str()), "dpop.nonce"),
        (json!("a"), "dpop.nonce"),
        (json!(""), "dpop.nonce"),
        (Value::Null, "dpop.nonce"),
        (json!(1), "dpop.claim"),
    ] {
        let changes = json!({"nonce": nonce, "jti": nonce.to_string()});
        assert_eq!(scene.code(&scene.call_with(&changes)), expected, "{nonce}");
    }
}

/// Only the holder of the key gets a nonce: the answer to another refused proof has none.
#[test]
fn a_refused_proof_is_told_no_nonce() {
    let scene = scene();
    for changes in [json!({"htm": "GET"}), json!({"iat": NOW - 600})] {
        let refusal = scene.guard.check(&scene.call_with(&changes), at(NOW));
        let (_, status, _, headers) = answer(refusal.unwrap_err());
        assert_eq!(status, 401);
        assert!(!headers.contains_key("dpop-nonce"));
    }
}

/// RFC 9449 §8.2: a nonce that ends soon is replaced.
#[test]
fn an_old_nonce_is_replaced() {
    let scene = scene();
    for (age, replaced) in [(0, false), (150, false), (151, true), (300, true)] {
        let nonce = nonce(TOOL, &scene.key, at(NOW - age));
        let call = scene.call_with(&json!({"nonce": nonce, "jti": age.to_string()}));
        let who = scene.guard.check(&call, at(NOW)).unwrap();
        assert_eq!(
            who.dpop().unwrap().next_nonce().is_some(),
            replaced,
            "{age}"
        );
    }
}

/// Servers of one resource that share the secret take each other's nonces; guards that draw it do
/// not.
#[test]
fn servers_can_share_their_nonces() {
    let (one, other) = (scene(), scene());
    let told = answer(one.guard.check(&one.call(), at(NOW)).unwrap_err()).3;
    let nonce = told["dpop-nonce"].to_str().unwrap();
    let call = one.call_with(&json!({"nonce": nonce}));
    let shared = other.world.guard_by_default();
    let shared = shared
        .issuers(std::sync::Arc::clone(&one.world.issuers))
        .dpop(Dpop::new().requiring_nonces_under(SECRET))
        .build()
        .unwrap();
    assert_eq!(code(shared.check(&call, at(NOW))), "ok");
    let drawn = one.world.guard_by_default();
    let drawn = drawn
        .issuers(std::sync::Arc::clone(&one.world.issuers))
        .dpop(Dpop::new().requiring_nonces())
        .build()
        .unwrap();
    assert_eq!(code(drawn.check(&call, at(NOW))), "dpop.nonce");
}
