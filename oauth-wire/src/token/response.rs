//! What a token endpoint answers (RFC 6749 §5).

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

/// The longest answer that is read, in bytes.
pub const MAX_RESPONSE: usize = 128 * 1024;
/// The longest time that a token may say it lives: ten years, in seconds.
pub const MAX_EXPIRES_IN: u64 = 315_360_000;

/// How a token is presented (RFC 6749 §7.1). Compared without regard to case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenType {
    /// Every party that has it may use it (RFC 6750).
    Bearer,
    /// With a proof of possession of the client's key (RFC 9449).
    Dpop,
    /// Not an access token: an assertion for another server (`N_A`, RFC 8693 §2.2.1).
    NotApplicable,
}

impl TokenType {
    /// The name as it is written.
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

/// A token that was granted. What it says about itself is the server's word, so it is to be
/// compared with what was asked for.
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
    /// Reads an answer by the default rules: [`parse_with`](Self::parse_with).
    ///
    /// # Errors
    ///
    /// As [`parse_with`](Self::parse_with).
    pub fn parse(response: &Response<Vec<u8>>) -> Result<Self, Error> {
        Self::parse_with(response, &ResponseRules::new())
    }

    /// Reads an answer: a JSON object without a member that occurs twice, with a status from 200 to
    /// 299. `error` makes it a refusal, at any status and beside a token.
    ///
    /// Give the request to the rules ([`ResponseRules::after`]), so that no error quotes its
    /// secrets.
    ///
    /// # Errors
    ///
    /// `oauth.refused` with what the server said; `oauth.response` for what cannot be read;
    /// `oauth.token_type`; `oauth.scope`.
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

    /// The token: the access token, or whatever `issued_token_type` says.
    #[must_use]
    pub const fn access_token(&self) -> &SecretText {
        &self.access_token
    }

    /// How it is presented.
    #[must_use]
    pub const fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// What was ignored or tolerated in the answer.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// How long it lives from the time of the answer, as far as the server said. Fractions are
    /// rounded down. A value that is negative, not finite, or more than ten years counts as absent:
    /// ask again after minutes.
    #[must_use]
    pub const fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// When it ends, for an answer to a request that was sent at `sent`, so that time on the way is
    /// not counted for it.
    #[must_use]
    pub fn expires_at(&self, sent: UnixTime) -> Option<UnixTime> {
        let seconds = sent.as_secs().saturating_add(self.expires_in?.as_secs());
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    /// The refresh token.
    #[must_use]
    pub const fn refresh_token(&self) -> Option<&SecretText> {
        self.refresh_token.as_ref()
    }

    /// The ID token, unverified.
    #[must_use]
    pub const fn id_token(&self) -> Option<&SecretText> {
        self.id_token.as_ref()
    }

    /// What kind of token [`access_token`](Self::access_token) is (RFC 8693 §2.2.1).
    #[must_use]
    pub fn issued_token_type(&self) -> Option<&str> {
        self.issued_token_type.as_deref()
    }

    /// What was granted; where it is left out, what was asked for (RFC 6749 §5.1).
    #[must_use]
    pub const fn scope(&self) -> Option<&ScopeSet> {
        self.scope.as_ref()
    }

    /// What it was granted for, as far as the server said: no standard has this member yet, so it
    /// may be absent.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The granted `authorization_details` as JSON (RFC 9396 §7).
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

/// An answer of JSON that no cache stores (RFC 6749 §5.1).
pub(super) fn json_response(body: String) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into_bytes());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
