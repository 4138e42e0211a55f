//! Answers of token endpoints.

use std::time::Duration;

use aims_oauth_wire::Error;
use aims_oauth_wire::token::{MAX_EXPIRES_IN, TokenError, TokenResponse, TokenType};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use crate::head::whole;
use crate::known::{NOW, at};
use crate::{Outcome, refused};

/// An answer: a status in a line, fields, an empty line and the body; or the body alone, of an
/// answer of 200 whose fields are as they should be. Accepted is a token.
pub fn token_response(data: &[u8]) -> Outcome {
    let answer = answer(data);
    check_error(answer.body());
    match TokenResponse::parse(&answer) {
        Ok(read) => {
            check(&read, &answer);
            Outcome::Accepted
        }
        Err(error) => {
            let status = answer.status();
            let refusal = status.is_client_error() || status.is_server_error();
            assert!(refusal || !matches!(error, Error::Refused(_)));
            let cacheable = TokenResponse::dangerous_parse_cacheable(&answer);
            let code = cacheable.map_or_else(|it| it.code(), |_| "oauth.cacheable");
            assert_eq!(error.code(), code);
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

/// A token is one that a field can carry; it is in no text that is made of it, and in no answer
/// that may be stored.
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
    assert_eq!(code(&stored), "oauth.cacheable");
    assert!(TokenResponse::dangerous_parse_cacheable(&stored).is_ok());
    let mut typed = answer.clone();
    typed.headers_mut().remove(CONTENT_TYPE);
    assert_eq!(code(&typed), "oauth.response");
}

fn code(answer: &Response<Vec<u8>>) -> &'static str {
    TokenResponse::parse(answer).map_or_else(|it| it.code(), |_| "ok")
}

/// A refusal that was read is written so that it is read as the same, by a client too.
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
        let plain = |it: &str| it.len() <= 1024 && it.bytes().all(|b| matches!(b, 0x20..=0x7e));
        assert!(words.is_none_or(plain));
    }
    let again = TokenError::parse(read.to_json().as_bytes());
    assert!(again.is_ok_and(|again| again == read));
    match TokenResponse::parse(&read.to_response()) {
        Err(Error::Refused(found)) => assert_eq!(*found, read),
        other => unreachable!("{other:?}"),
    }
}
