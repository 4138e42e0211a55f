//! Reads header fields that describe a body.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The media type of forms (RFC 6749 appendix B).
pub const FORM: &str = "application/x-www-form-urlencoded";
/// The media type of JSON (RFC 8259 §11).
pub const JSON: &str = "application/json";

/// Returns whether there is exactly one `Content-Type` and it is this type. Case and parameters are
/// ignored (RFC 9110 §8.3.1).
#[must_use]
pub fn is(headers: &HeaderMap, expected: &str) -> bool {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return false;
    };
    let essence = value.to_str().ok().and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
}

/// Error returned when a header field that may occur once is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it says all that there is")]
pub struct Repeated;

/// Returns the value of a header field that may occur once, or `None` if it is missing.
///
/// ```
/// use aims_oauth_wire::media::{Repeated, sole};
/// use http::{HeaderMap, HeaderName, HeaderValue};
///
/// let name = HeaderName::from_static("dpop");
/// let mut headers = HeaderMap::new();
/// assert_eq!(sole(&headers, &name), Ok(None));
/// headers.append(name.clone(), HeaderValue::from_static("a.b.c"));
/// assert!(sole(&headers, &name).is_ok_and(|value| value.is_some()));
/// headers.append(name.clone(), HeaderValue::from_static("a.b.c"));
/// assert_eq!(sole(&headers, &name), Err(Repeated));
/// ```
///
/// # Errors
///
/// [`Repeated`] if the field occurs more than once.
pub fn sole<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Repeated> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Repeated),
    }
}

/// Returns the text of a field value that is one compact token: visible ASCII without a comma.
/// Returns `None` for any other value.
#[must_use]
pub fn compact_token(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok();
    let is_apart = |byte: u8| matches!(byte, b',' | b' ' | b'\t');
    text.filter(|text| !text.is_empty() && !text.bytes().any(is_apart))
}

/// Returns whether a response with this status has a whole document: 200 to 299, except 202 (not
/// yet the requested one), 204 and 205 (none), and 206 (only a part).
#[must_use]
pub fn has_document(status: StatusCode) -> bool {
    status.is_success() && !matches!(status.as_u16(), 202 | 204 | 205 | 206)
}

/// Returns whether a `Cache-Control` field has `no-store`.
pub(crate) fn is_not_stored(headers: &HeaderMap) -> bool {
    headers.get_all(CACHE_CONTROL).iter().any(|value| {
        let mut directives = value.to_str().unwrap_or_default().split(',');
        directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
    })
}
