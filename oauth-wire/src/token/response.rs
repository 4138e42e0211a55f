//! Token responses (RFC 6749 §5).

use core::fmt;
use core::time::Duration;

use aims_fetch::is_readable_type;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use super::{ResponseRules, TokenError, UnreadableResponse};
use crate::members::Members;
use crate::names::{Resource, ScopeSet};
use crate::{Diagnostic, Error, media};

mod read;

/// The maximum length of a response, in bytes.
pub const MAX_RESPONSE: usize = 128 * 1024;
/// The maximum of `expires_in`: ten years, in seconds.
pub const MAX_EXPIRES_IN: u64 = 315_360_000;

/// How a token is presented (RFC 6749 §7.1). Case is ignored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenType {
    /// Anyone who has the token can use it (RFC 6750).
    Bearer,
    /// The sender must prove possession of the client's key (RFC 9449).
    Dpop,
    /// Not an access token, but an assertion for another server (`N_A`, RFC 8693 §2.2.1).
    NotApplicable,
}

impl TokenType {
    /// Returns the name as it is written in a message.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
            Self::NotApplicable => "N_A",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Bearer, Self::Dpop, Self::NotApplicable]
            .into_iter()
            .find(|it| it.name().eq_ignore_ascii_case(name))
    }
}

/// A granted token. The server describes it, so compare the description with the request.
///
/// ```
/// use aims_oauth_wire::token::{TokenResponse, TokenType};
/// use http::{Response, header::CONTENT_TYPE};
///
/// let body = br#"{"access_token":"mF_9.B5f-4.1JqM","token_type":"Bearer","expires_in":300}"#;
/// let response = Response::builder()
///     .header(CONTENT_TYPE, "application/json")
///     .header("cache-control", "no-store")
///     .body(body.to_vec())?;
/// let token = TokenResponse::parse(&response)?;
/// assert_eq!(token.token_type(), TokenType::Bearer);
/// assert_eq!(token.expires_in().map(|it| it.as_secs()), Some(300));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a granted token is to be kept or revoked"]
pub struct TokenResponse {
    access_token: SecretText,
    token_type: TokenType,
    expires_in: Option<Duration>,
    refresh_token: Option<SecretText>,
    id_token: Option<SecretText>,
    issued_token_type: Option<String>,
    scope: Option<ScopeSet>,
    resources: Vec<Resource>,
    authorization_details: Option<String>,
    diagnostics: Vec<Diagnostic>,
}

impl TokenResponse {
    /// Parses a response with the default rules. See [`parse_with`](Self::parse_with).
    ///
    /// # Errors
    ///
    /// Those of [`parse_with`](Self::parse_with).
    pub fn parse(response: &Response<Vec<u8>>) -> Result<Self, Error> {
        Self::parse_with(response, &ResponseRules::new())
    }

    /// Parses a response: a JSON object in which no member occurs twice, with a status from 200 to
    /// 299. A response with `error` is an error response, with any status and even with a token.
    ///
    /// Pass the request to the rules ([`ResponseRules::after`]), so that no error message quotes
    /// its secrets.
    ///
    /// # Errors
    ///
    /// - `oauth.refused` with the error response of the server.
    /// - `oauth.response` if the response cannot be parsed.
    /// - `oauth.token_type` if the type is missing or not supported.
    /// - `oauth.scope` if the scope is malformed.
    pub fn parse_with(response: &Response<Vec<u8>>, rules: &ResponseRules) -> Result<Self, Error> {
        let fail = |reason| Error::Response {
            reason,
            answer: Some(Box::new(UnreadableResponse::of(response, rules))),
        };
        let body = response.body();
        if body.len() > MAX_RESPONSE {
            return Err(fail("more than 131072 bytes"));
        }
        if !is_readable_type(response.headers()) {
            return Err(fail("another content type than JSON"));
        }
        let mut members = Members::of_document(body).map_err(|_source| {
            fail("expected one JSON object in UTF-8 without a member that occurs twice")
        })?;
        if let Some(refusal) = TokenError::read(&mut members, &rules.secrets).map_err(fail)? {
            let refusal = refusal.answered_with(response.status());
            return Err(Error::Refused(Box::new(refusal)));
        }
        if !media::has_document(response.status()) {
            return Err(fail("expected status 200, or `error`"));
        }
        if !media::is_not_stored(response.headers()) {
            members.note(Diagnostic::Storable);
        }
        read::token(members, rules, fail)
    }

    /// Returns the token: an access token, or the type that `issued_token_type` names.
    #[must_use]
    pub const fn access_token(&self) -> &SecretText {
        &self.access_token
    }

    /// Returns how the token is presented.
    #[must_use]
    pub const fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// Returns what was ignored or tolerated in the response.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Returns the lifetime, counted from the response, if the server stated it.
    ///
    /// Fractions are rounded down. A value that is negative, not finite, or more than ten years
    /// counts as absent; treat such a token as valid for a few minutes.
    #[must_use]
    pub const fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// Returns when the token expires, for a request that was sent at `sent`. The time of the
    /// transfer shortens the lifetime.
    #[must_use]
    pub fn expires_at(&self, sent: UnixTime) -> Option<UnixTime> {
        let seconds = sent.as_secs().saturating_add(self.expires_in?.as_secs());
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    /// Returns the refresh token.
    #[must_use]
    pub const fn refresh_token(&self) -> Option<&SecretText> {
        self.refresh_token.as_ref()
    }

    /// Returns the ID token. It is not verified.
    #[must_use]
    pub const fn id_token(&self) -> Option<&SecretText> {
        self.id_token.as_ref()
    }

    /// Returns the type of [`access_token`](Self::access_token) (RFC 8693 §2.2.1).
    #[must_use]
    pub fn issued_token_type(&self) -> Option<&str> {
        self.issued_token_type.as_deref()
    }

    /// Returns the granted scope. If it is absent, the requested scope was granted (RFC 6749 §5.1).
    #[must_use]
    pub const fn scope(&self) -> Option<&ScopeSet> {
        self.scope.as_ref()
    }

    /// Returns the resources that the token is for, if the server stated them. No standard defines
    /// this member yet, so it may be absent.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Returns the granted `authorization_details` as JSON (RFC 9396 §7).
    #[must_use]
    pub fn authorization_details(&self) -> Option<&str> {
        self.authorization_details.as_deref()
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns a JSON response that caches must not store (RFC 6749 §5.1).
pub(super) fn json_response(body: String) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into_bytes());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
