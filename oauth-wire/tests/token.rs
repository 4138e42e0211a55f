//! Token requests, forms, and responses.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use aims_jose::time::UnixTime;
use aims_oauth_wire::token::{
    Form, MAX_FORM, MAX_PARAMETERS, MAX_RESPONSE, TokenError, TokenRequest, TokenResponse,
    TokenType,
};
use aims_oauth_wire::{Diagnostic, Error};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

fn code<T>(read: Result<T, Error>) -> &'static str {
    read.err().map_or("ok", |error| error.code())
}

fn good() -> Value {
    json!({"access_token": "abc.d-e_f~g+h/i==", "token_type": "bearer", "expires_in": 3600})
}

/// Returns the valid response with one member set.
fn with(member: &str, value: Value) -> Response<Vec<u8>> {
    let mut json = good();
    json.as_object_mut()
        .unwrap()
        .insert(member.to_owned(), value);
    answer(&json.to_string())
}

fn answer(json: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(json.as_bytes().to_vec());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, No-Store"));
    response
}

/// RFC 6749 §5.1: the members of a granted token.
#[test]
fn answers_are_read() {
    let mut json = good();
    let members = json.as_object_mut().unwrap();
    members.insert("token_type".to_owned(), json!("dPoP"));
    members.insert("scope".to_owned(), json!("b a"));
    members.insert("refresh_token".to_owned(), json!("r"));
    members.insert("authorization_details".to_owned(), json!([{"type": "a"}]));
    members.insert("issued_token_type".to_owned(), json!("urn:x"));
    members.insert("id_token".to_owned(), Value::Null);
    let read = TokenResponse::parse(&answer(&json.to_string())).unwrap();
    assert_eq!(read.token_type(), TokenType::Dpop);
    assert_eq!(*read.access_token(), *"abc.d-e_f~g+h/i==");
    assert_eq!(read.expires_in(), Some(Duration::from_secs(3600)));
    let sent = UnixTime::since_unix_epoch(Duration::from_secs(1_000));
    assert_eq!(read.expires_at(sent).unwrap().as_secs(), 4_600);
    assert_eq!(read.scope(), Some(&"a b".parse().unwrap()));
    assert_eq!(read.authorization_details(), Some(r#"[{"type":"a"}]"#));
    assert_eq!(read.issued_token_type(), Some("urn:x"));
    assert!(read.refresh_token().is_some() && read.id_token().is_none());
    assert!(!format!("{read:?}").contains("abc.d"));
    let empty = TokenResponse::parse(&with("scope", json!(""))).unwrap();
    assert!(empty.scope().is_some_and(|scope| scope.is_empty()));
}

/// RFC 6749 §7.1: a token of an unknown type is refused.
#[test]
fn token_types() {
    for known in ["Bearer", "BEARER", "DPoP", "N_A"] {
        assert_eq!(
            code(TokenResponse::parse(&with("token_type", json!(known)))),
            "ok"
        );
    }
    for unknown in ["mac", "", "Bearer ", "bearer,dpop"] {
        let read = TokenResponse::parse(&with("token_type", json!(unknown)));
        assert_eq!(code(read), "oauth.token_type", "{unknown}");
    }
}

/// BEAR-01: an access token is a b64token, which a header field can carry; RFC 6749 appendix A.12
/// defines the others.
#[test]
fn token_characters() {
    for bad in ["", "=", "a b", "a\r\nb", "a=b", "a,b", "\u{e4}", "a\u{0}"] {
        let read = TokenResponse::parse(&with("access_token", json!(bad)));
        assert_eq!(code(read), "oauth.response", "{bad:?}");
    }
    for bad in ["a\nb", "\u{e4}"] {
        for member in ["refresh_token", "id_token"] {
            let read = TokenResponse::parse(&with(member, json!(bad)));
            assert_eq!(code(read), "oauth.response", "{member} {bad:?}");
        }
    }
    let assertion = answer(r#"{"access_token":"a b","token_type":"N_A"}"#);
    assert_eq!(code(TokenResponse::parse(&assertion)), "ok");
    let control = answer(r#"{"access_token":"a\nb","token_type":"N_A"}"#);
    assert_eq!(code(TokenResponse::parse(&control)), "oauth.response");
}

/// RFC 6749 §5.1: seconds, up to a maximum.
#[test]
fn expires_in() {
    for good in [json!(0), json!(315_360_000), Value::Null] {
        assert_eq!(code(TokenResponse::parse(&with("expires_in", good))), "ok");
    }
    let read = |value: Value| {
        let read = TokenResponse::parse(&with("expires_in", value)).unwrap();
        (
            read.expires_in().map(|it| it.as_secs()),
            read.diagnostics().len(),
        )
    };
    for (written, expected) in [
        (json!("3599"), 3_599),
        (json!(" 3599 "), 3_599),
        (json!(1.5), 1),
        (json!("3599.99"), 3_599),
        (json!(3.6e3), 3_600),
        (json!("315360000"), 315_360_000),
    ] {
        assert_eq!(read(written.clone()), (Some(expected), 0), "{written}");
    }
    for nothing in [
        json!(-1),
        json!("-1"),
        json!(-0.5),
        json!(315_360_001),
        json!("315360001"),
        json!(1e30),
        json!("1e400"),
        json!("NaN"),
        json!("inf"),
        json!("soon"),
        json!("3600 s"),
        json!([1]),
        json!(true),
    ] {
        assert_eq!(read(nothing.clone()), (None, 1), "{nothing}");
    }
    assert_eq!(read(json!("")), (None, 0));
}

/// RFC 6749 §5.1: JSON, a successful status, no repeated member.
#[test]
fn answers_are_strict() {
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"access_token":"a"}"#,
        r#"{"token_type":"Bearer"}"#,
        r#"{"access_token":"a","token_type":"Bearer","access_token":"b"}"#,
        r#"{"access_token":"a","token_type":"Bearer","x":{"y":1,"y":2}}"#,
        r#"["a","Bearer",1]"#,
        "access_token=a&token_type=Bearer",
    ] {
        assert_eq!(
            code(TokenResponse::parse(&answer(bad))),
            "oauth.response",
            "{bad}"
        );
    }
    for bad in [
        json!("a\"b"),
        json!(["a b"]),
        json!(["a", 1]),
        json!({"a": 1}),
        json!(1),
    ] {
        let read = TokenResponse::parse(&with("scope", bad.clone()));
        assert_eq!(code(read), "oauth.scope", "{bad}");
    }
    let mut html = answer(&good().to_string());
    html.headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    assert_eq!(code(TokenResponse::parse(&html)), "oauth.response");
    for status in [
        StatusCode::ACCEPTED,
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::FOUND,
        StatusCode::BAD_GATEWAY,
    ] {
        let mut other = answer(&good().to_string());
        *other.status_mut() = status;
        assert_eq!(code(TokenResponse::parse(&other)), "oauth.response");
    }
    let long = with("x", json!("a".repeat(MAX_RESPONSE)));
    assert_eq!(code(TokenResponse::parse(&long)), "oauth.response");
    for caching in [None, Some("no-cache"), Some("no-storex")] {
        let mut stored = answer(&good().to_string());
        stored.headers_mut().remove(CACHE_CONTROL);
        if let Some(value) = caching {
            stored
                .headers_mut()
                .insert(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        let read = TokenResponse::parse(&stored).unwrap();
        assert_eq!(read.diagnostics(), [Diagnostic::Storable]);
    }
}

/// RSC-05: `resource` is read leniently, and not required.
#[test]
fn granted_resources() {
    let read = |value| {
        TokenResponse::parse(&with("resource", value))
            .unwrap()
            .resources()
            .len()
    };
    assert_eq!(read(json!("https://a.example")), 1);
    assert_eq!(read(json!(["https://a.example", "urn:b"])), 2);
    assert_eq!(read(json!("http://127.0.0.1:8080/mcp")), 1);
    for nothing in [
        Value::Null,
        json!(1),
        json!("/a"),
        json!("http://a.example"),
        json!(["https://a.example", 1]),
    ] {
        assert_eq!(read(nothing), 0);
    }
}

/// RFC 6749 §5.2: an error response is read with any description.
#[test]
fn refusals() {
    let refused = |json: &str| {
        let mut response = answer(json);
        response.headers_mut().remove(CACHE_CONTROL);
        *response.status_mut() = StatusCode::BAD_REQUEST;
        TokenResponse::parse(&response).unwrap_err()
    };
    let error =
        refused(r#"{"error":"invalid_grant","error_description":"\"a\"\r\nb\u00e4","x":1}"#);
    assert_eq!(error.code(), "oauth.refused");
    let Error::Refused(inner) = error else {
        panic!("not refused")
    };
    assert_eq!(inner.error(), "invalid_grant");
    assert_eq!(inner.description(), Some("?a???b?"));
    let long = json!({"error": "a", "error_description": "\u{e4}".repeat(3000)}).to_string();
    let Error::Refused(long) = refused(&long) else {
        panic!("not refused")
    };
    assert_eq!(long.description().map(str::len), Some(1024));
    for bad in [
        "",
        "{}",
        r#"{"error":""}"#,
        r#"{"error":"a\nb"}"#,
        r#"{"error":"a","error":"b"}"#,
        r#"{"error":1}"#,
    ] {
        assert_eq!(refused(bad).code(), "oauth.response", "{bad}");
    }
}

/// RFC 6749 §5.2: an error response is written, with 401 only for `invalid_client`.
#[test]
fn refusals_are_written() {
    let refusal = TokenError::new("invalid_client").unwrap();
    let response = refusal.to_response();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(TokenError::parse(response.body()).unwrap(), refusal);
    assert_eq!(TokenError::new("invalid_target").unwrap().status(), 400);
    for bad in ["", "a\"b", "a\\b", "a\nb", "\u{e4}"] {
        assert_eq!(code(TokenError::new(bad)), "oauth.response");
    }
    let said = |words: &str| refusal.clone().with_description(words);
    assert_eq!(code(said("a\nb")), "oauth.response");
    assert_eq!(code(said(&"a".repeat(1025))), "oauth.response");
}

/// RFC 6749 §3.2: no repeated parameter; RSC-01: except resources.
#[test]
fn requests_have_nothing_twice() {
    let mut request = TokenRequest::new("client_credentials").unwrap();
    let tool = "https://tools.example/mcp".parse().unwrap();
    request.resource(&tool).unwrap();
    request.resource(&"urn:b".parse().unwrap()).unwrap();
    request.audience("b").unwrap();
    request.scope(&"a".parse().unwrap()).unwrap();
    assert_eq!(code(request.resource(&tool)), "oauth.repeated");
    assert_eq!(code(request.audience("b")), "oauth.repeated");
    assert_eq!(code(request.scope(&"b".parse().unwrap())), "oauth.repeated");
    assert_eq!(code(request.parameter("grant_type", "x")), "oauth.repeated");
    assert_eq!(code(request.parameter("resource", "x")), "oauth.request");
    assert_eq!(code(request.parameter("", "x")), "oauth.request");
    assert_eq!(code(request.parameter("x", "")), "oauth.request");
    assert_eq!(code(request.audience("")), "oauth.request");
    assert_eq!(code(TokenRequest::new("")), "oauth.request");
    let value = || HeaderValue::from_static("x");
    request.header(AUTHORIZATION, value()).unwrap();
    assert_eq!(
        code(request.header(AUTHORIZATION, value())),
        "oauth.repeated"
    );
    assert_eq!(code(request.header(CONTENT_TYPE, value())), "oauth.request");
    let shown = format!("{request:?}");
    assert!(!shown.contains("tools.example"), "{shown}");
    let sent = request
        .into_http(&"https://as.example/t?x=1".parse().unwrap())
        .unwrap();
    assert_eq!(
        (sent.method().as_str(), sent.uri().to_string().as_str()),
        ("POST", "https://as.example/t?x=1")
    );
    let form = Form::read(sent.headers(), sent.body()).unwrap();
    assert_eq!(
        form.all("resource").collect::<Vec<_>>(),
        ["https://tools.example/mcp", "urn:b"]
    );
}

/// RFC 6749 §3.2, appendix B: forms are strict, and limited.
#[test]
fn forms() {
    let form = Form::parse(b"a=%C3%A4+b%2B&c=&d&&resource=x&resource=y&e=f=g").unwrap();
    assert_eq!(form.get("a"), Some("\u{e4} b+"));
    assert_eq!(
        (form.get("c"), form.get("d"), form.get("e")),
        (None, None, Some("f=g"))
    );
    assert_eq!(form.all("resource").count(), 2);
    assert_eq!(
        format!("{form:?}"),
        r#"Form ["a", "resource", "resource", "e"]"#
    );
    for bad in [
        "a=1&a=2",
        "a=1&%61=1",
        "a=&a=1",
        "client_id=x&b=y&client_id=x",
    ] {
        assert_eq!(code(Form::parse(bad.as_bytes())), "oauth.repeated", "{bad}");
    }
    for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "=a", "%=a", "a=%+1"] {
        assert_eq!(code(Form::parse(bad.as_bytes())), "oauth.form", "{bad}");
    }
    assert_eq!(code(Form::parse(b"a=\xff")), "oauth.form");
    let pairs = |count: usize| {
        (0..count)
            .map(|it| format!("p{it}=1"))
            .collect::<Vec<_>>()
            .join("&")
    };
    assert_eq!(code(Form::parse(pairs(MAX_PARAMETERS).as_bytes())), "ok");
    assert_eq!(
        code(Form::parse(pairs(MAX_PARAMETERS + 1).as_bytes())),
        "oauth.form"
    );
    let long = |len: usize| format!("a={}", "b".repeat(len - 2));
    assert_eq!(code(Form::parse(long(MAX_FORM).as_bytes())), "ok");
    assert_eq!(
        code(Form::parse(long(MAX_FORM + 1).as_bytes())),
        "oauth.form"
    );
    let mut headers = HeaderMap::new();
    assert_eq!(code(Form::read(&headers, b"a=b")), "oauth.form");
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    assert_eq!(code(Form::read(&headers, b"a=b")), "oauth.form");
}

proptest! {
    #[test]
    fn forms_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a%=&+0-9]{0,60}") {
        let _ = (Form::parse(&bytes), Form::parse(text.as_bytes()));
    }

    #[test]
    fn what_is_sent_is_read(value in "\\PC{1,40}", name in "[a-z_%&= ]{1,10}") {
        let mut request = TokenRequest::new("client_credentials").unwrap();
        prop_assume!(name != "grant_type" && request.parameter(&name, value.as_str()).is_ok());
        let sent = request.into_http(&"https://as.example/".parse().unwrap()).unwrap();
        let form = Form::read(sent.headers(), sent.body()).unwrap();
        prop_assert_eq!(form.get(&name), Some(value.as_str()));
    }
}
