//! Scopes (RFC 6749 §3.3).

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Error;

/// The maximum length of a scope token, in bytes.
const MAX_SCOPE: usize = 1024;
/// The maximum number of scope tokens in one set.
pub const MAX_SCOPES: usize = 256;

/// One scope token: printable ASCII without blank, `"` and `\`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Scope(Box<str>);

impl Scope {
    /// Returns the token as it was written. It is case-sensitive.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let token = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.is_empty() || text.len() > MAX_SCOPE || !text.bytes().all(token) {
            return Err(Error::scope(text));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of scope tokens. Order and repetition have no meaning. Clones share the tokens.
///
/// ```
/// use aims_oauth_wire::names::ScopeSet;
///
/// let asked: ScopeSet = "write read".parse()?;
/// let granted: ScopeSet = "read".parse()?;
/// assert!(granted.is_subset(&asked) && granted.contains("read"));
/// assert_eq!(asked.to_string(), "read write");
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ScopeSet(
    /// The tokens in byte order, each once. `None` if there are none.
    Option<Arc<[Scope]>>,
);

impl ScopeSet {
    /// Creates an empty set. An empty set is never written into a message.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds a scope.
    ///
    /// # Errors
    ///
    /// `oauth.scope` if the set would have more than [`MAX_SCOPES`] tokens.
    pub fn insert(&mut self, scope: Scope) -> Result<(), Error> {
        let mut scopes = self.as_slice().to_vec();
        insert(&mut scopes, scope)?;
        *self = Self::of(scopes);
        Ok(())
    }

    /// Takes scopes in byte order, each once.
    fn of(sorted: Vec<Scope>) -> Self {
        Self((!sorted.is_empty()).then(|| sorted.into()))
    }

    fn as_slice(&self) -> &[Scope] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Returns whether the set contains the token.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.iter().any(|scope| scope.as_str() == token)
    }

    /// Returns whether all scopes of this set are in the other set.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter()
            .all(|scope| other.as_slice().binary_search(scope).is_ok())
    }

    /// Returns the scopes that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let common = self.iter().filter(|it| other.contains(it.as_str()));
        Self::of(common.cloned().collect())
    }

    /// Returns the other scopes of the set.
    pub(crate) fn without(&self, token: &str) -> Self {
        let others = self.iter().filter(|scope| scope.as_str() != token);
        Self::of(others.cloned().collect())
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the number of scopes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Iterates over the scopes in byte order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.as_slice().iter()
    }
}

impl FromStr for ScopeSet {
    type Err = Error;

    /// Parses scope tokens that are separated by single spaces. The empty text is an error.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut scopes = Vec::new();
        for token in text.split(' ') {
            let token = token.parse().map_err(|_alone| Error::scope(text))?;
            insert(&mut scopes, token)?;
        }
        Ok(Self::of(scopes))
    }
}

impl From<Scope> for ScopeSet {
    fn from(scope: Scope) -> Self {
        Self::of(vec![scope])
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Adds a scope to scopes in byte order.
fn insert(scopes: &mut Vec<Scope>, scope: Scope) -> Result<(), Error> {
    let Err(place) = scopes.binary_search(&scope) else {
        return Ok(());
    };
    if scopes.len() >= MAX_SCOPES {
        let found = format!("more than {MAX_SCOPES} tokens").into();
        return Err(Error::Scope { found });
    }
    scopes.insert(place, scope);
    Ok(())
}
