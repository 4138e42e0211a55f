//! Strict JSON objects: what serde alone lets pass is refused before serde reads.
//!
//! Serde takes an array for a struct, and keeps the last of two members that nobody named. The next
//! reader of the same bytes may keep the first (RFC 8725 §2.4), so a member that stands twice is
//! refused at every depth, also where nobody here reads it.

mod scan;

use std::borrow::Cow;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Checks that the bytes are one JSON object (RFC 8259), UTF-8, with no member twice at any depth,
/// [`MAX_DEPTH`] deep at most and with [`MAX_MEMBERS`] members in an object at most.
///
/// ```
/// use aims_jose::json::check_object;
///
/// assert!(check_object(br#"{"aud":"a","x":[1,{"y":null}]}"#).is_ok());
/// assert_eq!(check_object(br#"{"aud":"a","\u0061ud":"b"}"#).unwrap_err().code(), "jws.duplicate_member");
/// ```
///
/// # Errors
///
/// [`Error::NotAnObject`], [`Error::Json`], [`Error::DuplicateMember`], [`Error::JsonTooLarge`].
pub fn check_object(json: &[u8]) -> Result<(), Error> {
    object(json).map(drop)
}

/// The same, and gives the bytes as the text that they are.
pub(crate) fn object(json: &[u8]) -> Result<&str, Error> {
    scan::object(json)
}

/// Reads a typed value from an object that [`check_object`] accepts; it may borrow from the bytes.
///
/// # Errors
///
/// Those of [`check_object`], and [`Error::Json`] where members have other types than `T` wants.
pub fn from_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Error> {
    serde_json::from_str(object(json)?).or(Err(Error::Json))
}

/// A JSON string that borrows from the input unless it was written with escapes.
///
/// Unlike a bare `Cow`, it borrows within `Option` and `Vec` as well.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    /// The text as a value of its own.
    #[must_use]
    pub fn into_owned(self) -> String {
        self.0.into_owned()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// How deep objects and arrays may nest.
pub const MAX_DEPTH: usize = 32;
/// How many members one object may have.
pub const MAX_MEMBERS: usize = 256;

#[cfg(test)]
mod tests;
