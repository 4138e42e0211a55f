//! Error responses of a token endpoint, read and written (RFC 6749 §5.2).

use core::fmt;

use aims_jose::secret::SecretText;
use serde::Serialize;

use super::ResponseRules;
use super::redact::{has_secret, redacted};
use crate::Error;
use crate::members::Members;

/// An error response of a token endpoint: `error`, and optionally a description for developers.
///
/// The server chose the description: log it, but do not decide by it. A description that was read
/// is redacted. `…` replaces everything that may be a token or a secret; it replaces the whole
/// description if that contains an encoded secret of the request.
///
/// ```
/// use aims_oauth_wire::token::TokenError;
///
/// let refused = TokenError::new("invalid_grant")?.with_description("the code was used before")?;
/// let json = r#"{"error":"invalid_grant","error_description":"the code was used before"}"#;
/// assert_eq!(refused.to_json(), json);
/// assert_eq!(refused.status(), 400);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TokenError {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_uri: Option<String>,
    /// Whether the status of the answer says that the server failed or is busy.
    #[serde(skip)]
    is_busy: bool,
}

impl TokenError {
    /// Creates an error response with a code such as `invalid_client`, `invalid_grant`,
    /// `invalid_target`.
    ///
    /// # Errors
    ///
    /// `oauth.response` if the code has characters that are not allowed.
    pub fn new(error: impl Into<String>) -> Result<Self, Error> {
        let it = Self {
            error: error.into(),
            error_description: None,
            error_uri: None,
            is_busy: false,
        };
        it.checked()
    }

    /// Adds a description for developers.
    ///
    /// # Errors
    ///
    /// `oauth.response` if the text has characters that are not allowed, or more than 1024 bytes.
    pub fn with_description(mut self, words: impl Into<String>) -> Result<Self, Error> {
        self.error_description = Some(words.into());
        self.checked()
    }

