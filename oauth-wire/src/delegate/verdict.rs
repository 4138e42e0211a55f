//! The four outcomes of a comparison, and the dimensions that are compared.

use core::fmt;

/// How a child compares with its parent.
///
/// The order is from good to bad: the verdict on several parts is the greatest of theirs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "each outcome must be matched")]
pub enum Verdict {
    /// The child permits the same.
    Equal,
    /// The child permits less.
    Narrower,
    /// Whether the child permits more cannot be decided. It counts as more.
    Undecidable,
    /// The child permits more.
    Wider,
}

impl Verdict {
    /// The word for it, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Narrower => "narrower",
            Self::Undecidable => "undecidable",
            Self::Wider => "wider",
        }
    }

    /// Whether the child permits no more than its parent.
    #[must_use]
    pub const fn is_no_more(self) -> bool {
        matches!(self, Self::Equal | Self::Narrower)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One side of what a token permits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dimension {
    /// `scope`.
    Scope,
    /// `aud`: the resources that the token is for.
    Audience,
    /// `actions` of the authorization details of the type `aims_tool`: the tools.
    Actions,
    /// `authorization_details` (RFC 9396).
    Details,
    /// `exp` and `nbf`.
    Lifetime,
    /// `act` and `client_id`: who acts for the subject (RFC 8693 §4.1).
    Actors,
    /// `cnf`: what the sender must prove (RFC 7800).
    Confirmation,
    /// `tctx`: the details of a transaction.
    Context,
    /// All other claims, the subject and the facts of its login among them.
    Other,
}

impl Dimension {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 9] = [
        Self::Scope,
        Self::Audience,
        Self::Actions,
        Self::Details,
        Self::Lifetime,
        Self::Actors,
        Self::Confirmation,
        Self::Context,
        Self::Other,
    ];

    /// The name, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Audience => "audience",
            Self::Actions => "actions",
            Self::Details => "details",
            Self::Lifetime => "lifetime",
            Self::Actors => "actors",
            Self::Confirmation => "confirmation",
            Self::Context => "context",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A verdict, and what was found where it is a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) reason: &'static str,
}

impl Finding {
    pub(super) const EQUAL: Self = Self {
        verdict: Verdict::Equal,
        reason: "",
    };
    pub(super) const NARROWER: Self = Self {
        verdict: Verdict::Narrower,
        reason: "",
    };

    pub(super) const fn wider(reason: &'static str) -> Self {
        Self {
            verdict: Verdict::Wider,
            reason,
        }
    }

    pub(super) const fn undecidable(reason: &'static str) -> Self {
        Self {
            verdict: Verdict::Undecidable,
            reason,
        }
    }

    /// The verdict on both.
    pub(super) fn and(self, other: Self) -> Self {
        if other.verdict > self.verdict {
            other
        } else {
            self
        }
    }

    /// The better one, where one of them is enough.
    pub(super) fn or(self, other: Self) -> Self {
        if other.verdict < self.verdict {
            other
        } else {
            self
        }
    }
}
