//! Text that must stay secret: tokens, client secrets, `state`, user codes.

use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::digest::{Fingerprint, sha256};

/// A secret text. It is wiped when dropped, printed as a fingerprint, and compared in constant
/// time.
///
/// Two secrets are compared by their SHA-256, so the time depends on their lengths only. The type
/// implements neither `Display` nor `Serialize`; only [`expose`](Self::expose) returns the text.
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
    /// Wraps a text. An owned `String` is not copied.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text. The caller must not log or store it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the text, to append to it. Text that outgrows its capacity is copied, and the old
    /// copy is not wiped.
    pub(crate) fn text_mut(&mut self) -> &mut String {
        &mut self.0
    }

    /// Returns the fingerprint, which may be logged.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.as_bytes())
    }

    /// Returns whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the length in bytes.
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
