//! Reads the access token of a request, and writes the challenges for a missing or refused one.

use aims_jose::alg::AlgorithmSet;
use aims_oauth_wire::bearer::Bearer;
use aims_oauth_wire::challenge::{Challenge, StepUp};
use aims_oauth_wire::dpop;
use aims_oauth_wire::names::{Endpoint, ScopeSet};
use http::header::HeaderMap;
use http::{HeaderValue, StatusCode};

use crate::Error;

/// Returns the access token of a request. It must be in one `Authorization` field with the scheme
/// `Bearer` (RFC 6750 §2.1); other places are ignored.
///
/// ```
/// use aims_oauth_rs::bearer_token;
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(bearer_token(&headers, 8_192)?, None);
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer mF_9.B5f-4.1JqM"));
/// assert_eq!(bearer_token(&headers, 8_192)?, Some("mF_9.B5f-4.1JqM"));
/// # Ok::<(), aims_oauth_rs::Error>(())
/// ```
///
/// # Errors
///
/// `token.authorization` if the field is repeated or malformed, `token.scheme` for another scheme,
/// `token.too_long` for a token of more than `limit` bytes.
pub fn bearer_token(headers: &HeaderMap, limit: usize) -> Result<Option<&str>, Error> {
    token(Bearer::read(headers, limit), limit)
}

/// The scheme of `Authorization` with which a request sends its access token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each scheme must be matched")]
pub enum TokenScheme {
    /// `Bearer` (RFC 6750 §2.1).
    Bearer,
    /// `DPoP`: the token is bound to the key of a DPoP proof (RFC 9449 §7.1).
    Dpop,
}

/// Returns the access token of a request to a resource that accepts DPoP. It reads one
/// `Authorization` field with the scheme `Bearer` or `DPoP`, and nothing else (RFC 9449 §7.2).
///
/// # Errors
///
/// Those of [`bearer_token`].
pub fn bearer_or_dpop_token(
    headers: &HeaderMap,
    limit: usize,
) -> Result<Option<(TokenScheme, &str)>, Error> {
    let (scheme, found) = match Bearer::read(headers, limit) {
        Bearer::OtherScheme => {
            let found = Bearer::read_as(dpop::SCHEME, headers, limit);
            (TokenScheme::Dpop, found)
        }
        found => (TokenScheme::Bearer, found),
    };
    Ok(token(found, limit)?.map(|text| (scheme, text)))
}

fn token(found: Bearer<'_>, limit: usize) -> Result<Option<&str>, Error> {
    match found {
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
    let (status, code) = error.answer();
    (status, bearer_challenge(code, metadata, scopes))
}

impl Error {
    /// Returns the status of the answer, and `error` of the challenge for the scheme that the
    /// request used (RFC 6750 §3.1).
    #[must_use]
    pub const fn answer(&self) -> (StatusCode, Option<&'static str>) {
        match self {
            Self::Missing | Self::Scheme => (StatusCode::UNAUTHORIZED, None),
            Self::Authorization | Self::TooLong { .. } => {
                (StatusCode::BAD_REQUEST, Some("invalid_request"))
            }
            _ => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
        }
    }
}

/// Returns the status and `WWW-Authenticate` for a valid token that lacks scopes (RFC 6750 §3.1).
/// Scopes that are too long for a challenge are omitted.
///
/// ```
/// use aims_oauth_rs::insufficient_scope;
///
/// let (status, challenge) = insufficient_scope(None, &"files:write".parse()?);
/// assert_eq!(status, 403);
/// assert_eq!(challenge, r#"Bearer error="insufficient_scope", scope="files:write""#);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[must_use]
pub fn insufficient_scope(
    metadata: Option<&Endpoint>,
    scopes: &ScopeSet,
) -> (StatusCode, HeaderValue) {
    let value = bearer_challenge(Some("insufficient_scope"), metadata, Some(scopes));
    (StatusCode::FORBIDDEN, value)
}

/// Returns the status and `WWW-Authenticate` for a valid token of a login that does not meet the
/// requirement (RFC 9470 §3).
///
/// ```
/// use std::time::Duration;
///
/// use aims_oauth_rs::insufficient_user_authentication;
/// use aims_oauth_wire::challenge::StepUp;
///
/// let step_up = StepUp::new().max_age(Duration::from_secs(300));
/// let (status, challenge) = insufficient_user_authentication(&step_up, None, None);
/// assert_eq!(status, 401);
/// assert_eq!(challenge, r#"Bearer error="insufficient_user_authentication", max_age="300""#);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[must_use]
pub fn insufficient_user_authentication(
    step_up: &StepUp,
    metadata: Option<&Endpoint>,
    scopes: Option<&ScopeSet>,
) -> (StatusCode, HeaderValue) {
    let value = TokenChallenge::new()
        .error(STEP_UP)
        .metadata(metadata)
        .scopes(scopes)
        .step_up(step_up)
        .bearer();
    (StatusCode::UNAUTHORIZED, value)
}

/// Returns `WWW-Authenticate` of the scheme `Bearer`, with or without `error` (RFC 6750 §3). A
/// parameter that cannot be written is omitted.
#[must_use]
pub fn bearer_challenge(
    code: Option<&str>,
    metadata: Option<&Endpoint>,
    scopes: Option<&ScopeSet>,
) -> HeaderValue {
    let challenge = TokenChallenge::of(code, metadata, scopes);
    challenge.bearer()
}

/// Returns `WWW-Authenticate` of the scheme `DPoP`, with `algs`, and with or without `error` (RFC
/// 9449 §7.1). A parameter that cannot be written is omitted.
#[must_use]
pub fn dpop_challenge(
    code: Option<&str>,
    algorithms: AlgorithmSet,
    metadata: Option<&Endpoint>,
    scopes: Option<&ScopeSet>,
) -> HeaderValue {
    let challenge = TokenChallenge::of(code, metadata, scopes);
    challenge.dpop(algorithms)
}

/// The parameters of a challenge for an access token. One that cannot be written is omitted,
/// because each is optional (RFC 6750 §3).
///
/// ```
/// use aims_oauth_rs::TokenChallenge;
///
/// let scopes = "files:write".parse()?;
/// let challenge = TokenChallenge::new().error("insufficient_scope").scopes(Some(&scopes));
/// assert_eq!(challenge.bearer(), r#"Bearer error="insufficient_scope", scope="files:write""#);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a challenge is written by `bearer` or `dpop`"]
pub struct TokenChallenge<'a> {
    error: Option<&'a str>,
    metadata: Option<&'a Endpoint>,
    scopes: Option<&'a ScopeSet>,
    step_up: Option<&'a StepUp>,
}

