//! Answers of an introspection endpoint: what is read, what is tolerated, and what is refused.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::time::{Skew, at};
use aims_jose::{Algorithm, provider};
use aims_oauth_wire::introspection::{
    ActiveToken, Error, Introspection, SIGNED, SignedIntrospection,
};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://as.example";
const SERVER: &str = "tool-client";
const TYPE: &str = "token-introspection+jwt";

fn response(status: u16, content_type: Option<&str>, body: &[u8]) -> Response<Vec<u8>> {
    let mut response = Response::new(body.to_vec());
    *response.status_mut() = status.try_into().unwrap();
    if let Some(text) = content_type {
        let value = HeaderValue::from_str(text).unwrap();
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

fn read(body: &str) -> Result<Introspection, Error> {
    Introspection::parse(&response(200, Some("application/json"), body.as_bytes()))
}

fn code(result: Result<Introspection, Error>) -> &'static str {
    match result {
        Ok(Introspection::Active(_)) => "active",
        Ok(Introspection::Inactive) => "inactive",
        Err(error) => error.code(),
    }
}

fn active(body: &Value) -> Box<ActiveToken> {
    match read(&body.to_string()).unwrap() {
        Introspection::Active(token) => token,
        Introspection::Inactive => unreachable!("inactive"),
    }
}

/// The example of RFC 7662 §2.2, and all members of an answer.
#[test]
fn an_active_token_is_described() {
    let token = active(&json!({
        "active": true,
        "client_id": "l238j323ds-23ij4",
        "username": "jdoe",
        "scope": "read write dolphin",
        "sub": "Z5O3upPC88QrAjx00dis",
        "aud": "https://protected.example.net/resource",
        "iss": "https://server.example.com/",
        "exp": 1_419_356_238,
        "iat": 1_419_350_238,
        "extension_field": "twenty-seven"
    }));
    assert_eq!(token.client_id(), Some("l238j323ds-23ij4"));
    assert_eq!(token.subject(), Some("Z5O3upPC88QrAjx00dis"));
    assert_eq!(token.issuer(), Some("https://server.example.com/"));
    assert_eq!(
        token.audiences(),
        ["https://protected.example.net/resource"]
    );
    assert_eq!(token.scopes().unwrap().to_string(), "dolphin read write");
    assert_eq!(token.expires(), Some(at(1_419_356_238)));
    assert_eq!(token.iat().unwrap().as_secs(), 1_419_350_238);
    assert!(token.nbf().is_none() && token.jwt_id().is_none() && token.token_type().is_none());
    let all: Value = serde_json::from_str(token.as_json()).unwrap();
    assert_eq!(all["extension_field"], "twenty-seven");
}

/// Only the boolean `true` is active (RFC 7662 §2.2).
#[test]
fn active_is_the_boolean() {
    assert_eq!(code(read(r#"{"active":true}"#)), "active");
    assert_eq!(code(read(r#"{"active":false,"sub":3}"#)), "inactive");
    for body in [
        r#"{"active":"true"}"#,
        r#"{"active":1}"#,
        r#"{"active":null}"#,
        r#"{"active":[true]}"#,
        r#"{"Active":true}"#,
        "{}",
    ] {
        assert_eq!(code(read(body)), "introspection.member", "{body}");
    }
}

#[test]
fn members_have_their_types() {
    for (member, value) in [
        ("scope", json!(1)),
        ("scope", json!(["a b"])),
        ("scope", json!("a\"b")),
        ("client_id", json!(1)),
        ("sub", json!({})),
        ("iss", json!([])),
        ("aud", json!(1)),
        ("aud", json!([1])),
        ("aud", json!([])),
        ("token_type", json!(true)),
        ("jti", json!(1)),
        ("exp", json!("1800000000")),
        ("exp", json!(-1)),
        ("nbf", json!({})),
        ("iat", json!("x")),
    ] {
        let body = json!({"active": true, member: value});
        let refused = read(&body.to_string()).unwrap_err();
        assert_eq!(refused.code(), "introspection.member", "{body}");
        assert!(refused.to_string().contains(member), "{refused}");
    }
}

/// In an unsigned document, `null` and the empty string count as absent. White space and one byte
/// order mark are skipped. This grants nothing: a required member is then missing.
#[test]
fn spellings_of_absence_are_read() {
    let token = active(&json!({
        "active": true, "sub": null, "client_id": "", "scope": null, "aud": null, "exp": null,
        "iss": null, "token_type": "", "jti": null
    }));
    assert!(token.subject().is_none() && token.client_id().is_none());
    assert!(token.scopes().is_none() && token.audiences().is_empty());
    assert!(token.expires().is_none() && token.issuer().is_none());
    assert!(token.token_type().is_none() && token.jwt_id().is_none());
    assert_eq!(code(read("\u{feff} {\"active\":true}\r\n")), "active");
    let listed = active(&json!({"active": true, "scope": ["a", "b"], "aud": ["x", "y"]}));
    assert_eq!(listed.scopes().unwrap().to_string(), "a b");
    assert_eq!(listed.audiences(), ["x", "y"]);
    let blanks = active(&json!({"active": true, "scope": " a  b "}));
    assert_eq!(blanks.scopes().unwrap().to_string(), "a b");
}

/// An answer that two readers could read differently is refused.
#[test]
fn no_member_stands_twice() {
    for body in [
        r#"{"active":false,"active":true}"#,
        r#"{"active":true,"aud":"a","aud":"b"}"#,
        r#"{"active":true,"cnf":{"jkt":"a","jkt":"b"}}"#,
        "[]",
        "true",
        "",
        r#"{"active":true}x"#,
        "\u{feff}\u{feff}{\"active\":true}",
    ] {
        assert_eq!(code(read(body)), "introspection.response", "{body}");
    }
}

/// Wrong credentials of the resource server have their own code. No such error is about the token.
#[test]
fn the_status_and_the_type_are_judged() {
    let body = br#"{"active":true}"#;
    let json = Some("application/json");
    for (status, content_type, expected) in [
        (200, json, "active"),
        (200, None, "active"),
        (200, Some("text/plain"), "active"),
        (200, Some("text/html"), "introspection.response"),
        (200, Some(SIGNED), "introspection.response"),
        (202, json, "introspection.response"),
        (204, json, "introspection.response"),
        (302, json, "introspection.response"),
        (400, json, "introspection.response"),
        (401, json, "introspection.caller"),
        (403, json, "introspection.caller"),
        (404, json, "introspection.response"),
        (500, json, "introspection.response"),
    ] {
        let found = code(Introspection::parse(&response(status, content_type, body)));
        assert_eq!(found, expected, "{status} {content_type:?}");
    }
    let long = format!("{{\"active\":true{}}}", " ".repeat(128 * 1024));
    assert_eq!(code(read(&long)), "introspection.response");
    let refused = read("secret-body").unwrap_err().to_string();
    assert!(
        !refused.contains("secret-body") && refused.contains("11 bytes"),
        "{refused}"
    );
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, provider::AWS_LC)
        .unwrap()
        .with_key_id("as")
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": SERVER, "iat": NOW,
        "token_introspection": {"active": true, "sub": "alice", "aud": "https://tool.example"}
    })
}

fn sign(typ: &str, claims: &Value, key: &SigningKey) -> String {
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

/// Returns the code for a signed answer.
fn signed(typ: &str, claims: &Value) -> Result<Introspection, Error> {
    let key = key();
    let answer = response(200, Some(SIGNED), sign(typ, claims, &key).as_bytes());
    let read = SignedIntrospection::parse(&answer)?;
    assert_eq!(
        (read.key_id(), read.algorithm()),
        (Some("as"), Algorithm::Es256)
    );
    let issuer = ISSUER.parse().unwrap();
    read.verify(
        key.verifying_key(),
        &issuer,
        SERVER,
        Skew::default(),
        at(NOW),
    )
}

fn with(changes: &Value) -> Result<Introspection, Error> {
    let mut all = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    signed(TYPE, &all)
}

#[test]
fn a_signed_answer_is_of_this_issuer_for_this_server_and_of_now() {
    assert_eq!(code(with(&json!({}))), "active");
    let inactive = json!({"token_introspection": {"active": false}});
    assert_eq!(code(with(&inactive)), "inactive");
    assert_eq!(code(with(&json!({"aud": [SERVER]}))), "active");
    for name in ["iss", "aud", "iat", "token_introspection"] {
        for value in [json!("-"), json!(null), json!(true)] {
            let changed = json!({name: value});
            assert_eq!(code(with(&changed)), "introspection.claim", "{changed}");
        }
    }
    let other = json!({"iss": "https://as.example/"});
    assert_eq!(code(with(&other)), "introspection.issuer");
    for aud in [json!("other"), json!([SERVER, "other"])] {
        assert_eq!(code(with(&json!({"aud": aud}))), "introspection.audience");
    }
    for (iat, expected) in [
        (NOW + 30, "active"),
        (NOW + 31, "introspection.time"),
        (NOW - 330, "active"),
        (NOW - 331, "introspection.time"),
    ] {
        assert_eq!(code(with(&json!({"iat": iat}))), expected);
    }
    // A signed answer must not have `null`.
    for member in ["sub", "aud", "exp", "scope"] {
        let token = json!({"active": true, member: null});
        let changed = json!({"token_introspection": token});
        assert_eq!(code(with(&changed)), "introspection.member", "{changed}");
    }
}

#[test]
fn an_active_token_knows_whether_it_was_signed() {
    let Ok(Introspection::Active(token)) = with(&json!({})) else {
        panic!("not active");
    };
    assert!(token.is_signed());
    let unsigned = response(200, None, br#"{"active":true,"cnf":null}"#);
    let Ok(Introspection::Active(token)) = Introspection::parse(&unsigned) else {
        panic!("not active");
    };
    assert!(!token.is_signed());
}

/// RFC 9701 §8.1: a token of another kind is not an answer.
#[test]
fn a_signed_answer_has_its_own_type() {
    for typ in ["at+jwt", "JWT", "wit+jwt", "secevent+jwt"] {
        assert_eq!(code(signed(typ, &claims())), "introspection.typ", "{typ}");
    }
    let text = sign(TYPE, &claims(), &key());
    let as_json = response(200, Some("application/json"), text.as_bytes());
    let refused = SignedIntrospection::parse(&as_json).unwrap_err();
    assert_eq!(refused.code(), "introspection.response");
    let denied = response(401, Some(SIGNED), text.as_bytes());
    let refused = SignedIntrospection::parse(&denied).unwrap_err();
    assert_eq!(refused.code(), "introspection.caller");
}

#[test]
fn a_signed_answer_is_signed_by_the_issuer() {
    let (own, other) = (key(), key());
    let answer = response(200, Some(SIGNED), sign(TYPE, &claims(), &other).as_bytes());
    let read = SignedIntrospection::parse(&answer).unwrap();
    let issuer = ISSUER.parse().unwrap();
    let refused = read.verify(
        own.verifying_key(),
        &issuer,
        SERVER,
        Skew::default(),
        at(NOW),
    );
    assert_eq!(code(refused), "introspection.signature");
}
