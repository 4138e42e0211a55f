//! The entries of a key set that are not used.

use core::fmt;
use std::sync::Arc;

use crate::Error;

/// An entry of a set that is not used, with the reason.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Index of the entry in the array, from 0.
    pub index: usize,
    /// The defect of the entry.
    pub reason: Error,
}

/// The entries of a set that are not used, for the message of an error about that set.
///
/// `Display` writes nothing if there are none. Otherwise it writes a space and a sentence in
/// parentheses, to end a message. Entries with the same reason share a sentence. If there are many,
/// the first are named and the others counted. The text names positions, members and limits, and
/// quotes nothing from the set.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use aims_jose::jwk::{JwkSet, SetRules};
/// use aims_jose::provider::AWS_LC;
///
/// let set = br#"{"keys":[{"kty":"oct"},{"kty":"EC","crv":"secp256k1"},{"kty":"oct"}]}"#;
/// let set = JwkSet::parse(set, &SetRules::oauth(), AWS_LC)?;
/// assert_eq!(
///     set.skipped_keys().to_string(),
///     " (entries 0, 2 are skipped: `kty` is not a supported key type; \
///        entry 1 is skipped: `crv` is not a supported curve)",
/// );
/// # }
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SkippedKeys(Arc<[Skipped]>);

impl SkippedKeys {
    /// Returns the entries, in the order of the document.
    #[must_use]
    pub fn as_slice(&self) -> &[Skipped] {
        &self.0
    }
}

impl From<Vec<Skipped>> for SkippedKeys {
    fn from(skipped: Vec<Skipped>) -> Self {
        Self(skipped.into())
    }
}

impl fmt::Display for SkippedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons: Vec<(String, Vec<usize>)> = Vec::new();
        for skipped in &*self.0 {
            let reason = skipped.reason.to_string();
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, places)) => places.push(skipped.index),
                None => reasons.push((reason, vec![skipped.index])),
            }
        }
        let mut before = " (";
        for (reason, places) in &reasons {
            let many = places.len() > 1;
            write!(f, "{before}{} ", if many { "entries" } else { "entry" })?;
            for (at, place) in places.iter().take(MAX_PLACES).enumerate() {
                write!(f, "{}{place}", if at > 0 { ", " } else { "" })?;
            }
            match places.len().saturating_sub(MAX_PLACES) {
                0 => {}
                more => write!(f, " and {more} more")?,
            }
            write!(f, " {} skipped: {reason}", if many { "are" } else { "is" })?;
            before = "; ";
        }
        f.write_str(if reasons.is_empty() { "" } else { ")" })
    }
}

/// Maximum number of entries that are named for one reason.
const MAX_PLACES: usize = 8;
