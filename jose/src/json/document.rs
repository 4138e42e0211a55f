//! The frame of unsigned documents.

use serde::Deserialize;

use super::scan::is_blank;
use super::{Error, from_object};

/// Removes the frame of an unsigned document, and returns the bytes from its `{` to its end.
///
/// It applies to every document that a server publishes or answers with: key sets, bundles,
/// metadata, and token, registration and introspection responses. White space (RFC 8259 §2) and one
/// UTF-8 byte order mark (§8.1) may precede the `{`, and white space may follow the `}`. Anything
/// else before the `{` is refused. The parser of the returned bytes, such as [`from_object`],
/// refuses other bytes after the `}`.
///
/// Do not use it for signed JSON: a token has no byte order mark.
///
/// ```
/// use aims_jose::json::document;
///
/// assert_eq!(document("\u{feff}\r\n {\"keys\":[]}\n".as_bytes())?, br#"{"keys":[]}"#);
/// assert_eq!(document(b")]}' {}").unwrap_err().code(), "jws.not_an_object");
/// # Ok::<(), aims_jose::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NotAnObject`] if anything other than white space and one byte order mark precedes the
/// first `{`.
pub fn document(bytes: &[u8]) -> Result<&[u8], Error> {
    let text = blanks_removed(bytes);
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let text = blanks_removed(text);
    if text.starts_with(b"{") {
        Ok(text)
    } else {
        Err(Error::NotAnObject)
    }
}

/// Deserializes an unsigned document: removes its [frame](document), and reads the object by
/// [`from_object`].
///
/// # Errors
///
/// Those of [`document`] and [`from_object`].
pub fn from_document<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    from_object(document(bytes)?)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn blanks_removed(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}
