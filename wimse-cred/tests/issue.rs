//! Tests of issued tokens, and of issuers whose signer or random source fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::jwk::Jwk;
use aims_jose::key::{Signature, Signer, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::random::SecureRandom;
use aims_wimse_cred::{Error, JwtSvidIssuer, Wit, WitIssuer, WitRules};
use aims_wimse_id::WorkloadId;
use common::{AGENT, NOW, at, code, key, trust};
use serde_json::Value;

const MINUTE: Duration = Duration::from_secs(60);

fn id() -> WorkloadId {
    WorkloadId::parse(AGENT).unwrap()
}

fn part(text: &str, at: usize) -> Value {
    let part = text.split('.').nth(at).unwrap();
    serde_json::from_slice(&base64url::decode(part).unwrap()).unwrap()
}

fn members(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn reason(error: &Error) -> &'static str {
    match error {
        Error::Issue { reason } => reason,
        other => other.code(),
    }
}

/// Returns zeros, and counts them.
#[derive(Debug)]
struct Counting(AtomicUsize);

impl SecureRandom for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
        self.0.fetch_add(buffer.len(), Ordering::SeqCst);
        buffer.fill(0);
        Ok(())
    }
}

#[derive(Debug)]
struct Empty;

impl SecureRandom for Empty {
    fn fill(&self, _buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
        Err(aims_jose::Error::Random)
    }
}

/// A device that fails.
struct Gone;

impl Signer for Gone {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }
    fn key_id(&self) -> Option<&str> {
        Some("gone")
    }
    fn sign(&self, _message: &[u8]) -> Result<Signature, aims_jose::Error> {
        Err(aims_jose::Error::signer_unavailable("gone"))
    }
}

/// WIT-01, WIT-02, T-019: a WIT has exactly these members, and only the public members of the key.
#[test]
fn a_wit_holds_what_it_should() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let jwk = agent.public_jwk().clone().with_use("sig");
    let issuer = WitIssuer::new(Arc::new(ca.clone()), Some("https://issuer".to_owned()));
    let wit = issuer.issue(&id(), &jwk, MINUTE, at(NOW)).unwrap();
    let (header, claims) = (part(wit.expose(), 0), part(wit.expose(), 1));
    assert_eq!(members(&header), ["alg", "kid", "typ"]);
    assert_eq!(
        (&header["typ"], &header["kid"]),
        (&"wit+jwt".into(), &"ca".into())
    );
    assert_eq!(members(&claims), ["cnf", "exp", "iat", "iss", "jti", "sub"]);
    assert_eq!(members(&claims["cnf"]), ["jwk"]);
    assert_eq!(
        members(&claims["cnf"]["jwk"]),
        ["alg", "crv", "kty", "x", "y"]
    );
    assert_eq!(
        (&claims["iat"], &claims["exp"]),
        (&NOW.into(), &(NOW + 60).into())
    );
    let trust = trust(&[&ca]).snapshot();
    let wit = Wit::verify(wit.expose(), &trust, &WitRules::wit_svid(), at(NOW)).unwrap();
    assert_eq!(wit.issuer(), Some("https://issuer"));
    assert_eq!(wit.key().thumbprint(), agent.verifying_key().thumbprint());
    let shown = format!("{issuer:?}");
    assert!(shown.contains("Es256") && !shown.contains("ca"), "{shown}");
}

/// WIT-03, T-037a: each `jti` differs and has 16 random bytes; without an issuer there is no `iss`.
#[test]
fn each_wit_has_its_own_jti() {
    static COUNTING: Counting = Counting(AtomicUsize::new(0));
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let issuer = WitIssuer::new(Arc::new(ca), None);
    let issued = |issuer: &WitIssuer| {
        let wit = issuer.issue(&id(), agent.public_jwk(), MINUTE, at(NOW));
        part(wit.unwrap().expose(), 1)
    };
    let all: BTreeSet<_> = (0..100)
        .map(|_| issued(&issuer)["jti"].to_string())
        .collect();
    assert_eq!(all.len(), 100);
    assert!(issued(&issuer).get("iss").is_none());
    let issuer = issuer.with_random(&COUNTING);
    assert_eq!(issued(&issuer)["jti"], "A".repeat(22));
    assert_eq!(COUNTING.0.load(Ordering::SeqCst), 16);
}

/// SVD-01, SVD-02: the lifetime is from 1 s to 24 h, in whole seconds, for both kinds.
#[test]
fn a_lifetime_has_bounds() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let wits = WitIssuer::new(Arc::new(ca.clone()), None);
    let svids = JwtSvidIssuer::new(Arc::new(ca));
    for (lifetime, expected) in [
        (Duration::ZERO, "cred.issue"),
        (Duration::from_millis(999), "cred.issue"),
        (Duration::from_secs(1), "ok"),
        (Duration::from_secs(86_400), "ok"),
        (Duration::from_secs(86_401), "cred.issue"),
        (Duration::MAX, "cred.issue"),
    ] {
        let wit = wits.issue(&id(), agent.public_jwk(), lifetime, at(NOW));
        let svid = svids.issue(&id(), &["a"], lifetime, at(NOW));
        assert_eq!(
            (code(wit), code(svid)),
            (expected, expected),
            "{lifetime:?}"
        );
    }
}

/// SVD-01, SVD-02: each refusal gives its reason.
#[test]
fn a_refusal_has_its_reason() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let edwards = key(Algorithm::Ed25519, "e");
    let nameless = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let bare = Jwk::from_public_key(agent.public_jwk().public_key().clone()).unwrap();
    let wit = |ca: &SigningKey, jwk: &Jwk| {
        let issuer = WitIssuer::new(Arc::new(ca.clone()), None);
        reason(&issuer.issue(&id(), jwk, MINUTE, at(NOW)).unwrap_err())
    };
    let agent = agent.public_jwk();
    assert!(wit(&ca, &bare).contains("no `alg`"));
    assert!(wit(&ca, edwards.public_jwk()).contains("key is of an algorithm"));
    assert!(wit(&edwards, agent).contains("signer is of an algorithm"));
    assert!(wit(&nameless, agent).contains("key id"));
    let svid = |ca: &SigningKey, id: &str, audiences: &[&str]| {
        let id = WorkloadId::parse(id).unwrap();
        let issuer = JwtSvidIssuer::new(Arc::new(ca.clone()));
        reason(&issuer.issue(&id, audiences, MINUTE, at(NOW)).unwrap_err())
    };
    assert!(svid(&ca, "wimse://example.org/a", &["a"]).contains("SPIFFE ID"));
    assert!(svid(&ca, AGENT, &[]).contains("audiences"));
    assert!(svid(&ca, AGENT, &["a", ""]).contains("audiences"));
    assert!(svid(&nameless, AGENT, &["a"]).contains("key id"));
    assert!(svid(&edwards, AGENT, &["a"]).contains("signer is of an algorithm"));
}

/// WIT-03, SVD-02: without random bytes or without the signer, no token is issued.
#[test]
fn a_failing_means_gives_no_token() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let issue = |issuer: WitIssuer| code(issuer.issue(&id(), agent.public_jwk(), MINUTE, at(NOW)));
    assert_eq!(issue(WitIssuer::new(Arc::new(Gone), None)), "cred.sign");
    let unlucky = WitIssuer::new(Arc::new(ca), None).with_random(&Empty);
    assert_eq!(issue(unlucky), "cred.sign");
    let svid = JwtSvidIssuer::new(Arc::new(Gone)).issue(&id(), &["a"], MINUTE, at(NOW));
    assert_eq!(code(svid), "cred.sign");
}
