//! What a reader ignored or read with tolerance.

use core::fmt;
use std::borrow::Cow;

/// Something in a message that its sender should correct, and that the reader tolerated.
///
/// Diagnostics are for people: print or log them. No decision depends on one.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Diagnostic {
    /// A member or parameter is malformed, and counts as absent.
    Ignored {
        /// The member or parameter.
        name: Cow<'static, str>,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Some elements of a list are malformed, and were dropped.
    Dropped {
        /// The member that has the list.
        name: Cow<'static, str>,
        /// How many elements were dropped.
        count: usize,
        /// What each element has to be.
        expected: &'static str,
    },
    /// A switch is not a boolean. It counts as `true`, so that no defence is switched off.
    CountsAsTrue {
        /// The member.
        name: Cow<'static, str>,
        /// What it is.
        found: &'static str,
    },
    /// A parameter occurs with different values, and counts as absent.
    Contradiction {
        /// The parameter.
        name: Cow<'static, str>,
    },
    /// An identifier differs from the expected one in the `/` of an empty path alone (RFC 3986
    /// §6.2.3). The spelling of the document counts from then on.
    RootSlash {
        /// The member.
        name: &'static str,
        /// The identifier that was expected.
        expected: Box<str>,
        /// The identifier in the document.
        found: Box<str>,
    },
    /// A token response lacks `Cache-Control: no-store` (RFC 6749 §5.1): a cache may keep it.
    Storable,
    /// A token response lacks `token_type`. The token counts as a bearer token, as configured.
    NoTokenType,
    /// A part of a `WWW-Authenticate` field follows no grammar, and was skipped.
    Unreadable {
        /// The scheme of its challenge, where it has one.
        scheme: Box<str>,
        /// What is wrong.
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
