//! Token responses as real servers send them, and proof that an attacker gains nothing.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use aims_oauth_wire::token::{ResponseRules, TokenRequest, TokenResponse, TokenType};
use aims_oauth_wire::{Diagnostic, Error};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

fn answer(status: u16, content_type: &'static str, body: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(body.as_bytes().to_vec());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

fn json_answer(status: u16, json: &Value) -> Response<Vec<u8>> {
    answer(status, "application/json", &json.to_string())
}

fn good(members: &[(&str, Value)]) -> Value {
    let mut json = json!({"access_token": "t0k3n", "token_type": "Bearer", "expires_in": 3600});
    for (name, value) in members {
        json.as_object_mut()
            .unwrap()
            .insert((*name).to_owned(), value.clone());
    }
    json
}

fn read(members: &[(&str, Value)]) -> TokenResponse {
    TokenResponse::parse(&json_answer(200, &good(members))).unwrap()
}

fn code<T>(read: Result<T, Error>) -> &'static str {
    read.err().map_or("ok", |error| error.code())
}

fn request(parameters: &[(&str, &str)], fields: &[(HeaderName, &'static str)]) -> Request<Vec<u8>> {
    let mut request = TokenRequest::new("client_credentials").unwrap();
    for (name, value) in parameters {
        request.parameter(name, *value).unwrap();
    }
    for (name, value) in fields {
        request
            .header(name.clone(), HeaderValue::from_static(value))
            .unwrap();
    }
    request
        .into_http(&"https://as.example/token".parse().unwrap())
        .unwrap()
}

#[test]
fn every_whole_answer_of_success_is_read() {
    for status in [200, 201, 203, 207, 299] {
        assert_eq!(
            code(TokenResponse::parse(&json_answer(status, &good(&[])))),
            "ok",
            "{status}"
        );
    }
    for status in [202, 204, 205, 206, 300, 302, 400, 500, 503] {
        let error = TokenResponse::parse(&json_answer(status, &good(&[]))).unwrap_err();
        assert_eq!(error.code(), "oauth.response", "{status}");
        assert!(
            error.to_string().contains(&format!("status {status}")),
            "{error}"
        );
    }
}

#[test]
fn any_content_type_but_html_forms_and_multipart_is_read() {
    for content_type in [
        "",
        "text/plain",
        "application/vnd.x+json",
        "text/javascript",
    ] {
        let response = answer(200, content_type, &good(&[]).to_string());
        assert_eq!(
            code(TokenResponse::parse(&response)),
            "ok",
            "{content_type}"
        );
    }
    for content_type in [
        "text/html",
        "application/json, text/html",
        "application/x-www-form-urlencoded; charset=utf-8",
        "multipart/form-data; boundary=x",
    ] {
        let response = answer(200, content_type, &good(&[]).to_string());
        let error = TokenResponse::parse(&response).unwrap_err();
        assert_eq!(error.code(), "oauth.response");
        let shown = error.to_string();
        assert!(
            shown.contains("another content type") && shown.contains(content_type),
            "{shown}"
        );
    }
}

#[test]
fn white_space_and_a_byte_order_mark_may_stand_around_the_object() {
    for body in ["\n\n{}\n", "\u{feff}{}", " \u{feff}\r\n{}\t"] {
        let body = body.replace("{}", &good(&[]).to_string());
        assert_eq!(
            code(TokenResponse::parse(&answer(200, "", &body))),
            "ok",
            "{body:?}"
        );
    }
    for body in ["{}x", "x{}", "{}{}", "\u{feff}\u{feff}{}"] {
        let body = body.replace("{}", &good(&[]).to_string());
        let read = TokenResponse::parse(&answer(200, "", &body));
        assert_eq!(code(read), "oauth.response", "{body:?}");
    }
}

#[test]
fn optional_members_may_be_null_empty_or_of_another_type() {
    for value in [Value::Null, json!("")] {
        let members = [
            "refresh_token",
            "id_token",
            "issued_token_type",
            "expires_in",
        ];
        let members: Vec<_> = members.iter().map(|it| (*it, value.clone())).collect();
        let read = read(&members);
        assert!(read.refresh_token().is_none() && read.id_token().is_none());
        assert!(read.issued_token_type().is_none() && read.expires_in().is_none());
        assert!(read.diagnostics().is_empty());
    }
    let read = read(&[("refresh_token", json!(false)), ("id_token", json!({}))]);
    assert!(read.refresh_token().is_none() && read.id_token().is_none());
    assert_eq!(read.diagnostics().len(), 2);
    for (member, value) in [
        ("access_token", Value::Null),
        ("access_token", json!("")),
        ("access_token", json!(1)),
        ("token_type", json!(1)),
    ] {
        let error = TokenResponse::parse(&json_answer(200, &good(&[(member, value)]))).unwrap_err();
        assert_eq!(error.code(), "oauth.response");
        assert!(error.to_string().contains(member), "{error}");
    }
}

#[test]
fn scopes_may_be_a_list_or_have_stray_blanks() {
    let scope = |value: Value| {
        let read = read(&[("scope", value)]);
        read.scope().map(ToString::to_string)
    };
    for (written, expected) in [
        (json!(["write", "read"]), Some("read write")),
        (json!(" read  write "), Some("read write")),
        (json!("read\twrite\n"), Some("read write")),
        (json!(["read", "", null]), Some("read")),
        (json!("repo,read:org"), Some("repo,read:org")),
        (json!(""), Some("")),
        (json!([]), Some("")),
        (json!("  "), Some("")),
        (Value::Null, None),
    ] {
        assert_eq!(scope(written.clone()).as_deref(), expected, "{written}");
    }
    for bad in [
        json!(["a b"]),
        json!([" a"]),
        json!(["a\n"]),
        json!([1]),
        json!({"a": 1}),
        json!(true),
    ] {
        let read = TokenResponse::parse(&json_answer(200, &good(&[("scope", bad.clone())])));
        assert_eq!(code(read), "oauth.scope", "{bad}");
    }
}

/// Commas separate scopes only if the rules accept them.
#[test]
fn commas_separate_scopes_by_name_alone() {
    let rules = ResponseRules::new().accept_commas_in_scope();
    let scope = |value: Value| {
        let response = json_answer(200, &good(&[("scope", value)]));
        let read = TokenResponse::parse_with(&response, &rules).unwrap();
        read.scope().map(ToString::to_string).unwrap_or_default()
    };
    assert_eq!(scope(json!("repo,read:org")), "read:org repo");
    assert_eq!(scope(json!("repo, read:org,")), "read:org repo");
    assert_eq!(scope(json!("repo read:org")), "read:org repo");
    assert_eq!(scope(json!(["repo,read:org"])), "repo,read:org");
}

/// A missing `token_type` is accepted only by an explicit rule, and never after a proof of
/// possession: the response could turn a bound token into one that any holder can use.
#[test]
fn a_missing_token_type_is_accepted_by_name_alone() {
    let mut json = good(&[]);
    json.as_object_mut().unwrap().remove("token_type");
    let plain = request(&[], &[]);
    let proven = request(&[], &[(HeaderName::from_static("dpop"), "a.b.c")]);
    for value in [None, Some(Value::Null), Some(json!(""))] {
        let mut json = json.clone();
        if let Some(value) = value {
            json.as_object_mut()
                .unwrap()
                .insert("token_type".to_owned(), value);
        }
        let response = json_answer(200, &json);
        let read = |rules: ResponseRules| TokenResponse::parse_with(&response, &rules);
        let named = || ResponseRules::new().accept_missing_token_type();
        let token = read(named().after(&plain)).unwrap();
        assert_eq!(token.token_type(), TokenType::Bearer);
        assert_eq!(token.diagnostics(), [Diagnostic::NoTokenType]);
        for rules in [
            named().after(&proven),
            ResponseRules::new()
                .after(&proven)
                .accept_missing_token_type(),
            named().after_client_certificate(),
            ResponseRules::new(),
        ] {
            assert!(matches!(
                code(read(rules)),
                "oauth.response" | "oauth.token_type"
            ));
        }
        let error = read(named().after(&proven)).unwrap_err().to_string();
        assert!(error.contains("after a proof of possession"), "{error}");
    }
    // Another type is refused in any case.
    let response = json_answer(200, &good(&[("token_type", json!("mac"))]));
    let rules = ResponseRules::new().accept_missing_token_type();
    assert_eq!(
        code(TokenResponse::parse_with(&response, &rules)),
        "oauth.token_type"
    );
}

/// `error` counts with any status, and even with a token.
#[test]
fn error_is_a_refusal_at_any_status() {
    let refusal = json!({
        "error": "incorrect_client_credentials",
        "error_description": "The client_id and/or client_secret passed are incorrect.",
    });
    for status in [200, 201, 202, 302, 400, 401, 403, 429, 500, 503] {
        let error = TokenResponse::parse(&json_answer(status, &refusal)).unwrap_err();
        assert_eq!(error.code(), "oauth.refused", "{status}");
        let shown = error.to_string();
        assert!(shown.contains("incorrect_client_credentials"), "{shown}");
        assert!(shown.contains("passed are incorrect"), "{shown}");
    }
    let beside = good(&[("error", json!("invalid_scope"))]);
    assert_eq!(
        code(TokenResponse::parse(&json_answer(200, &beside))),
        "oauth.refused"
    );
    for bad in [
        json!({"message": "no"}),
        json!(1),
        json!(true),
        json!("a\nb"),
    ] {
        let beside = good(&[("error", bad)]);
        assert_eq!(
            code(TokenResponse::parse(&json_answer(200, &beside))),
            "oauth.response"
        );
    }
    for nothing in [Value::Null, json!("")] {
        let beside = good(&[("error", nothing)]);
        assert_eq!(code(TokenResponse::parse(&json_answer(200, &beside))), "ok");
    }
}

/// The error for an unreadable response has its status, content type and length, and the start of
/// the body unless the status is from 200 to 299.
#[test]
fn what_cannot_be_read_is_described() {
    let page = "<html><h1>502 Bad Gateway</h1></html>";
    let error = TokenResponse::parse(&answer(502, "text/html", page)).unwrap_err();
    let Error::Response {
        answer: Some(found),
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(found.received().status(), 502);
    assert_eq!(found.received().content_type(), Some("text/html"));
    assert_eq!(found.received().length(), page.len());
    assert_eq!(found.excerpt(), Some(page));
    assert!(error.to_string().contains("502 Bad Gateway"), "{error}");
    let error = TokenResponse::parse(&answer(200, "text/html", page)).unwrap_err();
    assert!(!error.to_string().contains("Gateway"), "{error}");
    let long = "no way ".repeat(100);
    let error = TokenResponse::parse(&answer(503, "text/plain", &long)).unwrap_err();
    let Error::Response {
        answer: Some(found),
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(found.excerpt().unwrap().chars().count(), 200);
    let acting = "a\u{1b}[31m\u{202e}b\r\nc";
    let error = TokenResponse::parse(&answer(500, "", acting)).unwrap_err();
    assert!(
        !format!("{error}{error:?}").contains(['\u{1b}', '\u{202e}', '\r']),
        "{error}"
    );
}

/// A short secret does not change the codes that a client decides by.
#[test]
fn registered_codes_are_never_redacted() {
    let rules = ResponseRules::new().after(&request(&[("device_code", "d")], &[]));
    for (error, shown) in [
        ("authorization_pending", "authorization_pending"),
        ("access_denied", "access_denied"),
        ("dead", "…ea…"),
    ] {
        let response = json_answer(400, &json!({ "error": error }));
        match TokenResponse::parse_with(&response, &rules) {
            Err(Error::Refused(refusal)) => assert_eq!(refusal.error(), shown),
            other => panic!("{other:?}"),
        }
    }
}

/// A token in an unreadable response is in no error and in no `Debug` form.
#[test]
fn a_planted_token_is_in_no_error() {
    let token = "gho_16C7e42F292c6912E7710c838347Ae178B4a";
    let short = "s3cr3t";
    let secret = "hunter2";
    let sent = request(
        &[("client_secret", secret), ("client_assertion", token)],
        &[(AUTHORIZATION, "Basic YWdlbnQ6Y29ycmVjdCtob3JzZQ==")],
    );
    let rules = ResponseRules::new().after(&sent);
    let json = json!({"access_token": token, "token_type": "bearer", "x": short}).to_string();
    let truncated = json.strip_suffix("}").unwrap();
    let echo = json!({
        "error": "invalid_client",
        "error_description": format!("client_secret={secret} and {token} are wrong"),
        "error_uri": format!("https://as.example/?assertion={token}"),
    });
    for response in [
        answer(
            200,
            "application/x-www-form-urlencoded",
            &format!("access_token={token}&x={short}"),
        ),
        answer(200, "text/html", &json),
        answer(200, "application/json", truncated),
        answer(502, "application/json", truncated),
        answer(200, "application/json", &format!("{json}{json}")),
        answer(200, "", token),
        answer(400, "", token),
        answer(302, "application/json", &json),
        json_answer(
            200,
            &json!({"access_token": [token], "token_type": "bearer"}),
        ),
        json_answer(200, &json!({"access_token": token, "token_type": token})),
        json_answer(
            200,
            &json!({"access_token": format!("{token} "), "token_type": "bearer"}),
        ),
        json_answer(
            200,
            &json!({"access_token": token, "token_type": "bearer", "scope": [[token]]}),
        ),
        json_answer(200, &json!({"access_token": token, "error": token})),
        json_answer(400, &json!({"error": token})),
        json_answer(400, &json!({"error": {"token": token}})),
        json_answer(400, &json!({"access_token": token, "message": "no"})),
        json_answer(400, &echo),
        json_answer(200, &echo),
        answer(
            400,
            "text/plain",
            &format!("client_secret: {secret}; {secret}; correct horse; correct+horse"),
        ),
        answer(
            400,
            "text/html",
            &format!("<p>{secret} YWdlbnQ6Y29ycmVjdCtob3JzZQ==</p>"),
        ),
    ] {
        let error = TokenResponse::parse_with(&response, &rules).unwrap_err();
        let shown = format!("{error} {error:?}");
        for planted in [token, secret, "correct horse", "correct+horse", "YWdlbnQ6"] {
            assert!(!shown.contains(planted), "{shown}");
        }
    }
    // A granted token is not in `Debug` either.
    let granted = TokenResponse::parse(&json_answer(200, &good(&[("access_token", json!(token))])));
    assert!(!format!("{granted:?}").contains(token));
    assert!(!format!("{rules:?}").contains(secret));
}

/// If the server echoes a short secret of the request in an encoding, nothing is shown.
#[test]
fn an_encoded_echo_is_not_shown() {
    let sent = request(&[("client_secret", "p&w<")], &[]);
    let rules = ResponseRules::new().after(&sent);
    let shown = |body: &str| {
        let error = TokenResponse::parse_with(&answer(400, "text/plain", body), &rules);
        let error = error.unwrap_err();
        let Error::Response { answer, .. } = error else {
            panic!("{error}");
        };
        answer.unwrap().excerpt().map(str::to_owned)
    };
    assert_eq!(shown("p&v< is wrong").as_deref(), Some("p&v< is wrong"));
    assert_eq!(shown("p&w< is wrong").as_deref(), Some("… is wrong"));
    for echo in [
        "%70%26w%3c",
        "p%2526w%253C",
        "p&#38;w&#x3c;",
        "p&amp;amp;w&amp;lt;",
        r"p\u{26}w\u{3C}",
        r"\x70\x26\x77\x3c",
        "cCZ3PA==",
        "7026773C",
    ] {
        assert_eq!(shown(&format!("{echo} is wrong")), None, "{echo}");
        let described = json!({"error": "invalid_client", "error_description": echo});
        match TokenResponse::parse_with(&json_answer(401, &described), &rules) {
            Err(Error::Refused(refusal)) => assert_eq!(refusal.description(), Some("…"), "{echo}"),
            other => panic!("{other:?}"),
        }
    }
}

/// No content type in an error shows a secret, and another value of the request cannot break an
/// echo of it.
#[test]
fn neither_the_content_type_nor_a_short_value_shows_a_secret() {
    let sent = request(&[("max_age", "2"), ("client_secret", "p/w word")], &[]);
    let rules = ResponseRules::new().after(&sent);
    let content_type = "text/html; echo=\"p&#x2f;w word\"";
    for body in ["p&#x2f;w word", "P/W WORD", "p/w\n  word"] {
        let response = answer(400, content_type, body);
        let error = TokenResponse::parse_with(&response, &rules).unwrap_err();
        let shown = format!("{error} {error:?}");
        for part in ["echo", "w word", "WORD"] {
            assert!(!shown.contains(part), "{shown}");
        }
        assert!(shown.contains("content type `…`"), "{shown}");
    }
}

proptest! {
    #[test]
    fn never_panics(status in 200_u16..600, bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\":,a-z_ ]{0,100}") {
        for body in [&bytes, text.as_bytes()] {
            let mut response = answer(status, "", "");
            *response.body_mut() = body.to_vec();
            let _ = TokenResponse::parse(&response);
        }
    }

    /// Wherever a token is in a refused response, it is in no error.
    #[test]
    fn no_error_has_the_token(
        status in prop::sample::select(vec![200_u16, 201, 204, 302, 400, 401, 500]),
        before in "[ -~]{0,30}",
        token in "[a-z0-9]{8}[A-Za-z0-9._~+/-]{16,60}",
        after in "[ -~]{0,30}",
    ) {
        let response = answer(status, "application/json", &format!("{before}{token}{after}"));
        if let Err(error) = TokenResponse::parse(&response) {
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains(&token), "{}", shown);
        }
    }
}