impl<'a> TokenChallenge<'a> {
    /// Creates a challenge without parameters.
    pub const fn new() -> Self {
        Self {
            error: None,
            metadata: None,
            scopes: None,
            step_up: None,
        }
    }

    const fn of(
        error: Option<&'a str>,
        metadata: Option<&'a Endpoint>,
        scopes: Option<&'a ScopeSet>,
    ) -> Self {
        Self {
            error,
            metadata,
            scopes,
            step_up: None,
        }
    }

    /// Sets `error`.
    pub const fn error(mut self, code: &'a str) -> Self {
        self.error = Some(code);
        self
    }

    /// Sets `resource_metadata` (RFC 9728 §5.1), if there is a URL.
    pub const fn metadata(mut self, url: Option<&'a Endpoint>) -> Self {
        self.metadata = url;
        self
    }

    /// Sets `scope`, if there are scopes.
    pub const fn scopes(mut self, scopes: Option<&'a ScopeSet>) -> Self {
        self.scopes = scopes;
        self
    }

    /// Sets `acr_values` and `max_age` (RFC 9470 §3).
    pub const fn step_up(mut self, step_up: &'a StepUp) -> Self {
        self.step_up = Some(step_up);
        self
    }

    /// Returns `WWW-Authenticate` of the scheme `Bearer`.
    #[must_use]
    pub fn bearer(&self) -> HeaderValue {
        self.written(Challenge::bearer(), HeaderValue::from_static("Bearer"))
    }

    /// Returns `WWW-Authenticate` of the scheme `DPoP`, with `algs`.
    #[must_use]
    pub fn dpop(&self, algorithms: AlgorithmSet) -> HeaderValue {
        let bare = HeaderValue::from_static(dpop::SCHEME);
        let Ok(challenge) = Challenge::new(dpop::SCHEME) else {
            return bare;
        };
        let names: Vec<&str> = algorithms.iter().map(|it| it.name()).collect();
        let with = challenge.clone().with("algs", &names.join(" "));
        self.written(with.unwrap_or(challenge), bare)
    }

    fn written(&self, mut challenge: Challenge, bare: HeaderValue) -> HeaderValue {
        if let Some(code) = self.error {
            challenge = challenge.clone().with_error(code).unwrap_or(challenge);
        }
        if let Some(scopes) = self.scopes {
            challenge = challenge.clone().with_scope(scopes).unwrap_or(challenge);
        }
        if let Some(step_up) = self.step_up {
            challenge = challenge.clone().with_step_up(step_up).unwrap_or(challenge);
        }
        if let Some(url) = self.metadata {
            let with = challenge.clone().with_resource_metadata(url);
            challenge = with.unwrap_or(challenge);
        }
        challenge.to_header_value().unwrap_or(bare)
    }
}

/// The `error` of a challenge for another login (RFC 9470 §3).
const STEP_UP: &str = "insufficient_user_authentication";
