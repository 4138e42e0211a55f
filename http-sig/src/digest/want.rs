//! `Want-Content-Digest` and `Want-Repr-Digest`: the algorithms that a peer prefers (RFC 9530 §4).

use core::fmt;

use super::{Algorithm, dictionary};
use crate::Error;

/// The field `Want-Content-Digest`, in lower case.
pub const WANT_CONTENT_DIGEST: &str = "want-content-digest";
/// The field `Want-Repr-Digest`, in lower case.
pub const WANT_REPR_DIGEST: &str = "want-repr-digest";

/// The preferences of a peer: algorithms with a weight from 1 (least) to 10 (most), or 0 for "not
/// acceptable". They are a hint that the receiver may ignore.
///
/// ```
/// use aims_http_sig::digest::{Algorithm, Wanted};
///
/// let wanted = Wanted::parse([&b"sha-512=3, sha-256=10, unixsum=0"[..]])?;
/// assert_eq!(wanted.best(), Some(Algorithm::Sha256));
/// assert_eq!(Wanted::new().with(Algorithm::Sha512, 10)?.to_string(), "sha-512=10");
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted(Vec<(Box<str>, u8)>);

impl Wanted {
    /// Creates an empty list of preferences.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets the preference for an algorithm, from 0 to 10.
    ///
    /// # Errors
    ///
    /// `digest.preference` if the weight is above 10.
    pub fn with(mut self, algorithm: Algorithm, weight: u8) -> Result<Self, Error> {
        if weight > 10 {
            return Err(Error::DigestPreference);
        }
        self.0.retain(|(name, _)| **name != *algorithm.name());
        self.0.push((algorithm.name().into(), weight));
        Ok(self)
    }

    /// Parses either field from the values of its lines. No line means no preference.
    ///
    /// # Errors
    ///
    /// `digest.size`, `digest.syntax`, `digest.repeated`, `digest.preference`.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Error> {
        dictionary::members("want-*-digest", lines, |key, value| {
            Ok((key.into(), weight(value)?))
        })
        .map(Self)
    }

    /// Returns the weight of an algorithm, if the field names it.
    #[must_use]
    pub fn weight(&self, name: &str) -> Option<u8> {
        let mut all = self.0.iter();
        all.find(|(it, _)| **it == *name).map(|(_, weight)| *weight)
    }

    /// Returns the algorithm with the highest weight among `sha-256` and `sha-512`; `sha-256` if
    /// both have the same. Returns `None` if the peer names neither, or accepts neither.
    #[must_use]
    pub fn best(&self) -> Option<Algorithm> {
        let weighed = Algorithm::ALL
            .iter()
            .filter_map(|it| Some((self.weight(it.name())?, *it)))
            .filter(|(weight, _)| *weight > 0);
        // `max_by_key` takes the last of equal weights, so iterate from the least preferred.
        weighed
            .rev()
            .max_by_key(|(weight, _)| *weight)
            .map(|(_, it)| it)
    }
}

/// Writes the value of the field.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, weight)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={weight}")?;
        }
        Ok(())
    }
}

/// Parses a weight. RFC 9651 §3.3.1 allows leading zeros and a minus for integers; here each weight
/// has one spelling.
fn weight(text: &str) -> Result<u8, Error> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse()
        .ok()
        .filter(|weight| canonical && *weight <= 10)
        .ok_or(Error::DigestPreference)
}
