//! Requests that the client has signed.

use aims_authority::Client;
use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use serde_json::{Value, json};

use super::payer::{ask, decide, details, good, id, key, payer, poll, with_payer};
use crate::common::endpoint::refused;
use crate::common::{BASE, NOW, TOOLS, now, sign};

fn signed_claims(now: UnixTime) -> Value {
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let seconds = now.as_secs();
    let details: Value = serde_json::from_str(&details()).unwrap();
    json!({
        "iss": "payer", "aud": BASE, "jti": jti, "iat": seconds, "nbf": seconds,
        "exp": seconds + 60, "scope": "openid", "login_hint": "alice", "resource": TOOLS,
        "authorization_details": details, "requested_expiry": 90,
    })
}

/// CIBA-04: a signed request has everything in the JWT, and counts once.
#[test]
fn a_signed_request_is_verified() {
    let key = key();
    let client = payer(&key).require_signed_approvals();
    let authority = with_payer(client).build(now()).unwrap();
    let send = |text: &str| ask(&authority, &key, &[("request", text)], now());
    let bad = refused(400, "invalid_request");
    assert_eq!(ask(&authority, &key, &good(&details()), now()), bad);
    let mut changed: Vec<(&str, Option<Value>)> = Vec::new();
    for name in [
        "iss",
        "aud",
        "jti",
        "iat",
        "nbf",
        "exp",
        "scope",
        "login_hint",
    ] {
        changed.push((name, None));
    }
    changed.extend([
        ("iss", Some(json!("other"))),
        ("aud", Some(json!([BASE, "https://other.example"]))),
        ("aud", Some(json!("https://other.example"))),
        ("sub", Some(json!("payer"))),
        ("jti", Some(json!(""))),
        ("jti", Some(json!("x".repeat(257)))),
        ("exp", Some(json!(NOW - 31))),
        ("exp", Some(json!(NOW + 7_200))),
        ("nbf", Some(json!(NOW + 60))),
        ("login_hint", Some(json!(["alice"]))),
        ("login_hint", Some(json!(true))),
        ("user_code", Some(json!({"a": 1}))),
    ]);
    for (name, value) in changed {
        let mut claims = signed_claims(now());
        let members = claims.as_object_mut().unwrap();
        members.remove(name);
        if let Some(value) = &value {
            members.insert(name.to_owned(), value.clone());
        }
        let found = send(&sign("JWT", &claims, &key));
        assert_eq!(found, bad, "{name} {value:?}");
    }
    let other = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    assert_eq!(send(&sign("JWT", &signed_claims(now()), &other)), bad);
    for typ in ["client-authentication+jwt", "at+jwt", "dpop+jwt"] {
        assert_eq!(send(&sign(typ, &signed_claims(now()), &key)), bad, "{typ}");
    }
    let text = sign("JWT", &signed_claims(now()), &key);
    // A parameter outside the JWT.
    let outside = [("request", text.as_str()), ("login_hint", "bob")];
    assert_eq!(ask(&authority, &key, &outside, now()), bad);
    let answer = send(&text).unwrap();
    assert_eq!(answer["expires_in"], 90);
    decide(&authority, "allow", now());
    assert!(poll(&authority, &key, &id(&answer), now()).is_ok());
    assert_eq!(send(&text), bad, "a replay");
    // A client without registered keys cannot be made to sign.
    let agents = Client::spiffe("spiffe://example.org/agents/z".parse().unwrap());
    let agents = agents.allow(TOOLS, ["call"]).require_signed_approvals();
    let error = with_payer(agents).build(now()).unwrap_err();
    assert_eq!(error.code(), "authority.clients");
}
