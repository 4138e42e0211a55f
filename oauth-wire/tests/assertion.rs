//! Server-side verification of client assertions. Each refused one differs from a valid one in one
//! thing.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer, SigningKey};
use aims_jose::time::{Skew, UnixTime};
use aims_jose::{Algorithm, provider};
use aims_oauth_wire::Error;
use aims_oauth_wire::assertion::{AssertionRules, PresentedAssertion};
use aims_oauth_wire::names::ClientId;
use aims_oauth_wire::token::Form;
use aims_replay::{ReplayCache, ReplayKey, ReplayStore};
use serde_json::{Value, json};

const NOW: u64 = 1_764_000_000;
const ISSUER: &str = "https://as.example";

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn key() -> SigningKey {
    let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC).unwrap();
    key.with_key_id("k1")
}

fn set(keys: &[&SigningKey]) -> JwkSet {
    let all: Vec<_> = keys.iter().map(|key| key.public_jwk().to_json()).collect();
    let json = format!("{{\"keys\":[{}]}}", all.join(","));
    JwkSet::parse(json.as_bytes(), &SetRules::oauth(), provider::AWS_LC).unwrap()
}

fn claims() -> Value {
    json!({"iss": "agent", "sub": "agent", "aud": ISSUER, "jti": "j1", "iat": NOW, "exp": NOW + 60})
}

/// Returns the valid claims with one member set, or removed by `null`.
fn with(member: &str, value: Value) -> Value {
    let mut all = claims();
    let members = all.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(member);
    } else {
        members.insert(member.to_owned(), value);
    }
    all
}

fn sign(key: &SigningKey, typ: &str, claims: &Value) -> String {
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

fn rules() -> AssertionRules {
    AssertionRules::new(ISSUER.parse().unwrap()).with_skew(Skew::ZERO)
}

fn agent() -> ClientId {
    "agent".parse().unwrap()
}

/// Returns the code for these claims.
fn judged(claims: &Value) -> &'static str {
    let key = key();
    let text = sign(&key, "client-authentication+jwt", claims);
    let verified = rules().verify(&text, &set(&[&key]), &agent(), at(NOW));
    verified.map_or_else(|error| error.code(), |_| "ok")
}

/// JWTA-20: `iss` and `sub` are the client; `exp` and `jti` are required.
#[test]
fn claims_are_required() {
    assert_eq!(judged(&claims()), "ok");
    for member in ["iss", "sub", "aud", "jti", "exp"] {
        assert_eq!(
            judged(&with(member, Value::Null)),
            "assertion.jwt",
            "{member}"
        );
    }
    assert_eq!(judged(&with("iat", Value::Null)), "ok");
    for member in ["iss", "sub"] {
        for other in ["agent2", "", "Agent", "agent "] {
            assert_eq!(
                judged(&with(member, json!(other))),
                "assertion.client",
                "{member} {other}"
            );
        }
    }
    for bad in [String::new(), "j".repeat(257)] {
        assert_eq!(judged(&with("jti", json!(bad))), "assertion.id");
    }
    assert_eq!(judged(&with("jti", json!("j".repeat(256)))), "ok");
}

/// JWTA-21, T-102: `aud` is exactly this issuer, never the token endpoint, never one of two.
#[test]
fn audience_is_the_issuer_alone() {
    assert_eq!(judged(&with("aud", json!([ISSUER]))), "ok");
    for other in [
        json!("https://as.example/"),
        json!("https://as.example/token"),
        json!("https://AS.example"),
        json!("https://other.example"),
        json!(""),
        json!([ISSUER, "https://other.example"]),
        json!([ISSUER, ISSUER]),
    ] {
        assert_eq!(
            judged(&with("aud", other.clone())),
            "assertion.audience",
            "{other}"
        );
    }
    for bad in [json!([]), json!(1), json!({})] {
        assert_eq!(judged(&with("aud", bad)), "assertion.jwt");
    }
}

