//! Diagnostics: what a parser ignored or tolerated.

use core::fmt;
use std::borrow::Cow;

/// Describes a fault in a message that its sender should correct, and that the parser tolerated.
///
/// Diagnostics are for people: print or log them. They have no influence on any decision.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Diagnostic {
    /// A member or parameter is malformed and counts as absent.
    Ignored {
        /// The name of the member or parameter.
        name: Cow<'static, str>,
        /// The expected value.
        expected: &'static str,
        /// The value that was found.
        found: &'static str,
    },
    /// Some elements of a list are malformed and were dropped.
    Dropped {
        /// The name of the member that has the list.
        name: Cow<'static, str>,
        /// The number of dropped elements.
        count: usize,
        /// The expected form of each element.
        expected: &'static str,
    },
    /// A switch is not a boolean. It counts as `true`, so that no protection is switched off.
    CountsAsTrue {
        /// The name of the member.
        name: Cow<'static, str>,
        /// The value that was found.
        found: &'static str,
    },
    /// A parameter occurs with different values and counts as absent.
    Contradiction {
        /// The name of the parameter.
        name: Cow<'static, str>,
    },
    /// An identifier differs from the expected one only in the `/` of an empty path (RFC 3986
    /// §6.2.3). The spelling of the document is used from then on.
    RootSlash {
        /// The name of the member.
        name: &'static str,
        /// The expected identifier.
        expected: Box<str>,
        /// The identifier in the document.
        found: Box<str>,
    },
    /// A token response lacks `Cache-Control: no-store` (RFC 6749 §5.1), so a cache may store it.
    Storable,
    /// A token response lacks `token_type`. The token counts as a bearer token, as configured.
    NoTokenType,
    /// A part of a `WWW-Authenticate` field has invalid syntax and was skipped.
    Unreadable {
        /// The scheme of the challenge, or the empty text if it has none.
        scheme: Box<str>,
        /// The problem.
        found: &'static str,
    },
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored {
                name,
                expected,
                found,
            } => write!(f, "`{name}` is ignored: expected {expected}, found {found}"),
            Self::Dropped {
                name,
                count,
                expected,
            } => write!(
                f,
                "{count} elements of `{name}` are ignored: expected {expected}"
            ),
            Self::CountsAsTrue { name, found } => write!(
                f,
                "`{name}` counts as true: expected a boolean, found {found}"
            ),
            Self::Contradiction { name } => {
                write!(f, "`{name}` is ignored: it occurs with different values")
            }
            Self::RootSlash {
                name,
                expected,
                found,
            } => write!(
                f,
                "`{name}` differs in the root slash: expected `{expected}`, found `{found}`"
            ),
            Self::Storable => f.write_str("the token response lacks `cache-control: no-store`"),
            Self::NoTokenType => f.write_str("`token_type` is missing and counts as `Bearer`"),
            Self::Unreadable { scheme, found } if scheme.is_empty() => {
                write!(f, "a challenge is skipped: {found}")
            }
            Self::Unreadable { scheme, found } => {
                write!(f, "a part of the challenge `{scheme}` is skipped: {found}")
            }
        }
    }
}
