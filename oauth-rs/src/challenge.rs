//! Reads the access token of a request, and writes the challenge for a missing or refused one.

use aims_oauth_wire::bearer::Bearer;
use aims_oauth_wire::challenge::Challenge;
use aims_oauth_wire::names::{Endpoint, ScopeSet};
use http::header::HeaderMap;
use http::{HeaderValue, StatusCode};

use crate::Error;

/// Returns the access token of a request. It must be in one `Authorization` field with the scheme
/// `Bearer` (RFC 6750 §2.1); other places are ignored.
///
/// # Errors
///
/// `token.authorization` if the field is repeated or malformed, `token.scheme` for another scheme,
/// `token.too_long` for a token of more than `limit` bytes.
pub fn bearer_token(headers: &HeaderMap, limit: usize) -> Result<Option<&str>, Error> {
    match Bearer::read(headers, limit) {
        Bearer::Absent => Ok(None),
        Bearer::Malformed => Err(Error::Authorization),
        Bearer::OtherScheme => Err(Error::Scheme),
        Bearer::Token(token) => Ok(Some(token)),
        Bearer::TooLong => Err(Error::TooLong { limit }),
    }
}

/// Returns the status and `WWW-Authenticate` for a request whose access token is missing or refused
/// (RFC 6750 §3, RFC 9728 §5.1).
///
/// - 401 without `error` if there was no token.
/// - 400 `invalid_request` if the request is malformed.
/// - 401 `invalid_token` for every other refusal.
///
/// The challenge tells only this kind of failure. For a token that lacks scopes, use
/// [`insufficient_scope`]. Scopes that are too long for a challenge are omitted.
#[must_use]
pub fn challenge(
    error: &Error,
    metadata: Option<&Endpoint>,
    scopes: Option<&ScopeSet>,
) -> (StatusCode, HeaderValue) {
    let (status, code) = match error {
        Error::Missing | Error::Scheme => (StatusCode::UNAUTHORIZED, None),
        Error::Authorization | Error::TooLong { .. } => {
            (StatusCode::BAD_REQUEST, Some("invalid_request"))
        }
        _ => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
    };
    (status, written(code, metadata, scopes))
}

/// Returns the status and `WWW-Authenticate` for a valid token that lacks scopes (RFC 6750 §3.1).
/// Scopes that are too long for a challenge are omitted.
#[must_use]
pub fn insufficient_scope(
    metadata: Option<&Endpoint>,
    scopes: &ScopeSet,
) -> (StatusCode, HeaderValue) {
    let value = written(Some("insufficient_scope"), metadata, Some(scopes));
    (StatusCode::FORBIDDEN, value)
}

/// Adds the parameters. One that cannot be written is omitted, because each is optional (RFC 6750
/// §3).
fn written(
    code: Option<&str>,
    metadata: Option<&Endpoint>,
    scopes: Option<&ScopeSet>,
) -> HeaderValue {
    let mut challenge = Challenge::bearer();
    if let Some(code) = code {
        challenge = challenge.clone().with_error(code).unwrap_or(challenge);
    }
    if let Some(scopes) = scopes {
        challenge = challenge.clone().with_scope(scopes).unwrap_or(challenge);
    }
    if let Some(url) = metadata {
        let with = challenge.clone().with_resource_metadata(url);
        challenge = with.unwrap_or(challenge);
    }
    let value = challenge.to_header_value();
    value.unwrap_or(HeaderValue::from_static("Bearer"))
}