/// JWTA-20, JWTA-06: an expired assertion, one that is not yet valid, and one with a lifetime of
/// more than five minutes.
#[test]
fn times() {
    for (member, seconds) in [
        ("exp", NOW),
        ("exp", NOW + 301),
        ("iat", NOW + 1),
        ("iat", NOW - 241),
        ("nbf", NOW + 1),
    ] {
        assert_eq!(
            judged(&with(member, json!(seconds))),
            "assertion.time",
            "{member}"
        );
    }
    for (member, seconds) in [
        ("exp", NOW + 1),
        ("exp", NOW + 300),
        ("nbf", NOW),
        ("iat", NOW - 240),
    ] {
        assert_eq!(judged(&with(member, json!(seconds))), "ok", "{member}");
    }
    let mut long = with("exp", json!(NOW + 301));
    long.as_object_mut().unwrap().remove("iat");
    assert_eq!(judged(&long), "assertion.time");
}

/// JWTA-21: an unknown `typ` is refused; `JWT` and no `typ` are accepted.
#[test]
fn types() {
    let key = key();
    let keys = set(&[&key]);
    let judged = |text: &str| {
        let verified = rules().verify(text, &keys, &agent(), at(NOW));
        verified.map_or_else(|error| error.code(), |_| "ok")
    };
    for good in [
        "client-authentication+jwt",
        "application/client-authentication+JWT",
        "JWT",
    ] {
        assert_eq!(judged(&sign(&key, good, &claims())), "ok", "{good}");
    }
    for bad in ["at+jwt", "wpt+jwt", "dpop+jwt", "oauth-id-jag+jwt", "x"] {
        assert_eq!(
            judged(&sign(&key, bad, &claims())),
            "assertion.type",
            "{bad}"
        );
    }
    let header = aims_jose::base64url::encode(br#"{"alg":"ES256","kid":"k1"}"#);
    let payload = aims_jose::base64url::encode(claims().to_string().as_bytes());
    let signed = format!("{header}.{payload}");
    let signature = key.sign(signed.as_bytes()).unwrap();
    let untyped = format!(
        "{signed}.{}",
        aims_jose::base64url::encode(signature.as_ref())
    );
    assert_eq!(judged(&untyped), "ok");
}

/// JWTA-20: the client's key, an accepted algorithm, a valid signature.
#[test]
fn signatures() {
    let (key, other) = (key(), key());
    let text = sign(&key, "JWT", &claims());
    let judged = |rules: AssertionRules, text: &str, keys: &[&SigningKey]| {
        let verified = rules.verify(text, &set(keys), &agent(), at(NOW));
        verified.map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(judged(rules(), &text, &[&key]), "ok");
    assert_eq!(judged(rules(), &text, &[&other]), "assertion.jwt");
    assert_eq!(judged(rules(), &text, &[]), "assertion.key");
    let renamed = key.clone().with_key_id("k2");
    assert_eq!(judged(rules(), &text, &[&renamed]), "assertion.key");
    assert_eq!(judged(rules(), &text, &[&key, &other]), "assertion.key");
    let narrow = rules().with_algorithms(Algorithm::Es384.into());
    assert_eq!(judged(narrow, &text, &[&key]), "assertion.jwt");
    for bad in [
        "",
        "a.b",
        "a.b.c",
        &format!("{text}A"),
        &text.replace('.', ""),
    ] {
        assert_eq!(judged(rules(), bad, &[&key]), "assertion.jwt", "{bad}");
    }
    let header = aims_jose::base64url::encode(br#"{"alg":"none"}"#);
    let unsigned = text
        .split_once('.')
        .map(|(_, rest)| format!("{header}.{rest}"))
        .unwrap();
    assert_eq!(judged(rules(), &unsigned, &[&key]), "assertion.jwt");
    let wrong = rules().verify(&text, &set(&[&key]), &"b".parse().unwrap(), at(NOW));
    assert_eq!(wrong.unwrap_err().code(), "assertion.client");
}

/// JWTA-20: an assertion is accepted once. T-036: an invalid one is not spent.
#[test]
fn spent_once() {
    let (key, other) = (key(), key());
    let store = ReplayCache::in_memory(64);
    let keys = set(&[&key]);
    let spend = |text: &str, now: u64| {
        let verified = rules().verify(text, &keys, &agent(), at(now));
        verified.and_then(|it| it.spend(&store, at(now)))
    };
    let forged = sign(&other, "JWT", &claims());
    assert_eq!(spend(&forged, NOW).unwrap_err().code(), "assertion.jwt");
    let text = sign(&key, "JWT", &claims());
    let client = spend(&text, NOW).unwrap();
    assert_eq!(
        (client.client_id(), client.key().key_id()),
        (&agent(), Some("k1"))
    );
    assert_eq!(spend(&text, NOW).unwrap_err().code(), "assertion.replayed");
    // A new signature with the same `jti` is the same assertion, until its last second.
    let again = sign(&key, "JWT", &with("exp", json!(NOW + 50)));
    assert_eq!(
        spend(&again, NOW + 49).unwrap_err().code(),
        "assertion.replayed"
    );
    let next = sign(&key, "JWT", &with("jti", json!("j2")));
    assert!(spend(&next, NOW).is_ok());
}

/// If the store cannot tell, the assertion is refused, and the client is not at fault.
#[test]
fn unknown_is_not_accepted() {
    #[derive(Debug)]
    struct Broken;

    impl ReplayStore for Broken {
        fn spend(&self, _: &ReplayKey, _: UnixTime, _: UnixTime) -> Result<(), aims_replay::Error> {
            Err(aims_replay::Error::Unavailable)
        }
    }

    let key = key();
    let text = sign(&key, "JWT", &claims());
    let verified = rules()
        .verify(&text, &set(&[&key]), &agent(), at(NOW))
        .unwrap();
    let error = verified.spend(&Broken, at(NOW)).unwrap_err();
    assert_eq!((error.code(), error.answer()), ("assertion.unknown", None));
}

/// JWTA-01: type and assertion belong together, and `client_id` is the same client or absent.
/// JWTA-22: the answer of the server.
#[test]
fn in_a_form() {
    let key = key();
    let text = sign(&key, "client-authentication+jwt", &claims());
    let bearer = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let found = |form: &str| -> Result<bool, Error> {
        let form = Form::parse(form.as_bytes())?;
        Ok(PresentedAssertion::from_form(&form)?.is_some())
    };
    assert!(found(&format!("{bearer}&client_assertion={text}")).unwrap());
    assert!(found(&format!("{bearer}&client_assertion={text}&client_id=agent")).unwrap());
    assert!(!found("grant_type=client_credentials").unwrap());
    let spiffe = bearer.replace("jwt-bearer", "jwt-spiffe");
    assert!(!found(&format!("{spiffe}&client_assertion={text}")).unwrap());
    for (form, code, answer) in [
        (bearer.to_owned(), "oauth.request", "invalid_request"),
        (
            format!("client_assertion={text}"),
            "oauth.request",
            "invalid_request",
        ),
        (
            format!("{bearer}&client_assertion=a.b.c"),
            "assertion.jwt",
            "invalid_client",
        ),
        (
            format!("{bearer}&client_assertion={text}&client_id=b"),
            "assertion.client",
            "invalid_client",
        ),
    ] {
        let error = found(&form).unwrap_err();
        assert_eq!(
            (error.code(), error.answer()),
            (code, Some(answer)),
            "{form}"
        );
    }
    let form = format!("{bearer}&client_assertion={text}");
    let form = Form::parse(form.as_bytes()).unwrap();
    let presented = PresentedAssertion::from_form(&form).unwrap().unwrap();
    assert_eq!(presented.unverified_client_id(), &agent());
    assert!(!format!("{presented:?}").contains(&text));
    assert!(presented.verify(&set(&[&key]), &rules(), at(NOW)).is_ok());
}

/// JWTA-20: the store keeps it as long as it could be accepted: until `exp` plus the skew.
#[test]
fn remembered_for_as_long_as_it_is_good() {
    #[derive(Debug)]
    struct Expects(UnixTime);

    impl ReplayStore for Expects {
        fn spend(
            &self,
            _: &ReplayKey,
            until: UnixTime,
            _: UnixTime,
        ) -> Result<(), aims_replay::Error> {
            assert_eq!(until, self.0);
            Ok(())
        }
    }

    let key = key();
    let text = sign(&key, "JWT", &claims());
    let rules = rules().with_skew(Skew::from_secs(20).unwrap());
    let verified = rules.verify(&text, &set(&[&key]), &agent(), at(NOW + 79));
    let spent = verified
        .unwrap()
        .spend(&Expects(at(NOW + 80)), at(NOW + 79));
    assert!(spent.is_ok());
    let over = rules.verify(&text, &set(&[&key]), &agent(), at(NOW + 80));
    assert_eq!(over.unwrap_err().code(), "assertion.time");
}
