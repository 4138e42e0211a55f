//! Errors of parsing identifiers, trust domains, origins and patterns.

/// The text is not a canonical workload identifier, trust domain, origin or pattern.
///
/// The parser normalizes nothing: it refuses every text that is not canonical
/// (draft-ietf-wimse-identifier §4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A character that is not allowed in this part of an identifier, such as one outside ASCII.
    #[error("a character that the path of an identifier cannot have")]
    Character,
    /// A path segment is `.` or `..`.
    #[error("a path segment is `.` or `..`")]
    DotSegment,
    /// A path segment is empty: the text has two slashes in a row.
    #[error("a path segment is empty")]
    EmptySegment,
    /// The text has a fragment (`#`), which no identifier has.
    #[error("an identifier has no fragment")]
    Fragment,
    /// The text of an origin has a path. An origin ends where the path of an identifier begins.
    #[error(
        "an origin has no path: expected `spiffe://` or `wimse://` and a trust domain, such as `spiffe://example.org`"
    )]
    OriginPath,
    /// The text has more than 2048 octets.
    #[error("longer than 2048 octets")]
    Length,
    /// A `wimse` identifier has no path. Only a `spiffe` identifier may name the trust domain
    /// itself.
    #[error("a `wimse` identifier has a path")]
    PathMissing,
    /// The text is not a pattern: a wildcard is allowed only as the last segment.
    #[error("a pattern is an identifier, or ends in `/*`")]
    Pattern,
    /// The text has percent-encoding (`%`), which no identifier has.
    #[error("an identifier has no percent-encoding")]
    PercentEncoding,
    /// The text has a port (`:` after the trust domain), which no identifier has.
    #[error("an identifier has no port")]
    Port,
    /// The text has a query (`?`), which no identifier has.
    #[error("an identifier has no query")]
    Query,
    /// The text does not begin with `spiffe://` or `wimse://` in lower case.
    #[error(
        "the scheme is neither `spiffe` nor `wimse`: expected text that begins with `spiffe://` or `wimse://`, in lower case"
    )]
    Scheme,
    /// The text ends with a slash.
    #[error("the path ends in a slash: write it without")]
    TrailingSlash,
    /// The trust domain has another character than lower-case letters, digits, `.`, `-` and `_`.
    #[error("a trust domain has only lower-case letters, digits, `.`, `-` and `_`")]
    TrustDomain,
    /// The trust domain is empty.
    #[error("the trust domain is empty")]
    TrustDomainEmpty,
    /// The trust domain has more than 255 octets.
    #[error("the trust domain is longer than 255 octets")]
    TrustDomainLength,
    /// The trust domain of a `wimse` identifier ends in a dot.
    #[error("the trust domain of a `wimse` identifier ends in a dot")]
    TrustDomainTrailingDot,
    /// The text has user information (`@`), which no identifier has.
    #[error("an identifier has no user information")]
    UserInfo,
}

impl Error {
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
