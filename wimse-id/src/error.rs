//! Errors of parsing identifiers, trust domains, origins and patterns.

use std::fmt;

use aims_error::{ErrorKind, shown};

/// The text is not a canonical workload identifier, trust domain, origin or pattern.
///
/// The parser normalizes nothing: it refuses every text that is not canonical
/// (draft-ietf-wimse-identifier §4). The message has the [`Reason`] and the text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    reason: Reason,
    found: Box<str>,
}

impl Error {
    /// Every code that [`code`](Self::code) returns.
    pub const CODES: &'static [&'static str] = Reason::CODES;

    #[doc(hidden)]
    pub const KINDS: &'static [(&'static str, ErrorKind)] = Reason::KINDS;

    pub(crate) fn new(reason: Reason, text: &str) -> Self {
        let found = shown([text]);
        Self { reason, found }
    }

    /// Returns the rule that the text breaks.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the text, in quotation marks, escaped, and cut after 200 characters.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Returns the stable code of this error, for logs, records and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// Returns the kind of this error, for programs to match on.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.reason.kind()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, found {}", self.reason, self.found)
    }
}

impl std::error::Error for Error {}

/// The rule that a text breaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A character that is not allowed in this part of an identifier, such as one outside ASCII.
    #[error(
        "the path has a character that identifiers cannot have: expected letters, digits, `.`, `-` and `_`"
    )]
    Character,
    /// A path segment is `.` or `..`.
    #[error("a path segment is `.` or `..`: expected a path without them")]
    DotSegment,
    /// A path segment is empty: the text has two slashes in a row.
    #[error("a path segment is empty: expected single slashes")]
    EmptySegment,
    /// The text has a fragment (`#`), which no identifier has.
    #[error("unexpected fragment: an identifier has none")]
    Fragment,
    /// The text of an origin has a path. An origin ends where the path of an identifier begins.
    #[error(
        "an origin has no path: expected `spiffe://` or `wimse://` and a trust domain, such as `spiffe://example.org`"
    )]
    OriginPath,
    /// The text has more than 2048 octets.
    #[error("the identifier is too long: expected at most 2048 octets")]
    Length,
    /// A `wimse` identifier has no path. Only a `spiffe` identifier may name the trust domain
    /// itself.
    #[error("no path: expected one in a `wimse` identifier, such as `wimse://example.org/agent`")]
    PathMissing,
    /// The text is not a pattern: a wildcard is allowed only as the last segment.
    #[error("unexpected `*`: expected an identifier, or one that ends in `/*`")]
    Pattern,
    /// The text has percent-encoding (`%`), which no identifier has.
    #[error("unexpected percent-encoding: an identifier has none")]
    PercentEncoding,
    /// The text has a port (`:` after the trust domain), which no identifier has.
    #[error("unexpected port: an identifier has none")]
    Port,
    /// The text has a query (`?`), which no identifier has.
    #[error("unexpected query: an identifier has none")]
    Query,
    /// The text does not begin with `spiffe://` or `wimse://` in lower case.
    #[error(
        "the scheme is neither `spiffe` nor `wimse`: expected text that begins with `spiffe://` or `wimse://`, in lower case"
    )]
    Scheme,
    /// The text ends with a slash.
    #[error("the path ends in a slash: expected none at the end")]
    TrailingSlash,
    /// The trust domain has another character than lower-case letters, digits, `.`, `-` and `_`.
    #[error("malformed trust domain: expected lower-case letters, digits, `.`, `-` and `_`")]
    TrustDomain,
    /// The trust domain is empty.
    #[error("no trust domain: expected one after the scheme, such as `example.org`")]
    TrustDomainEmpty,
    /// The trust domain has more than 255 octets.
    #[error("the trust domain is too long: expected at most 255 octets")]
    TrustDomainLength,
    /// The trust domain of a `wimse` identifier ends in a dot.
    #[error("the trust domain of a `wimse` identifier ends in a dot: expected none")]
    TrustDomainTrailingDot,
    /// The text has user information (`@`), which no identifier has.
    #[error("unexpected user information: an identifier has none")]
    UserInfo,
}

impl Reason {
    aims_error::codes! {
        Self::Character | Self::OriginPath => Malformed "id.character",
        Self::DotSegment => Malformed "id.dot_segment",
        Self::EmptySegment => Malformed "id.empty_segment",
        Self::Fragment => Malformed "id.fragment",
        Self::Length => TooLarge "id.length",
        Self::PathMissing => Malformed "id.path_missing",
        Self::Pattern => Malformed "id.pattern",
        Self::PercentEncoding => Malformed "id.percent_encoding",
        Self::Port => Malformed "id.port",
        Self::Query => Malformed "id.query",
        Self::Scheme => Malformed "id.scheme",
        Self::TrailingSlash => Malformed "id.trailing_slash",
        Self::TrustDomain => Malformed "id.trust_domain",
        Self::TrustDomainEmpty => Malformed "id.trust_domain_empty",
        Self::TrustDomainLength => TooLarge "id.trust_domain_length",
        Self::TrustDomainTrailingDot => Malformed "id.trust_domain_trailing_dot",
        Self::UserInfo => Malformed "id.user_info",
    }
}
