//! The HTTP handlers of the authorization server, and its refusals in the form of OAuth.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aims_jose::secret::SecretText;
use aims_oauth_wire::dpop::{DPOP_NONCE, Nonce};
use aims_oauth_wire::media;
use aims_oauth_wire::token::{Form, TokenError};
use http::header::{CACHE_CONTROL, HeaderValue, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::authority::Inner;
use crate::endpoint::Call;
use crate::{Error, answer};

/// The response with a token (RFC 6749 §5.1).
#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(flatten)]
    members: BTreeMap<&'static str, Value>,
}

/// Returns the keys that verify access tokens.
pub(crate) fn jwks(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    Ok(document(inner, inner.oauth.jwks(call.now), call))
}

/// Returns the metadata document.
pub(crate) fn metadata(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    Ok(document(inner, inner.oauth.metadata(), call))
}

fn document(inner: &Inner, document: String, call: &Call<'_>) -> Response<Vec<u8>> {
    let max_age = inner.oauth.refresh_hint.as_secs();
    answer::document(document, max_age, call.request.headers())
}

/// Issues a token by the grant that the request names.
pub(crate) fn token(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let headers = call.request.headers();
    answer::check_media_type(headers, media::FORM)?;
    let form = form(call.request.body())?;
    let granted = inner.oauth.token(call, &form)?;
    let mut response = answer::secret(&TokenAnswer {
        access_token: granted.token.expose(),
        token_type: granted.token_type,
        expires_in: granted.expires_in.as_secs(),
        scope: &granted.scope,
        refresh_token: granted.refresh_token.as_ref().map(SecretText::expose),
        members: granted.members.into_iter().collect(),
    });
    finish(response.headers_mut(), granted.next_nonce.as_ref());
    Ok(response)
}

/// Adds the fields of every answer to a client.
pub(crate) fn finish(headers: &mut HeaderMap, next_nonce: Option<&Nonce>) {
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    if let Some(nonce) = next_nonce {
        headers.insert(DPOP_NONCE, nonce.to_header_value());
    }
}

