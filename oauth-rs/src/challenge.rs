//! The token in a request, and the answer to one that does not do.

use http::header::{AUTHORIZATION, HeaderMap};
use http::{HeaderValue, StatusCode};
use oauth_wire::challenge::Challenge;
use oauth_wire::names::{Endpoint, ScopeSet};

use crate::Error;

/// The access token of a request: from one `Authorization` field with the scheme `Bearer`, and from nowhere else (RFC 6750 §2.1, BEAR-01).
///
/// # Errors
///
/// `token.authorization` for several fields or a malformed one, `token.scheme`, `token.too_long`.
pub fn bearer_token(headers: &HeaderMap, limit: usize) -> Result<Option<&str>, Error> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(Error::Authorization);
    }
    if field.len() > limit.saturating_add("Bearer ".len()) {
        return Err(Error::TooLong { limit });
    }
    let text = field.to_str().or(Err(Error::Authorization))?;
    let (scheme, token) = text.split_once(' ').ok_or(Error::Authorization)?;
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Error::Scheme);
    }
    if is_b64token(token) {
        Ok(Some(token))
    } else {
        Err(Error::Authorization)
    }
}

/// `b64token` (RFC 6750 §2.1).
fn is_b64token(token: &str) -> bool {
    let stem = token.trim_end_matches('=');
    !stem.is_empty()
        && stem
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// The status and `WWW-Authenticate` for a request whose access token is missing or was refused (RFC 6750 §3, RFC 9728 §5.1). It says no more than the kind of
/// failure (T-141).
///
/// 401 without `error` where there was no token, 400 `invalid_request` where the request is malformed, 401 `invalid_token` for every other refusal.
/// [`insufficient_scope`] is a decision, not an error.
///
/// # Errors
///
/// Those of `oauth-wire`, which these values never give.
pub fn challenge(
    error: &Error,
    metadata: Option<&Endpoint>,
    scopes: Option<&ScopeSet>,
) -> Result<(StatusCode, HeaderValue), Error> {
    let mut challenge = Challenge::bearer();
    let (status, code) = match error {
        Error::Missing | Error::Scheme => (StatusCode::UNAUTHORIZED, None),
        Error::Authorization | Error::TooLong { .. } => {
            (StatusCode::BAD_REQUEST, Some("invalid_request"))
        }
        _ => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
    };
    if let Some(code) = code {
        challenge = challenge.with_error(code)?;
    }
    finish(challenge, metadata, scopes).map(|value| (status, value))
}

/// The status and `WWW-Authenticate` for a good token that lacks scopes (RFC 6750 §3.1).
///
/// # Errors
///
/// Those of `oauth-wire`, which these values never give.
pub fn insufficient_scope(
    metadata: Option<&Endpoint>,
    scopes: &ScopeSet,
) -> Result<(StatusCode, HeaderValue), Error> {
    let challenge = Challenge::bearer().with_error("insufficient_scope")?;
    finish(challenge, metadata, Some(scopes)).map(|value| (StatusCode::FORBIDDEN, value))
}

fn finish(
    mut challenge: Challenge,
    metadata: Option<&Endpoint>,
    scopes: Option<&ScopeSet>,
) -> Result<HeaderValue, Error> {
    if let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) {
        challenge = challenge.with_scope(scopes)?;
    }
    if let Some(url) = metadata {
        challenge = challenge.with_resource_metadata(url)?;
    }
    Ok(challenge.to_header_value()?)
}
