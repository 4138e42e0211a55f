//! Why there is no credential.

use std::error::Error as StdError;

use super::base::BaseUrl;
use super::messages::PROBLEM_CODES;

/// An identity server refused, was not reached, or did not answer as it must. No message holds a
/// token or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The base URL is not `https`, nor `http` on a loopback host, or has a query, fragment, user
    /// information or a trailing slash.
    #[error(
        "invalid base URL of an identity server: found {found}, expected `https`, or `http` on \
         loopback, without query, fragment, user, default port or trailing slash"
    )]
    BaseUrl {
        /// The text, without user information and query: escaped, at most 200 characters.
        found: Box<str>,
    },
    /// A key could not be made, or cannot sign.
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
        /// The `code` of its problem, where it is one of [`PROBLEM_CODES`].
        code: Option<&'static str>,
    },
    /// A bootstrap token or WIT has a character that no HTTP field can have (RFC 9110 §5.5), so it
    /// was not sent.
    #[error(
        "the {what} cannot be sent in an HTTP field: expected no control character, found {found}"
    )]
    Credential {
        /// What it is: `bootstrap token` or `WIT`.
        what: &'static str,
        /// The kind of character, and what to do.
        found: &'static str,
    },
    /// The identity server's answer is not what it must be.
    #[error("the identity server's answer is not usable")]
    Answer(#[source] Option<Box<dyn StdError + Send + Sync>>),
    /// No request was sent, or no answer came.
    #[error(transparent)]
    Fetch(#[from] aims_fetch::Error),
    /// The credential that was received makes no identity, or the source could not start.
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

    /// The known code of a problem.
    pub(super) fn problem(code: &str) -> Option<&'static str> {
        PROBLEM_CODES.iter().find(|known| **known == code).copied()
    }
}
