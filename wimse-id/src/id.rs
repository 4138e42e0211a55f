//! Identifiers, their origins and trust domains.

use std::{borrow::Borrow, fmt, hash::Hash, str::FromStr};

use crate::{Error, parse};

/// The scheme of a workload identifier.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_enums,
    reason = "another scheme is another grammar: callers handle both in full"
)]
pub enum Scheme {
    /// `spiffe`, defined by the SPIFFE-ID standard.
    Spiffe,
    /// `wimse`, defined by draft-ietf-wimse-identifier.
    Wimse,
}

impl Scheme {
    /// Returns the name of the scheme in lower case, as it is written in an identifier.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spiffe => "spiffe",
            Self::Wimse => "wimse",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The authority part of an identifier, such as `example.org`.
///
/// A trust domain is not a host name. Bind keys and policies to an [`Origin`] instead, because the
/// same trust domain exists under both schemes.
///
/// ```
/// use aims_wimse_id::{Origin, Scheme, TrustDomain};
///
/// let domain: TrustDomain = "example.org".parse()?;
/// let origin = Origin::new(Scheme::Spiffe, &domain)?;
/// assert_eq!(origin.as_str(), "spiffe://example.org");
/// assert!("Example.org".parse::<TrustDomain>().is_err());
/// # Ok::<(), aims_wimse_id::Error>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// Returns the trust domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        parse::trust_domain(&text).map_err(|reason| Error::new(reason, &text))?;
        Ok(Self(text))
    }
}

/// Scheme and trust domain, such as `spiffe://example.org`. Keys, issuers and policies are bound to
/// it.
///
/// The same trust domain under another scheme is another origin.
///
/// ```
/// use std::collections::HashMap;
/// use aims_wimse_id::{Origin, WorkloadId};
///
/// let origin: Origin = "spiffe://example.org".parse()?;
/// let keys = HashMap::from([(origin, "keys of example.org")]);
///
/// let id: WorkloadId = "spiffe://example.org/pay".parse()?;
/// assert!(keys.contains_key(id.origin_str()));
/// let other: WorkloadId = "wimse://example.org/pay".parse()?;
/// assert!(!keys.contains_key(other.origin_str()));
/// # Ok::<(), aims_wimse_id::Error>(())
/// ```
#[derive(Clone, Debug, Eq)]
pub struct Origin {
    text: String,
    scheme: Scheme,
}

impl Origin {
    /// Creates the origin of a trust domain under a scheme.
    ///
    /// # Errors
    ///
    /// [`Reason::TrustDomainTrailingDot`] for a `wimse` trust domain that ends in a dot.
    ///
    /// [`Reason::TrustDomainTrailingDot`]: crate::Reason::TrustDomainTrailingDot
    pub fn new(scheme: Scheme, trust_domain: &TrustDomain) -> Result<Self, Error> {
        parse::trust_domain_of(scheme, trust_domain.as_str())
            .map_err(|reason| Error::new(reason, trust_domain.as_str()))?;
        Ok(Self {
            text: format!("{scheme}://{}", trust_domain.as_str()),
            scheme,
        })
    }

    /// Returns the origin as text: scheme, `://`, trust domain.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        after(&self.text, self.scheme.as_str().len() + 3)
    }
}

impl TryFrom<String> for Origin {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let parts = parse::origin(&text).map_err(|reason| Error::new(reason, &text))?;
        Ok(Self {
            text,
            scheme: parts.scheme,
        })
    }
}

/// A workload identifier: `spiffe://example.org/pay` or `wimse://example.org/pay`.
///
/// It is a name and proves nothing: types such as `Wit` hold an identifier that a credential
/// proved. Two identifiers are equal if their bytes are equal.
///
/// ```
/// use aims_wimse_id::{Scheme, WorkloadId};
///
/// let id = WorkloadId::parse("spiffe://example.org/billing/pay")?;
/// assert_eq!(id.scheme(), Scheme::Spiffe);
/// assert_eq!(id.trust_domain(), "example.org");
/// assert_eq!(id.path(), "/billing/pay");
/// assert_eq!(id.segments().collect::<Vec<_>>(), ["billing", "pay"]);
///
/// let upper_case = WorkloadId::parse("spiffe://Example.org/pay");
/// assert_eq!(upper_case.unwrap_err().code(), "id.trust_domain");
/// # Ok::<(), aims_wimse_id::Error>(())
/// ```
#[derive(Clone, Debug, Eq)]
pub struct WorkloadId {
    text: String,
    scheme: Scheme,
    /// Length of the origin within the text.
    origin: usize,
}

impl WorkloadId {
    /// Parses a canonical identifier (draft-ietf-wimse-identifier §4, SPIFFE-ID §2). It makes one
    /// allocation, for the text.
    ///
    /// # Errors
    ///
    /// The first part of the text that is not canonical. The parser normalizes nothing.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let parts = parse::identifier(text).map_err(|reason| Error::new(reason, text))?;
        Ok(Self {
            text: text.to_owned(),
            scheme: parts.scheme,
            origin: parts.origin,
        })
    }

    /// Returns the identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the origin as an owned value.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            text: self.origin_str().to_owned(),
            scheme: self.scheme,
        }
    }

    /// Returns the origin as text, without an allocation. Use it to look up a map that is keyed by
    /// [`Origin`].
    #[must_use]
    pub fn origin_str(&self) -> &str {
        self.text.get(..self.origin).unwrap_or_default()
    }

    /// Returns the trust domain as text.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        after(self.origin_str(), self.scheme.as_str().len() + 3)
    }

    /// Returns the path with its leading slash. It is empty for the identifier of a trust domain.
    #[must_use]
    pub fn path(&self) -> &str {
        after(&self.text, self.origin)
    }

    /// Returns the segments of the path, from the left.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1)
    }
}

impl TryFrom<String> for WorkloadId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let parts = parse::identifier(&text).map_err(|reason| Error::new(reason, &text))?;
        Ok(Self {
            text,
            scheme: parts.scheme,
            origin: parts.origin,
        })
    }
}

fn after(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

/// Implements the conversions from and to text. Order, equality and hash are those of the `str`, so
/// that maps can be queried by `&str`.
macro_rules! textual {
    ($($type:ty),+) => {$(
        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<&str> for $type {
            type Error = Error;

            fn try_from(text: &str) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
    )+};
}

/// Implements order, equality and hash by the text alone, for a type that stores more than its
/// text.
macro_rules! by_text {
    ($($type:ty),+) => {$(
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Ord for $type {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Hash for $type {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }
    )+};
}

textual!(Origin, TrustDomain, WorkloadId);
by_text!(Origin, WorkloadId);
