//! The authorization server over HTTP: `POST /token`, `GET /jwks`, and the metadata at both
//! well-known places.

use aims_jose::time::UnixTime;
use aims_oauth_wire::media;
use aims_oauth_wire::token::{Form, TokenError};
use http::header::{CACHE_CONTROL, HeaderValue, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;

use super::AuthorizationServer;
use crate::base::Base;
use crate::{Error, answer};

/// What can be asked here; nothing else is answered (T-169).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Jwks,
    Metadata,
    Token,
}

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

impl Operation {
    /// Where each is. The metadata stands at both well-known places, and at the third that
    /// RFC 8414 §5 knows (META-07).
    pub(crate) fn paths(base: &Base) -> [(String, Self); 5] {
        let path = base.path();
        [
            (format!("{path}/jwks"), Self::Jwks),
            (format!("{path}/token"), Self::Token),
            (
                format!("/.well-known/oauth-authorization-server{path}"),
                Self::Metadata,
            ),
            (
                format!("/.well-known/openid-configuration{path}"),
                Self::Metadata,
            ),
            (
                format!("{path}/.well-known/openid-configuration"),
                Self::Metadata,
            ),
        ]
    }

    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Self::Jwks | Self::Metadata => "GET, HEAD",
            Self::Token => "POST",
        }
    }
}

impl AuthorizationServer {
    pub(crate) fn answer(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        body: &[u8],
        now: UnixTime,
    ) -> Result<Response<Vec<u8>>, Error> {
        let max_age = self.refresh_hint.as_secs();
        match operation {
            Operation::Jwks => Ok(answer::document(self.jwks(now), max_age, headers)),
            Operation::Metadata => Ok(answer::document(self.metadata(), max_age, headers)),
            Operation::Token => {
                answer::check_media_type(headers, media::FORM)?;
                let issued = self.token(headers, &form(body)?, now)?;
                let mut response = answer::secret(&TokenAnswer {
                    access_token: issued.token.expose(),
                    // The binding is in the token's `cnf`, as with RFC 8705 §3; a DPoP proof is
                    // not what confirms it.
                    token_type: "Bearer",
                    expires_in: issued.expires_in.as_secs(),
                    scope: &issued.scope,
                });
                response
                    .headers_mut()
                    .insert(PRAGMA, HeaderValue::from_static("no-cache"));
                Ok(response)
            }
        }
    }
}

/// A refusal of the token endpoint.
pub(crate) fn refusal(error: &Error) -> Response<Vec<u8>> {
    let status = match error {
        Error::Client { .. } => StatusCode::UNAUTHORIZED,
        Error::GrantType | Error::Scope | Error::Target | Error::TokenRequest { .. } => {
            StatusCode::BAD_REQUEST
        }
        other => StatusCode::from_u16(other.wire().0).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
    };
    // Both are of this crate, and in the characters that they may have.
    let said = TokenError::new(error.oauth())
        .and_then(|said| said.with_description(description(error)))
        .map_or_else(|_never| String::new(), |said| said.to_json());
    let mut response = answer::json(status, said, "no-store");
    let headers = response.headers_mut();
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    if let Error::Client {
        by_authorization: true,
        ..
    } = error
    {
        // RFC 6749 §5.2 demands a challenge of the scheme that was tried.
        headers.insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"token\""),
        );
    }
    answer::hints(headers, error);
    debug_assert!(headers.contains_key(CACHE_CONTROL));
    response
}

/// In the characters of RFC 6749 §5.2, and nothing of the request (T-141).
const fn description(error: &Error) -> &'static str {
    match error {
        Error::Client { .. } => "the client could not be authenticated",
        Error::GrantType => "the one grant type is client_credentials",
        Error::Scope => "a scope is unknown or not for this client",
        Error::Target => "name one resource that this client may use",
        Error::TokenRequest { reason } => reason,
        Error::MediaType { .. } => "the body must be application/x-www-form-urlencoded",
        Error::TooLarge { .. } => "the body is too long",
        Error::TooMany { .. } => "too many requests",
        Error::Host => "the request is for another host",
        Error::Method { .. } => "the method is POST",
        _ => "not available now",
    }
}

/// Each parameter once, `resource` excepted: this server knows no grant with several audiences.
fn form(body: &[u8]) -> Result<Form, Error> {
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

    /// CORE-01: no parameter twice but `resource`, not even when one of the two is empty; 32 at
    /// most.
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
