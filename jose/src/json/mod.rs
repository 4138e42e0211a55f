//! A reader of JSON objects that is stricter than serde.
//!
//! Serde accepts an array for a struct, and ignores repeated members. Another parser may then read
//! something else from the same bytes (RFC 8725 §2.4). This module refuses repeated members at
//! every depth, even if no code uses them.
//!
//! It reads two kinds of text:
//!
//! - **Signed JSON** (JOSE headers, claims): [`check_object`], [`from_object`] and
//!   [`jwt::claims`](crate::jwt::claims). White space is accepted where RFC 8259 §2 allows it. A
//!   byte order mark is refused.
//! - **Unsigned documents** that a server publishes or answers with (key sets, metadata, token
//!   responses, bundles): [`document`] and [`from_document`]. They also accept one byte order mark
//!   before the object.

mod canonical;
mod document;
mod scan;

use std::borrow::{Borrow, Cow};
use std::ops::Deref;

use serde::{Deserialize, Serialize};

pub use canonical::canonical;
pub use document::{document, from_document};

use crate::Error;

/// Checks that the bytes are one JSON object (RFC 8259) in UTF-8, with optional white space around
/// it.
///
/// No member occurs twice at any depth. The object is at most [`MAX_DEPTH`] deep, and each object
/// has at most [`MAX_MEMBERS`] members.
///
/// ```
/// use aims_jose::json::check_object;
///
/// assert!(check_object(br#" {"aud":"a","x":[1,{"y":null}]}"#).is_ok());
/// assert_eq!(
///     check_object(br#"{"aud":"a","\u0061ud":"b"}"#).unwrap_err().code(),
///     "jws.duplicate_member",
/// );
/// ```
///
/// # Errors
///
/// [`Error::NotAnObject`], [`Error::Json`], [`Error::DuplicateMember`], [`Error::JsonTooLarge`].
pub fn check_object(json: &[u8]) -> Result<(), Error> {
    object(json).map(drop)
}
/// Checks the same, and returns the bytes as text.
pub(crate) fn object(json: &[u8]) -> Result<&str, Error> {
    scan::object(json)
}

/// Deserializes an object that [`check_object`] accepts. The value may borrow from the bytes.
///
/// For the claims of a token use [`jwt::claims`](crate::jwt::claims), whose error names a claim of
/// the wrong type.
///
/// ```
/// use aims_jose::json::from_object;
///
/// #[derive(serde::Deserialize)]
/// struct Claims { sub: String }
///
/// let claims: Claims = from_object(br#"{"sub":"alice","other":1}"#)?;
/// assert_eq!(claims.sub, "alice");
/// let repeated = from_object::<Claims>(br#"{"sub":"alice","sub":"bob"}"#).err();
/// assert_eq!(repeated.map(|error| error.code()), Some("jws.duplicate_member"));
/// # Ok::<(), aims_jose::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`check_object`], and [`Error::Json`] if a member has another type than `T` expects.
pub fn from_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Error> {
    serde_json::from_str(object(json)?).or(Err(Error::Json))
}

/// A JSON string that borrows from the input, unless the input has escapes.
///
/// Unlike a plain `Cow`, it also borrows within `Option` and `Vec`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    /// Returns the text as an owned value.
    #[must_use]
    pub fn into_owned(self) -> String {
        self.0.into_owned()
    }

    /// Returns the text.
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

/// A map from texts is asked by `&str`.
impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Maximum depth of objects and arrays.
pub const MAX_DEPTH: usize = 32;
/// Maximum number of members of one object.
pub const MAX_MEMBERS: usize = 256;

#[cfg(test)]
mod tests;
