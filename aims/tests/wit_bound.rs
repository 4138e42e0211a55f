//! Access tokens that are bound to the key of a workload identity token (`cnf.jwk`, RFC 7800
//! §3.2): the HTTP signature or the workload proof token that proves the key also covers the
//! token.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims::guard::{ClientCertificates, Dpop, Guard, HttpSignatures, ProofMethod};
use aims::http_sig::HttpRequest;
use aims::http_sig::profile::wimse::{Content, RequestSigning};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::random;
use aims::oauth_rs::{IssuerRules, JwtProfile};
use aims::oauth_wire::certificate::PeerCertificate;
use aims::wpt::{Binding, Revision, Revisions, fields};
use common::{Agent, CALL, ISSUER, NOW, World, at, bare, key, methods, told};
use http::request::Parts;
use serde_json::{Value, json};

const AGENT: &str = "spiffe://example.org/agent";
const CERTIFICATE: &str = ":MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=:";

fn jwk(of: &SigningKey) -> Value {
    serde_json::to_value(of.public_jwk()).unwrap()
}

fn jkt(of: &SigningKey) -> String {
    of.public_jwk().thumbprint().to_string()
}

/// A guard that accepts each kind of proof, and an agent of a user's token.
struct Scene {
    world: World,
    agent: Agent,
    guard: Guard,
}

impl Scene {
    fn new() -> Self {
        Self::with(Revisions::BOTH, IssuerRules::new())
    }

    fn with(revisions: Revisions, rules: IssuerRules) -> Self {
        let world = World::new();
        let guard = world.guard_by_default().wpt_revisions(revisions);
        let guard = guard.issuers(Arc::clone(&world.issuers));
        let guard = guard.issuer_rules(ISSUER.parse().unwrap(), rules);
        let guard = guard.http_signatures(HttpSignatures::new());
        let guard = guard.dpop(Dpop::new());
        let guard = guard.client_certificates(ClientCertificates::from_connection());
        Self {
            guard: guard.build().unwrap(),
            agent: world.agent(AGENT),
            world,
        }
    }

    /// A token of alice for the agent, with this `cnf`.
    fn token(&self, cnf: &Value) -> String {
        let mut claims = World::claims(&self.agent);
        claims["sub"] = json!("alice");
        claims["cnf"] = cnf.clone();
        self.world.token(&claims)
    }

    /// A token that is bound to the agent's key.
    fn bound(&self) -> String {
        self.token(&json!({"jwk": jwk(&self.agent.key)}))
    }

    fn code(&self, request: &Parts) -> &'static str {
        told(self.guard.check((request, b""), at(NOW))).0
    }
}

fn with_wit(agent: &Agent) -> Parts {
    let mut request = bare();
    let wit = agent.wit.expose().parse().unwrap();
    request.headers.insert("workload-identity-token", wit);
    request
}

fn add_token(request: &mut Parts, scheme: &str, token: &str) {
    let value = format!("{scheme} {token}").parse().unwrap();
    request.headers.append("authorization", value);
}

/// Signs the request by the profile, which covers `authorization` if the request has it.
fn sign(request: &mut Parts, by: &SigningKey) {
    let signing = RequestSigning::to(CALL).unwrap();
    let message = HttpRequest::received(request, "https", "tools.example");
    let prepared = signing.prepare(&message, Content::Empty, random::SYSTEM, at(NOW));
    let (prepared, _pending) = prepared.unwrap();
    let fields = prepared.sign(by).unwrap();
    fields.apply(&mut request.headers).unwrap();
}

fn signed(agent: &Agent, token: &str) -> Parts {
    let mut request = with_wit(agent);
    add_token(&mut request, "Bearer", token);
    sign(&mut request, &agent.key);
    request
}

/// The signature by the key of the token covers the token.
#[test]
fn the_signature_covers_authorization() {
    let scene = Scene::new();
    let token = scene.bound();
    let good = signed(&scene.agent, &token);
    let who = scene.guard.check((&good, b""), at(NOW)).unwrap();
    assert_eq!(methods(&who), [ProofMethod::HttpSignature]);
    // The same request, signed before it had the token.
    let mut uncovered = with_wit(&scene.agent);
    sign(&mut uncovered, &scene.agent.key);
    add_token(&mut uncovered, "Bearer", &token);
    assert_eq!(scene.code(&uncovered), "sig.component_required");
    // Signed over another token.
    let bound_to = json!({"jwk": jwk(&key(Algorithm::Es256))});
    let mut other = signed(&scene.agent, &scene.token(&bound_to));
    other.headers.remove("authorization");
    add_token(&mut other, "Bearer", &token);
    assert_eq!(scene.code(&other), "sig.signature");
}