    /// Parses the body of an error response.
    ///
    /// The code must follow RFC 6749. In the description, `?` replaces what is not printable ASCII,
    /// and `…` replaces what may be a token. It is cut after 1024 characters.
    ///
    /// ```
    /// use aims_oauth_wire::token::TokenError;
    ///
    /// let refused = TokenError::parse(br#"{"error":"invalid_grant"}"#)?;
    /// assert_eq!((refused.error(), refused.description()), ("invalid_grant", None));
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `oauth.response` if the body is not an error response.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        Self::parse_with(body, &ResponseRules::new())
    }

    /// Parses the body of an error response to the request of these rules, whose secrets are not
    /// shown, however short they are. Otherwise like [`parse`](Self::parse).
    ///
    /// ```
    /// use aims_oauth_wire::token::{ResponseRules, TokenError};
    /// use http::Request;
    ///
    /// let request = Request::post("https://as.example/ciba").body(b"user_code=0815".to_vec())?;
    /// let rules = ResponseRules::new().after(&request);
    /// let answer = br#"{"error":"invalid_user_code","error_description":"0815 is wrong"}"#;
    /// let refused = TokenError::parse_with(answer, &rules)?;
    /// assert_eq!(refused.description(), Some("… is wrong"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_with(body: &[u8], rules: &ResponseRules) -> Result<Self, Error> {
        let members = Members::of_document(body);
        let mut members = members.map_err(|_source| fail("expected one JSON object"))?;
        let read = Self::read(&mut members, &rules.secrets).map_err(fail)?;
        read.ok_or_else(|| fail("`error` is missing"))
    }

    /// Reads the error response in an answer, if there is one. A description with one of these
    /// secrets is redacted, too.
    pub(super) fn read(
        members: &mut Members<'_>,
        secrets: &[SecretText],
    ) -> Result<Option<Self>, &'static str> {
        let error = members.text("error").or(Err("`error` is not a text"))?;
        let Some(error) = error else { return Ok(None) };
        if !sayable(&error) {
            return Err("`error` has a character or a length that it cannot have");
        }
        let shown = |text: &str| redacted(text, secrets).unwrap_or_else(|| "…".into());
        let mut words = |name| {
            let words = members.optional_text(name)?;
            Some(printable(&shown(&words)))
        };
        Ok(Some(Self {
            error_description: words("error_description"),
            error_uri: words("error_uri"),
            is_busy: false,
            error: if REGISTERED.contains(&&*error)
                || (is_name(&error) && !has_secret(&error, secrets))
            {
                error
            } else {
                shown(&error)
            },
        }))
    }

    /// Keeps what the status of the answer says.
    pub(super) fn answered_with(mut self, status: http::StatusCode) -> Self {
        self.is_busy = status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS;
        self
    }

    /// Returns whether the server failed or is busy, by the status of its answer (5xx, 429). The
    /// code then does not tell whether it would refuse the same request again.
    ///
    /// [`parse`](Self::parse) reads a body alone, which does not tell.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Returns the error code.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Returns the description for developers.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.error_description.as_deref()
    }

    /// Returns the URL of a page with more information.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.error_uri.as_deref()
    }

    /// Returns the HTTP status of the response: 401 for `invalid_client`, otherwise 400.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        match self.error.as_str() {
            "invalid_client" => http::StatusCode::UNAUTHORIZED,
            _ => http::StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the body of the response.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serializing strings cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the whole response, with `Cache-Control: no-store`.
    #[must_use]
    pub fn to_response(&self) -> http::Response<Vec<u8>> {
        let mut response = super::response::json_response(self.to_json());
        *response.status_mut() = self.status();
        response
    }

    fn checked(self) -> Result<Self, Error> {
        let words = [Some(self.error()), self.description(), self.uri()];
        if self.error.is_empty() || !words.into_iter().flatten().all(sayable) {
            return Err(fail(
                "a member has a character or a length that it cannot have",
            ));
        }
        Ok(self)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        match &self.error_description {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}

fn fail(reason: &'static str) -> Error {
    Error::Response {
        reason,
        answer: None,
    }
}

/// Returns whether a code consists of words, such as `incorrect_client_credentials` or
/// `InvalidClientException`. Any other text of that length may be a token.
fn is_name(error: &str) -> bool {
    let is_word = |word: &str| {
        let is_lower = word.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_upper = word.bytes().all(|byte| byte.is_ascii_uppercase());
        word.len() < MAX_WORD && (is_lower || is_upper || is_camel_case(word))
    };
    error.len() <= 64 && error.split(['_', '-', '.', ' ']).all(is_word)
}

/// Returns whether the text consists of words of at least three letters, each with a capital only
/// at its start.
fn is_camel_case(word: &str) -> bool {
    let mut letters = 3;
    for byte in word.bytes() {
        match byte {
            b'A'..=b'Z' if letters >= 3 => letters = 1,
            b'a'..=b'z' => letters += 1,
            _ => return false,
        }
    }
    letters >= 3
}

fn printable(words: &str) -> String {
    let plain = |c| if is_plain(c) || c == '…' { c } else { '?' };
    words.chars().take(MAX_WORDS).map(plain).collect()
}

/// Returns whether a text is printable ASCII without `"` and `\` (RFC 6749 appendix A.7, A.8).
pub(crate) fn sayable(words: &str) -> bool {
    words.len() <= MAX_WORDS && words.chars().all(is_plain)
}

const fn is_plain(c: char) -> bool {
    matches!(c, ' ' | '!' | '#'..='[' | ']'..='~')
}

/// The codes of the registry "OAuth Extensions Error" that a token endpoint may return. Clients
/// decide by them, so they are never redacted, even if a secret has the same text.
const REGISTERED: [&str; 19] = [
    "access_denied",
    "authorization_pending",
    "expired_token",
    "insufficient_user_authentication",
    "invalid_authorization_details",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_token_type",
    "use_dpop_nonce",
];
const MAX_WORDS: usize = 1024;
/// The maximum length of a word in a code.
const MAX_WORD: usize = 32;