/// Returns a refusal in the form of RFC 6749 §5.2.
pub(crate) fn refusal(error: &Error) -> Response<Vec<u8>> {
    let status = match error {
        Error::Client { .. } => StatusCode::UNAUTHORIZED,
        Error::Amplification(_)
        | Error::ApprovalExpired
        | Error::Assertion { .. }
        | Error::AssertionUsed
        | Error::Authorization { .. }
        | Error::Backchannel { .. }
        | Error::CertificateField(_)
        | Error::ClientGrant { .. }
        | Error::CodeChallenge { .. }
        | Error::CodeUsed
        | Error::Denied
        | Error::Details { .. }
        | Error::Grant { .. }
        | Error::GrantType { .. }
        | Error::Pending { .. }
        | Error::RedirectUri
        | Error::RefreshAgain
        | Error::RefreshUsed
        | Error::Registration { .. }
        | Error::RequestObject { .. }
        | Error::ResponseType
        | Error::SubjectToken { .. }
        | Error::Scope
        | Error::ScopeNotAllowed { .. }
        | Error::Target
        | Error::TargetNotAllowed { .. }
        | Error::Dpop { .. }
        | Error::TokenRequest { .. }
        | Error::TransactionStays => StatusCode::BAD_REQUEST,
        other => StatusCode::from_u16(other.wire().0).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
    };
    // Code and description are texts of this crate, with characters that RFC 6749 allows.
    let body = TokenError::new(error.oauth())
        .and_then(|body| body.with_description(description(error)))
        .map_or_else(|_never| String::new(), |body| body.to_json());
    let mut response = answer::json(status, body, "no-store");
    let headers = response.headers_mut();
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    if let Error::Client {
        by_authorization: true,
        ..
    } = error
    {
        // RFC 6749 §5.2 requires a challenge with the scheme that the client used.
        for challenge in ["Basic realm=\"token\"", "WPT"] {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
    }
    if let Error::Dpop {
        nonce: Some(nonce), ..
    } = error
    {
        headers.insert(DPOP_NONCE, nonce.to_header_value());
    }
    answer::hints(headers, error);
    debug_assert!(headers.contains_key(CACHE_CONTROL));
    response
}

/// Returns the value of `error_description`. It repeats nothing from the request.
pub(crate) fn description(error: &Error) -> Cow<'static, str> {
    let fixed = match error {
        Error::Client { .. } => "the client could not be authenticated",
        Error::Dpop {
            answer: "use_dpop_nonce",
            ..
        } => "the DPoP proof needs the nonce of this answer",
        Error::Dpop { .. } => "the DPoP proof is not good for this request",
        Error::GrantType { supported } => {
            let supported = supported.join(", ");
            return format!("the grant type is not supported, expected one of: {supported}").into();
        }
        Error::Scope | Error::ScopeNotAllowed { .. } => "a scope is unknown or not for this client",
        Error::Assertion { reason }
        | Error::Authorization { reason }
        | Error::Backchannel { reason, .. }
        | Error::ClientGrant { reason }
        | Error::CodeChallenge { reason }
        | Error::Details { reason }
        | Error::Grant { reason }
        | Error::Login { reason, .. }
        | Error::Registration { reason, .. }
        | Error::RequestObject { reason }
        | Error::SubjectToken { reason } => reason,
        Error::Amplification(_) => "the token would permit more than its subject token",
        Error::AssertionUsed => "the assertion was used before",
        Error::ApprovalExpired => "the user has not decided in time",
        Error::Pending { .. } => "the user has not decided yet",
        Error::CertificateField(_) => "a field with a client certificate is not accepted here",
        Error::CodeUsed => "the code was used before",
        Error::Denied => "the user or the server has refused",
        Error::RedirectUri => "the redirect URI is not registered for this client",
        Error::RefreshAgain | Error::RefreshUsed => "the refresh token was used before",
        Error::ResponseType => "the response type is not supported, expected code",
        Error::TransactionStays => "the transaction has a context that cannot leave its domain",
        Error::Target => "name one resource that this client may use",
        Error::TargetNotAllowed { reason, .. } => return reason.to_string().into(),
        Error::TokenRequest { reason } => reason,
        Error::MediaType { due } => return format!("the body must be {due}").into(),
        Error::TooLarge { .. } => "the body is too long",
        Error::TooMany { .. } => "too many requests",
        Error::Host { .. } => "the request is for another host",
        Error::Method { allow } => return format!("expected the method {allow}").into(),
        _ => "not available now",
    };
    fixed.into()
}

/// Parses the parameters. Each may occur once, except `resource` (RFC 6749 §3.2). No grant of this
/// server takes several values of `audience`.
pub(crate) fn form(body: &[u8]) -> Result<Form, Error> {
    let refused = |reason| Error::TokenRequest { reason };
    let form = Form::parse(body).map_err(|error| match error {
        aims_oauth_wire::Error::Form { reason } => refused(reason),
        _ => refused("a parameter stands twice"),
    })?;
    if form.all("audience").count() > 1 {
        return Err(refused("a parameter stands twice"));
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parameter other than `resource` must not occur twice, not even with an empty value (RFC
    /// 6749 §3.2). There are at most 32.
    #[test]
    fn malformed_forms_are_refused() {
        let all = |count: usize| (0..count).map(|n| format!("p{n}=1&")).collect::<String>();
        let (most, too_many) = (all(32), all(33));
        for body in ["a=1&resource=x&resource=y&&audience=x", &most] {
            assert!(form(body.as_bytes()).is_ok(), "{body}");
        }
        for body in [
            &b"a=1&a=2"[..],
            b"a=1&a=",
            b"%61=1&a=2",
            b"&a&a",
            b"audience=x&audience=y",
            b"a=%",
            b"a=%4",
            b"a=%4g",
            b"a=%+1",
            b"a=%ff",
            b"a=\xff",
            b"=1",
            too_many.as_bytes(),
        ] {
            assert_eq!(form(body).err().unwrap().code(), "as.request");
        }
    }
}
