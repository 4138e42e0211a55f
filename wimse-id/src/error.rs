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
    #[error("the scheme is neither `spiffe` nor `wimse`")]
    Scheme,
    /// A slash at the end.
    #[error("the path ends in a slash")]
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

/// Each variant and its code: one list gives both, so that none can be missing.
macro_rules! codes {
    ($($pattern:pat => $code:literal,)*) => {
        /// All codes that [`code`](Self::code) gives.
        pub const CODES: &'static [&'static str] = &[$($code),*];

        /// The stable name of the error.
        #[must_use]
        pub const fn code(&self) -> &'static str {
            match self {
                $($pattern => $code,)*
            }
        }
    };
}

impl Error {
    codes! {
        Self::Character => "id.character",
        Self::DotSegment => "id.dot_segment",
        Self::EmptySegment => "id.empty_segment",
        Self::Fragment => "id.fragment",
        Self::Length => "id.length",
        Self::PathMissing => "id.path_missing",
        Self::Pattern => "id.pattern",
        Self::PercentEncoding => "id.percent_encoding",
        Self::Port => "id.port",
        Self::Query => "id.query",
        Self::Scheme => "id.scheme",
        Self::TrailingSlash => "id.trailing_slash",
        Self::TrustDomain => "id.trust_domain",
        Self::TrustDomainEmpty => "id.trust_domain_empty",
        Self::TrustDomainLength => "id.trust_domain_length",
        Self::TrustDomainTrailingDot => "id.trust_domain_trailing_dot",
        Self::UserInfo => "id.user_info",
    }
}
