//! Which identifiers a rule is about.

use std::{fmt, str::FromStr};

use crate::{Error, Origin, WorkloadId};

/// One identifier, those beneath one, or any of an origin.
///
/// Matching is on whole segments under one origin: `/pay/*` covers `/pay/x` and `/pay/x/y`,
/// never `/payroll` and not `/pay` itself.
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
    /// This identifier alone.
    #[must_use]
    pub const fn exact(id: WorkloadId) -> Self {
        Self(Kind::Exact(id))
    }

    /// Every identifier whose path goes on where this one ends; not this one itself.
    #[must_use]
    pub fn beneath(id: WorkloadId) -> Self {
        if id.path().is_empty() {
            Self::any_of(id.origin())
        } else {
            Self(Kind::Beneath(id))
        }
    }

    /// Every identifier of the origin, that of the trust domain itself included.
    #[must_use]
    pub const fn any_of(origin: Origin) -> Self {
        Self(Kind::AnyOf(origin))
    }

    /// Whether the identifier is one of those meant.
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

    /// An identifier; `…/*` for what is beneath it; `scheme://trust-domain/*` for any of an origin.
    fn from_str(text: &str) -> Result<Self, Error> {
        let Some(above) = text.strip_suffix("/*") else {
            if text.contains('*') {
                return Err(Error::Pattern);
            }
            return text.parse().map(Self::exact);
        };
        if above.contains('*') {
            return Err(Error::Pattern);
        }
        // Without a path it is an origin; `split` of the grammar decides, not a count of slashes.
        match above.parse::<Origin>() {
            Ok(origin) => Ok(Self::any_of(origin)),
            Err(Error::Character | Error::OriginPath) => above.parse().map(Self::beneath),
            Err(error) => Err(error),
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
