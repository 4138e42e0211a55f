//! The token in a request, and the answer to one that does not do.

use aims_oauth_wire::bearer::Bearer;
use aims_oauth_wire::challenge::Challenge;
use aims_oauth_wire::names::{Endpoint, ScopeSet};
use http::header::HeaderMap;
use http::{HeaderValue, StatusCode};

use crate::Error;

/// The access token of a request: from one `Authorization` field with the scheme `Bearer`, and from
/// nowhere else (RFC 6750 §2.1).
///
/// # Errors
///
/// `token.authorization` for several fields or a malformed one, `token.scheme`, `token.too_long`.
pub fn bearer_token(headers: &HeaderMap, limit: usize) -> Result<Option<&str>, Error> {
    match Bearer::read(headers, limit) {
        Bearer::Absent => Ok(None),
        Bearer::Malformed => Err(Error::Authorization),
        Bearer::OtherScheme => Err(Error::Scheme),
        Bearer::Token(token) => Ok(Some(token)),
        Bearer::TooLong => Err(Error::TooLong { limit }),
    }
}

/// The status and `WWW-Authenticate` for a request whose access token is missing or was refused
/// (RFC 6750 §3, RFC 9728 §5.1). It says no more than the kind of failure.
///
/// 401 without `error` where there was no token, 400 `invalid_request` where the request is
/// malformed, 401 `invalid_token` for every other refusal. [`insufficient_scope`] is a decision,
/// not an error. Scopes that are longer than a challenge can be are left out.
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

/// The status and `WWW-Authenticate` for a good token that lacks scopes (RFC 6750 §3.1). Scopes
/// that are longer than a challenge can be are left out.
#[must_use]
pub fn insufficient_scope(
    metadata: Option<&Endpoint>,
    scopes: &ScopeSet,
) -> (StatusCode, HeaderValue) {
    let value = written(Some("insufficient_scope"), metadata, Some(scopes));
    (StatusCode::FORBIDDEN, value)
}

/// Each parameter may be left out (RFC 6750 §3), so one that cannot be written is.
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
