//! What a token endpoint answers (RFC 6749 §5).

use core::fmt;
use core::time::Duration;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::TokenError;
use crate::bearer::is_b64token;
use crate::names::{Resource, ScopeSet};
use crate::{Error, media};

/// The longest answer that is read, in bytes.
pub const MAX_RESPONSE: usize = 128 * 1024;
/// The longest time that a token may say it lives: ten years, in seconds.
pub const MAX_EXPIRES_IN: u64 = 315_360_000;

/// How a token is presented (RFC 6749 §7.1). Compared without regard to case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenType {
    /// Whoever has it may use it (RFC 6750).
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
}

#[derive(Deserialize)]
struct Members<'a> {
    access_token: SecretMember,
    token_type: String,
    expires_in: Option<u64>,
    refresh_token: Option<SecretMember>,
    id_token: Option<SecretMember>,
    issued_token_type: Option<String>,
    scope: Option<String>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    authorization_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(from = "String")]
struct SecretMember(SecretText);

impl From<String> for SecretMember {
    fn from(text: String) -> Self {
        Self(SecretText::new(text))
    }
}

impl TokenResponse {
    /// Reads an answer: 200, `application/json`, `cache-control: no-store`, and no member twice.
    ///
    /// # Errors
    ///
    /// `oauth.refused` with what the server said; `oauth.response`, `oauth.cacheable`,
    /// `oauth.token_type`, `oauth.scope`.
    pub fn parse(response: &Response<Vec<u8>>) -> Result<Self, Error> {
        let read = Self::dangerous_parse_cacheable(response)?;
        if !media::is_not_stored(response.headers()) {
            return Err(Error::Cacheable);
        }
        Ok(read)
    }

    /// The same for a server that leaves out `no-store`, though it has to send it (RFC 6749 §5.1):
    /// a cache on the way may keep the token.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), without `oauth.cacheable`.
    pub fn dangerous_parse_cacheable(response: &Response<Vec<u8>>) -> Result<Self, Error> {
        let body = response.body();
        if body.len() > MAX_RESPONSE {
            return Err(fail("too long"));
        }
        if !media::is(response.headers(), media::JSON) {
            return Err(fail("another content type"));
        }
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(Error::Refused(Box::new(TokenError::parse(body)?)));
        }
        if response.status() != http::StatusCode::OK {
            return Err(fail("another status"));
        }
        let members: Members<'_> =
            aims_jose::json::from_object(body).or(Err(fail("not readable")))?;
        members.check()
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

    /// How long it lives from the time of the answer, as far as the server said.
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
    /// may be absent (RSC-05).
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

impl Members<'_> {
    fn check(self) -> Result<TokenResponse, Error> {
        let token_type = TokenType::from_name(&self.token_type).ok_or(Error::TokenType)?;
        let token = self.access_token.0;
        let fits = match token_type {
            TokenType::Bearer | TokenType::Dpop => is_b64token(token.expose()),
            TokenType::NotApplicable => is_printable(&token),
        };
        if !fits {
            return Err(fail("`access_token` has a character that it cannot have"));
        }
        let others = [&self.refresh_token, &self.id_token];
        if !others.into_iter().flatten().all(|it| is_printable(&it.0)) {
            return Err(fail("a token has a character that it cannot have"));
        }
        if self.expires_in.is_some_and(|it| it > MAX_EXPIRES_IN) {
            return Err(fail("`expires_in` is too far away"));
        }
        let scope = match self.scope.as_deref() {
            None => None,
            Some("") => Some(ScopeSet::new()),
            Some(scope) => Some(scope.parse()?),
        };
        Ok(TokenResponse {
            access_token: token,
            token_type,
            expires_in: self.expires_in.map(Duration::from_secs),
            refresh_token: self.refresh_token.map(|it| it.0),
            id_token: self.id_token.map(|it| it.0),
            issued_token_type: self.issued_token_type,
            scope,
            resources: resources(self.resource),
            authorization_details: self.authorization_details.map(|it| it.get().to_owned()),
        })
    }
}

/// RSC-05: a string or an array; what is neither says nothing. They are for comparing, so names on
/// loopback are read, too.
fn resources(raw: Option<&RawValue>) -> Vec<Resource> {
    let text = raw.map_or("null", RawValue::get);
    let one = serde_json::from_str(text).map(|one: String| vec![one]);
    let all = one.or_else(|_| serde_json::from_str(text));
    let read = |all: Vec<String>| all.iter().map(|it| Resource::loopback(it).ok()).collect();
    all.ok().and_then(read).unwrap_or_default()
}

/// RFC 6749 appendix A.12.
fn is_printable(token: &SecretText) -> bool {
    let mut bytes = token.expose().bytes();
    !token.is_empty() && bytes.all(|byte| matches!(byte, 0x20..=0x7e))
}

fn fail(reason: &'static str) -> Error {
    Error::Response { reason }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An answer of JSON that nobody stores (RFC 6749 §5.1).
pub(super) fn json_response(body: String) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into_bytes());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
