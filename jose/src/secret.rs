//! Text that must not be seen: tokens, client secrets, `state`, user codes.

use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::digest::{Fingerprint, sha256};

/// A secret text: wiped when dropped, printed as a fingerprint, compared in constant time.
///
/// Two of them are compared by their SHA-256, so that the time taken depends on the lengths alone.
/// There is no `Display` and no `Serialize`; [`expose`](Self::expose) is the one way out.
///
/// ```
/// use aims_jose::secret::SecretText;
/// let secret = SecretText::new("abc");
/// assert_eq!(format!("{secret:?}"), "SecretText(ba7816bf8f01cfea)");
/// assert_eq!(secret.expose(), "abc");
/// assert!(secret == "abc");
/// assert!(secret != "ab");
/// ```
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes over a text. Give an owned `String` where there is one: it is not copied then.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be logged of it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.as_bytes())
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl PartialEq<str> for SecretText {
    fn eq(&self, other: &str) -> bool {
        sha256(self.0.as_bytes())
            .ct_eq(&sha256(other.as_bytes()))
            .into()
    }
}

impl PartialEq<&str> for SecretText {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        *self == *other.expose()
    }
}

impl Eq for SecretText {}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretText({})", self.fingerprint())
    }
}
