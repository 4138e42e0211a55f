//! Errors of requesting a credential.

use std::error::Error as StdError;

use super::base::BaseUrl;
use super::messages::PROBLEM_CODES;

/// The identity server refused, was not reached, or gave an unusable answer.
///
/// No message contains a token or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The base URL is neither `https` nor `http` with a loopback host, or has a query, a fragment,
    /// user information or a trailing slash.
    #[error(
        "invalid base URL of an identity server: found {found}, expected `https`, or `http` on \
         loopback, without query, fragment, user, default port or trailing slash"
    )]
    BaseUrl {
        /// The text without user information and query, escaped, at most 200 characters.
        found: Box<str>,
    },
    /// The program could not generate a key, or the key cannot sign.
    #[error("a key could not be made or cannot sign")]
    Key(#[source] aims_jose::Error),
    /// The identity server refused.
    #[error(
        "the identity server answered {status} with the code `{}`",
        code.unwrap_or("unknown")
    )]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `code` of the server's problem document, if it is one of [`PROBLEM_CODES`].
        code: Option<&'static str>,
    },
    /// A bootstrap token or WIT has a character that an HTTP field cannot have (RFC 9110 §5.5). It
    /// was not sent.
    #[error(
        "the {what} cannot be sent in an HTTP field: expected no control character, found {found}"
    )]
    Credential {
        /// The kind of secret: `bootstrap token` or `WIT`.
        what: &'static str,
        /// The kind of character, and what to do.
        found: &'static str,
    },
    /// The identity server's answer does not have the expected form.
    #[error("the identity server's answer is not usable")]
    Answer(#[source] Option<Box<dyn StdError + Send + Sync>>),
    /// The request was not sent, or no response was received.
    #[error(transparent)]
    Fetch(#[from] aims_fetch::Error),
    /// The received credential does not make an identity, or the source could not start.
    #[error(transparent)]
    Identity(#[from] crate::Error),
}

impl Error {
    aims_error::codes! {
        Self::Refused { .. } => Forbidden "client.refused",
        Self::Credential { .. } => Configuration "client.credential",
        Self::Answer(_) => Malformed "client.answer",
        ;
        Self::BaseUrl { .. } => "authority.base_url", aims_error::ErrorKind::Configuration;
        Self::Key(_) => "authority.key", aims_error::ErrorKind::Unavailable;
        Self::Fetch(source) => source.code(), source.kind();
        Self::Identity(source) => source.code(), source.kind();
    }

    pub(super) fn base_url(text: &str) -> Self {
        let found = BaseUrl::shown(text);
        Self::BaseUrl { found }
    }

    /// Returns the static text of a known problem code.
    pub(super) fn problem(code: &str) -> Option<&'static str> {
        PROBLEM_CODES.iter().find(|known| **known == code).copied()
    }
}
