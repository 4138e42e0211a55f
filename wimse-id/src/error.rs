//! Why a text is no identifier, no trust domain or no pattern.

/// The text is not a canonical workload identifier, trust domain, origin or pattern.
///
/// Nothing is ever repaired: what is not canonical is refused (draft-ietf-wimse-identifier §4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A character that this part of an identifier never has, such as one outside ASCII.
    #[error("a character that the path of an identifier cannot have")]
    Character,
    /// A segment `.` or `..`.
    #[error("a path segment is `.` or `..`")]
    DotSegment,
    /// Two slashes in a row.
    #[error("a path segment is empty")]
    EmptySegment,
    /// `#`: an identifier has no fragment.
    #[error("an identifier has no fragment")]
    Fragment,
    /// An origin is an identifier's text up to the path.
    #[error(
        "an origin has no path: expected `spiffe://` or `wimse://` and a trust domain, such as `spiffe://example.org`"
    )]
    OriginPath,
    /// More than 2048 octets.
    #[error("longer than 2048 octets")]
    Length,
    /// A `wimse` identifier names something within its trust domain.
    #[error("a `wimse` identifier has a path")]
    PathMissing,
    /// A wildcard elsewhere than as the last segment, or a pattern that is none.
    #[error("a pattern is an identifier, or ends in `/*`")]
    Pattern,
    /// `%`: an identifier has no percent-encoding.
    #[error("an identifier has no percent-encoding")]
    PercentEncoding,
    /// `:` after the trust domain: an identifier has no port.
    #[error("an identifier has no port")]
    Port,
    /// `?`: an identifier has no query.
    #[error("an identifier has no query")]
    Query,
    /// Neither `spiffe://` nor `wimse://`, in lower case.
    #[error(
        "the scheme is neither `spiffe` nor `wimse`: expected text that begins with `spiffe://` or `wimse://`, in lower case"
    )]
    Scheme,
    /// A slash at the end.
    #[error("the path ends in a slash: write it without")]
    TrailingSlash,
    /// A trust domain has only lower-case letters, digits, `.`, `-` and `_`.
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
    /// `@`: an identifier has no user information.
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
