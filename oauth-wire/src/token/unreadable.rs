//! Describes a response that cannot be parsed.

use core::fmt;

use http::Response;

use super::redact::excerpt;
use super::rules::ResponseRules;
use crate::Received;

/// Describes what a token endpoint answered instead of a token response: status, content type and
/// length. If the status is not from 200 to 299, it also has an excerpt of the body.
///
/// The excerpt has at most 200 characters. Control and bidirectional characters are escaped. `…`
/// replaces each secret of the request, the values of members named like a token, code, secret,
/// assertion or password, and every sequence of 16 or more token characters.
///
/// There is no excerpt if the body is longer than 16 KiB, or contains a secret that is encoded or
/// has other white space or case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnreadableResponse {
    received: Received,
    excerpt: Option<Box<str>>,
}

impl UnreadableResponse {
    pub(super) fn of(response: &Response<Vec<u8>>, rules: &ResponseRules) -> Self {
        let is_shown = !response.status().is_success();
        let shown = || excerpt(response.body(), &rules.secrets);
        Self {
            received: Received::without(response, &rules.secrets),
            excerpt: is_shown.then(shown).flatten(),
        }
    }

    /// Returns status, content type and length.
    #[must_use]
    pub const fn received(&self) -> &Received {
        &self.received
    }

    /// Returns the start of the body, redacted, if the status is not from 200 to 299.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        self.excerpt.as_deref()
    }
}

impl fmt::Display for UnreadableResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.received)?;
        match &self.excerpt {
            Some(excerpt) => write!(f, ": {excerpt}"),
            None => Ok(()),
        }
    }
}
