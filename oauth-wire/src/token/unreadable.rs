//! What is told of an answer that cannot be read.

use core::fmt;

use http::Response;

use super::redact::excerpt;
use super::rules::ResponseRules;
use crate::Received;

/// What a token endpoint answered instead of a token response: status, content type and length, and
/// the beginning of the body where the status is outside of 200 to 299.
///
/// The excerpt has at most 200 characters. Control and bidirectional characters are escaped. `…`
/// stands for each secret of the request, for the values of members that are named like a token,
/// code, secret, assertion or password, and for 16 or more token characters in a row. Where a
/// secret is in the body in an encoding, or with other white space or case, there is no excerpt;
/// nor where the body is longer than 16 KiB.
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

    /// Status, content type and length.
    #[must_use]
    pub const fn received(&self) -> &Received {
        &self.received
    }

    /// The beginning of the body, redacted, if the status is outside of 200 to 299.
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
