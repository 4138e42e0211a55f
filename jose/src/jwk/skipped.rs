//! The entries of a key set that are not used.

use core::fmt;
use std::sync::Arc;

use crate::Error;

/// An entry of a set that is not used, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Its place in the array, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub reason: Error,
}

/// The entries of a set that are not used, for the text of an error about that set.
///
/// `Display` writes nothing if there are none. Otherwise it writes a sentence in parentheses with a
/// blank before it, so that it can end a message. Entries with the same reason are written
/// together; of many entries, the first are named and the others counted. The text names places,
/// members and limits. It quotes nothing of the set.
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
    /// The entries, in the order of the document.
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

/// How many entries are named for one reason.
const MAX_PLACES: usize = 8;
