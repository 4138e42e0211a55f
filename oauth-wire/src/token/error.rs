//! The refusal of a token endpoint, read and written (RFC 6749 §5.2).

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Why a token endpoint refused: `error`, and perhaps words for a developer.
///
/// The words are another party's: they go to a log, never to a decision.
///
/// ```
/// use aims_oauth_wire::token::TokenError;
///
/// let refused = TokenError::new("invalid_grant")?.with_description("the code was used before")?;
/// assert_eq!(refused.to_json(), r#"{"error":"invalid_grant","error_description":"the code was used before"}"#);
/// assert_eq!(refused.status(), 400);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TokenError {
    error: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_uri: Option<String>,
}

impl TokenError {
    /// A refusal with a code such as `invalid_client`, `invalid_grant`, `invalid_target`.
    ///
    /// # Errors
    ///
    /// `oauth.response` for characters that a code cannot have.
    pub fn new(error: impl Into<String>) -> Result<Self, Error> {
        let it = Self {
            error: error.into(),
            error_description: None,
            error_uri: None,
        };
        it.checked()
    }

    /// Adds words for a developer.
    ///
    /// # Errors
    ///
    /// `oauth.response` for characters that they cannot have, or more than 1024 bytes.
    pub fn with_description(mut self, words: impl Into<String>) -> Result<Self, Error> {
        self.error_description = Some(words.into());
        self.checked()
    }

    /// Reads the body of a refusal. The code has to follow the standard; in the words, which many
    /// servers write as they like, what is not printable ASCII becomes `?`, and they end after 1024
    /// bytes.
    ///
    /// # Errors
    ///
    /// `oauth.response`
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut read: Self = aims_jose::json::from_object(body).or(Err(Error::Response {
            reason: "the refusal cannot be read",
        }))?;
        for words in [&mut read.error_description, &mut read.error_uri] {
            *words = words.take().map(|words| printable(&words));
        }
        read.checked()
    }

    /// The code.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Words for a developer.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.error_description.as_deref()
    }

    /// A page with more of them.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.error_uri.as_deref()
    }

    /// The status to answer with: 401 for `invalid_client`, else 400.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        match self.error.as_str() {
            "invalid_client" => http::StatusCode::UNAUTHORIZED,
            _ => http::StatusCode::BAD_REQUEST,
        }
    }

    /// The body to answer with.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The whole answer, not to be stored by anyone.
    #[must_use]
    pub fn to_response(&self) -> http::Response<Vec<u8>> {
        let mut response = super::response::json_response(self.to_json());
        *response.status_mut() = self.status();
        response
    }

    fn checked(self) -> Result<Self, Error> {
        let words = [Some(self.error()), self.description(), self.uri()];
        if self.error.is_empty() || !words.into_iter().flatten().all(sayable) {
            return Err(Error::Response {
                reason: "a member of the refusal has a character or a length that it cannot have",
            });
        }
        Ok(self)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

fn printable(words: &str) -> String {
    let plain = |c| if is_plain(c) { c } else { '?' };
    words.chars().take(MAX_WORDS).map(plain).collect()
}

/// RFC 6749 appendix A.7, A.8: printable ASCII without `"` and `\`.
pub(crate) fn sayable(words: &str) -> bool {
    words.len() <= MAX_WORDS && words.chars().all(is_plain)
}

const fn is_plain(c: char) -> bool {
    matches!(c, ' ' | '!' | '#'..='[' | ']'..='~')
}

const MAX_WORDS: usize = 1024;