/// A token for another key is refused, by the signature and by the workload proof token.
#[test]
fn the_key_is_that_of_the_token() {
    let scene = Scene::new();
    let other = key(Algorithm::Es256);
    let of = |bound_to: &SigningKey| scene.token(&json!({"jwk": jwk(bound_to)}));
    for (bound_to, expected) in [(&scene.agent.key, "ok"), (&other, "token.not_bound")] {
        let signed = signed(&scene.agent, &of(bound_to));
        assert_eq!(scene.code(&signed), expected);
        let proven = scene.agent.call_with(&of(bound_to));
        assert_eq!(scene.code(&proven), expected);
    }
}

/// Only a proof of -01 stands beside an access token. That of -02 takes the field of the token, so
/// that a request with both has two `Authorization` fields.
#[test]
fn a_proof_of_02_confirms_no_token() {
    let scene = Scene::new();
    let token = scene.bound();
    let older = scene.agent.call_with(&token);
    assert_eq!(scene.code(&older), "ok");
    let newer = |token: Option<&str>| {
        // It has no claim for the hash of a token (draft-ietf-wimse-wpt-02 §3).
        let wpt = scene.agent.wpt_of(&Binding::to(CALL));
        let mut request = bare();
        let wit = scene.agent.wit.expose();
        fields::apply(&mut request.headers, wit, &wpt, Revision::Draft02).unwrap();
        if let Some(token) = token {
            add_token(&mut request, "Bearer", token);
        }
        request
    };
    assert_eq!(scene.code(&newer(Some(&token))), "token.authorization");
    assert_eq!(scene.code(&newer(None)), "token.missing");
    // A guard of -02 alone does not accept the proof of -01.
    let scene = Scene::with(Revisions::DRAFT_02, IssuerRules::new());
    let older = scene.agent.call_with(&scene.bound());
    assert_eq!(scene.code(&older), "wpt.revision");
}

/// Every member of `cnf` must be satisfied: one of two is not enough.
#[test]
fn all_members_are_satisfied() {
    let scene = Scene::new();
    let certificate = PeerCertificate::from_client_cert(&CERTIFICATE.parse().unwrap()).unwrap();
    let thumbprint = certificate.thumbprint().to_string();
    let other = key(Algorithm::Es256);
    let both = |jwk_of: &SigningKey| json!({"jwk": jwk(jwk_of), "x5t#S256": thumbprint});
    for (cnf, with_certificate, expected) in [
        (both(&scene.agent.key), true, "ok"),
        (both(&scene.agent.key), false, "token.not_bound"),
        (both(&other), true, "token.not_bound"),
    ] {
        let token = scene.token(&cnf);
        for mut call in [signed(&scene.agent, &token), scene.agent.call_with(&token)] {
            if with_certificate {
                call.extensions.insert(certificate.clone());
            }
            assert_eq!(scene.code(&call), expected, "{cnf}");
        }
    }
    // `jkt` needs a DPoP proof: the signature by the same key is none, under either scheme.
    let token = scene.token(&json!({"jwk": jwk(&scene.agent.key), "jkt": jkt(&scene.agent.key)}));
    assert_eq!(scene.code(&signed(&scene.agent, &token)), "token.not_bound");
    let mut dpop = with_wit(&scene.agent);
    add_token(&mut dpop, "DPoP", &token);
    sign(&mut dpop, &scene.agent.key);
    assert_eq!(scene.code(&dpop), "dpop.missing");
}

/// A member that is not known refuses the token, apart from the one that a profile names.
#[test]
fn an_unknown_member_refuses() {
    let keycloak = || IssuerRules::new().profile(JwtProfile::keycloak("tools"));
    let by_default = Scene::new();
    let known = Scene::with(Revisions::BOTH, keycloak());
    for (scene, member, expected) in [
        (&by_default, None, "ok"),
        (&by_default, Some("kc-jkt-type"), "token.confirmation"),
        (&known, Some("kc-jkt-type"), "ok"),
        (&known, Some("kc-other"), "token.confirmation"),
    ] {
        let mut cnf = json!({"jwk": jwk(&scene.agent.key)});
        if let Some(member) = member {
            cnf[member] = json!("DPoP");
        }
        let mut claims = World::claims(&scene.agent);
        claims["cnf"] = cnf;
        if expected == "ok" && member.is_some() {
            claims["typ"] = json!("Bearer");
        }
        let token = scene.world.token(&claims);
        assert_eq!(
            scene.code(&signed(&scene.agent, &token)),
            expected,
            "{member:?}"
        );
    }
}
