//! Patterns that match identifiers.

use std::{fmt, str::FromStr};

use crate::{Error, Origin, Reason, WorkloadId};

/// A pattern that matches one identifier, all identifiers beneath one, or all of an origin.
///
/// Patterns match whole segments within one origin: `/pay/*` matches `/pay/x` and `/pay/x/y`. It
/// matches neither `/payroll` nor `/pay` itself.
///
/// ```
/// use aims_wimse_id::{IdPattern, WorkloadId};
///
/// let pattern: IdPattern = "spiffe://example.org/pay/*".parse()?;
/// assert!(pattern.matches(&WorkloadId::parse("spiffe://example.org/pay/card")?));
/// assert!(!pattern.matches(&WorkloadId::parse("spiffe://example.org/payroll")?));
/// assert!(!pattern.matches(&WorkloadId::parse("wimse://example.org/pay/card")?));
/// # Ok::<(), aims_wimse_id::Error>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IdPattern(Kind);

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Kind {
    AnyOf(Origin),
    Beneath(WorkloadId),
    Exact(WorkloadId),
}

impl IdPattern {
    /// Matches this identifier only.
    #[must_use]
    pub const fn exact(id: WorkloadId) -> Self {
        Self(Kind::Exact(id))
    }

    /// Matches every identifier whose path continues below this one, but not this one itself.
    #[must_use]
    pub fn beneath(id: WorkloadId) -> Self {
        if id.path().is_empty() {
            Self::any_of(id.origin())
        } else {
            Self(Kind::Beneath(id))
        }
    }

    /// Matches every identifier of the origin, including the identifier of the trust domain itself.
    #[must_use]
    pub const fn any_of(origin: Origin) -> Self {
        Self(Kind::AnyOf(origin))
    }

    /// Returns whether the pattern matches the identifier.
    #[must_use]
    pub fn matches(&self, id: &WorkloadId) -> bool {
        match &self.0 {
            Kind::AnyOf(origin) => id.origin_str() == origin.as_str(),
            Kind::Beneath(above) => id
                .as_str()
                .strip_prefix(above.as_str())
                .is_some_and(|rest| rest.starts_with('/')),
            Kind::Exact(exact) => id == exact,
        }
    }
}

impl FromStr for IdPattern {
    type Err = Error;

    /// Parses an identifier, `…/*` for all identifiers beneath it, or `scheme://trust-domain/*` for
    /// all identifiers of an origin.
    fn from_str(text: &str) -> Result<Self, Error> {
        // The error names the whole pattern, not the part of it that was read.
        let whole = |error: Error| Error::new(error.reason(), text);
        let Some(above) = text.strip_suffix("/*") else {
            if text.contains('*') {
                return Err(Error::new(Reason::Pattern, text));
            }
            return text.parse().map(Self::exact);
        };
        if above.contains('*') {
            return Err(Error::new(Reason::Pattern, text));
        }
        // A text without a path is an origin. The grammar decides that, not the number of slashes.
        match above.parse::<Origin>() {
            Ok(origin) => Ok(Self::any_of(origin)),
            Err(error) if matches!(error.reason(), Reason::Character | Reason::OriginPath) => {
                above.parse().map(Self::beneath).map_err(whole)
            }
            Err(error) => Err(whole(error)),
        }
    }
}

impl TryFrom<String> for IdPattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl fmt::Display for IdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::AnyOf(origin) => write!(f, "{origin}/*"),
            Kind::Beneath(above) => write!(f, "{above}/*"),
            Kind::Exact(id) => write!(f, "{id}"),
        }
    }
}
