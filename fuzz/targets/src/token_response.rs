//! Responses of token endpoints.

use std::time::Duration;

use aims_oauth_wire::token::{MAX_EXPIRES_IN, ResponseRules, TokenError, TokenResponse, TokenType};
use aims_oauth_wire::{Diagnostic, Error};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use crate::head::whole;
use crate::known::{NOW, at};
use crate::{Outcome, refused};

/// Parses a response: a status line, fields, an empty line and the body; or only the body of a 200
/// response with correct fields. Accepted if it has a token.
pub fn token_response(data: &[u8]) -> Outcome {
    let answer = answer(data);
    check_error(answer.body());
    match TokenResponse::parse(&answer) {
        Ok(read) => {
            check(&read, &answer);
            Outcome::Accepted
        }
        Err(error) => {
            check_refused(&error, &answer);
            refused(error.code(), &[Error::CODES])
        }
    }
}

fn answer(data: &[u8]) -> Response<Vec<u8>> {
    if let Some(answer) = whole(data) {
        return answer;
    }
    let mut answer = Response::new(data.to_vec());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// No error contains a run of characters that may be a token. If the status is a success, no error
/// contains any text of the body.
fn check_refused(error: &Error, answer: &Response<Vec<u8>>) {
    let shown = format!("{error} {error:?}");
    let body = String::from_utf8_lossy(answer.body());
    // An error shows the content type, which the body may repeat.
    let content_types = answer.headers().get_all(CONTENT_TYPE);
    let content_types: Vec<_> = content_types
        .iter()
        .map(|it| String::from_utf8_lossy(it.as_bytes()))
        .collect();
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    for run in body.split(|c| !is_token(c)).filter(|it| it.len() >= 32) {
        // Long codes with letters only are shown.
        let is_name = run
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || b"_-.".contains(&byte));
        let is_content_type = content_types.iter().any(|it| it.contains(run));
        assert!(
            is_name || is_content_type || !shown.contains(run),
            "{shown}"
        );
    }
    if let Error::Response {
        answer: Some(found),
        ..
    } = error
    {
        assert_eq!(found.received().status(), answer.status());
        assert_eq!(found.received().length(), answer.body().len());
        let excerpt = found.excerpt().map(|it| it.chars().count());
        assert!(excerpt.is_none_or(|it| it <= 200 && !answer.status().is_success()));
    }
}

/// A token fits into a header field, and no text made from it contains it. A response that may be
/// cached is accepted, with a warning.
fn check(read: &TokenResponse, answer: &Response<Vec<u8>>) {
    let token = read.access_token().expose();
    let value = HeaderValue::from_str(token);
    assert!(!token.is_empty() && value.is_ok_and(|value| value.len() == token.len()));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    assert!(read.token_type() == TokenType::NotApplicable || token.bytes().all(plain));
    let body = String::from_utf8_lossy(answer.body());
    if token.len() >= 24 && body.matches(token).count() == 1 {
        assert!(!format!("{read:?}").contains(token));
    }
    let most = Duration::from_secs(MAX_EXPIRES_IN);
    assert!(read.expires_in().is_none_or(|it| it <= most));
    let end = read.expires_at(at(NOW)).map(|it| it.as_secs());
    assert_eq!(end, read.expires_in().map(|it| NOW + it.as_secs()));

    let mut stored = answer.clone();
    stored.headers_mut().remove(CACHE_CONTROL);
    match TokenResponse::parse(&stored) {
        Ok(stored) => assert!(stored.diagnostics().contains(&Diagnostic::Storable)),
        Err(error) => unreachable!("{error}"),
    }
    // A proof of possession requires a token type.
    let rules = ResponseRules::new().accept_missing_token_type();
    let bound = TokenResponse::parse_with(answer, &rules.clone().after_client_certificate());
    assert!(bound.is_ok_and(|it| it.token_type() == read.token_type()));
    assert!(TokenResponse::parse_with(answer, &rules).is_ok());
}

/// A parsed refusal is written so that a client parses it to the same.
fn check_error(body: &[u8]) {
    let read = match TokenError::parse(body) {
        Ok(read) => read,
        Err(error) => {
            assert_eq!(error.code(), "oauth.response");
            return;
        }
    };
    assert!(!read.error().is_empty());
    for words in [Some(read.error()), read.description(), read.uri()] {
        let is_plain = |c: char| matches!(c, ' '..='~' | '…');
        let plain = |it: &str| it.chars().count() <= 1024 && it.chars().all(is_plain);
        assert!(words.is_none_or(plain));
    }
    let again = TokenError::parse(read.to_json().as_bytes());
    assert!(read.error().contains('…') || again.is_ok_and(|again| again == read));
    match TokenResponse::parse(&read.to_response()) {
        Err(Error::Refused(found)) => assert_eq!(*found, read, "redacted twice"),
        // A redacted code is not a valid code.
        Err(Error::Response { .. }) => assert!(read.error().contains('…')),
        other => unreachable!("{other:?}"),
    }
}
