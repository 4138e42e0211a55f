//! The proof of a client attestation: what a server accepts, and what it refuses.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::time::UnixTime;
use aims_jose::{Algorithm, provider};
use aims_oauth_wire::attestation::{ATTESTATION, ATTESTATION_POP, PopRules, PresentedAttestation};
use aims_oauth_wire::client_auth::{Authenticate as _, SpiffeWit, WitCredential};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{ClientId, Issuer};
use aims_oauth_wire::token::TokenRequest;
use aims_replay::ReplayCache;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

const NOW: u64 = 1_747_124_300;
const ISSUER: &str = "https://as.example";
const WORKLOAD: &str = "spiffe://example.org/agent";
const TYPE: &str = "oauth-client-attestation-pop+jwt";

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, provider::AWS_LC).unwrap()
}

fn rules() -> PopRules {
    PopRules::new(ISSUER.parse().unwrap())
}

fn client() -> ClientId {
    WORKLOAD.parse().unwrap()
}

fn claims() -> Value {
    json!({"aud": ISSUER, "jti": "a", "iat": NOW})
}

fn sign(typ: &str, claims: &Value, key: &SigningKey) -> String {
    let input = SigningInput::new(typ, key.algorithm(), None, claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

fn fields(all: &[(&HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// SPF-03, ATT-02: a server accepts the proof of a client once.
#[test]
fn what_is_sent_is_taken() {
    let key = key();
    let signer = Arc::new(key.clone());
    let sender = SpiffeWit::new(client(), move |_| {
        Ok(WitCredential::new(
            "w.i.t",
            Arc::<SigningKey>::clone(&signer),
        ))
    });
    let issuer: Issuer = ISSUER.parse().unwrap();
    let json = format!(r#"{{"issuer":"{ISSUER}","token_endpoint":"{ISSUER}/token"}}"#);
    let server = ServerMetadata::parse(json.as_bytes(), &issuer).unwrap();
    let mut request = TokenRequest::new("client_credentials").unwrap();
    sender.authenticate(&mut request, &server, at(NOW)).unwrap();
    let request = request.into_http(server.token_endpoint().unwrap()).unwrap();
    let presented = PresentedAttestation::from_headers(request.headers());
    let presented = presented.unwrap().unwrap();
    assert_eq!(presented.unverified_attestation(), "w.i.t");
    let store = ReplayCache::in_memory(16);
    let verify = || presented.verify_pop(key.verifying_key(), &client(), &rules(), at(NOW));
    verify().unwrap().spend(&store, at(NOW)).unwrap();
    let again = verify().unwrap().spend(&store, at(NOW));
    assert_eq!(again.unwrap_err().code(), "attestation.replayed");
    assert!(!format!("{presented:?}").contains("w.i.t"));
}

/// SPF-03, T-033: each claim, the type and the key are checked.
#[test]
fn proofs_are_checked_in_everything() {
    let key = key();
    let judge = |text: &str, now: u64| {
        let verified = rules().verify(text, key.verifying_key(), &client(), at(now));
        verified.map_or_else(|error| error.code(), |_| "ok")
    };
    let with = |member: &str, value: Value| {
        let mut claims = claims();
        claims[member] = value;
        judge(&sign(TYPE, &claims, &key), NOW)
    };
    let good = sign(TYPE, &claims(), &key);
    assert_eq!(judge(&good, NOW), "ok");
    assert_eq!(judge("a.b.c", NOW), "attestation.jwt");
    assert_eq!(
        judge(&sign("JWT", &claims(), &key), NOW),
        "attestation.type"
    );
    let foreign = sign(TYPE, &claims(), &self::key());
    assert_eq!(judge(&foreign, NOW), "attestation.jwt");
    assert_eq!(with("aud", json!([ISSUER])), "ok");
    for audience in [
        json!("https://b.example"),
        json!("https://as.example/"),
        json!("https://as.example/token"),
        json!([ISSUER, "https://b.example"]),
    ] {
        assert_eq!(with("aud", audience), "attestation.audience");
    }
    assert_eq!(with("jti", json!("")), "attestation.id");
    assert_eq!(with("jti", json!("a".repeat(256))), "ok");
    assert_eq!(with("jti", json!("a".repeat(257))), "attestation.id");
    for member in ["aud", "jti", "iat"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(member);
        let code = judge(&sign(TYPE, &claims, &key), NOW);
        assert_eq!(code, "attestation.jwt", "{member}");
    }
    // The limits are five minutes plus 30 seconds of skew, and 30 seconds into the future.
    assert_eq!(judge(&good, NOW + 300 + 29), "ok");
    assert_eq!(judge(&good, NOW + 300 + 31), "attestation.time");
    assert_eq!(judge(&good, NOW - 30), "ok");
    assert_eq!(judge(&good, NOW - 31), "attestation.time");
}

/// ATT-08: both fields or neither, each once.
#[test]
fn both_fields_stand_once() {
    let read = |all: &[(&HeaderName, &str)]| {
        let headers = fields(all);
        let found = PresentedAttestation::from_headers(&headers);
        found.map_or_else(
            |error| error.code(),
            |it| if it.is_some() { "ok" } else { "none" },
        )
    };
    let (wit, pop) = ((&ATTESTATION, "a"), (&ATTESTATION_POP, "b"));
    assert_eq!(read(&[]), "none");
    assert_eq!(read(&[wit, pop]), "ok");
    for bad in [&[wit][..], &[pop], &[wit, wit, pop], &[wit, pop, pop]] {
        assert_eq!(read(bad), "oauth.request", "{bad:?}");
    }
}

/// T-036: if the store cannot tell, the proof is refused. A proof of one client does not spend that
/// of another.
#[test]
fn a_store_that_cannot_tell_refuses() {
    let key = key();
    let text = sign(TYPE, &claims(), &key);
    let verify = |client: &str| {
        let client = client.parse().unwrap();
        rules().verify(&text, key.verifying_key(), &client, at(NOW))
    };
    let store = ReplayCache::in_memory(16);
    verify("a").unwrap().spend(&store, at(NOW)).unwrap();
    verify("b").unwrap().spend(&store, at(NOW)).unwrap();
    #[derive(Debug)]
    struct Expects(UnixTime);
    impl aims_replay::ReplayStore for Expects {
        fn spend(
            &self,
            _: &aims_replay::ReplayKey,
            until: UnixTime,
            _: UnixTime,
        ) -> Result<(), aims_replay::Error> {
            assert_eq!(until, self.0);
            Ok(())
        }
    }
    // The proof is stored until it could no longer be accepted.
    let spent = verify("a").unwrap().spend(&Expects(at(NOW + 330)), at(NOW));
    assert!(spent.is_ok());
    #[derive(Debug)]
    struct Broken;
    impl aims_replay::ReplayStore for Broken {
        fn spend(
            &self,
            _: &aims_replay::ReplayKey,
            _: UnixTime,
            _: UnixTime,
        ) -> Result<(), aims_replay::Error> {
            Err(aims_replay::Error::Full)
        }
    }
    let refused = verify("a").unwrap().spend(&Broken, at(NOW));
    assert_eq!(refused.unwrap_err().code(), "attestation.unknown");
}
