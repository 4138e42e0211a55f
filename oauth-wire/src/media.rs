//! What the fields of HTTP say about a body.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Forms (RFC 6749 appendix B).
pub const FORM: &str = "application/x-www-form-urlencoded";
/// JSON (RFC 8259 §11).
pub const JSON: &str = "application/json";

/// Whether the one `Content-Type` is this; neither its case nor its parameters matter (RFC 9110
/// §8.3.1).
#[must_use]
pub fn is(headers: &HeaderMap, expected: &str) -> bool {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return false;
    };
    let essence = value.to_str().ok().and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
}

/// A field that may stand once stands several times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it says all that there is")]
pub struct Repeated;

/// The value of a field that may stand once: `None` where it does not stand at all.
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
/// [`Repeated`].
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

/// The value of a field that holds one compact token: visible ASCII without a comma. `None` for
/// anything else.
#[must_use]
pub fn compact_token(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok();
    text.filter(|text| !text.is_empty() && !text.contains([',', ' ', '\t']))
}

/// Whether a response with this status has a document: 200 to 299, except those that have none
/// (204, 205), only a part of it (206), or not yet the one that was asked for (202).
#[must_use]
pub fn has_document(status: StatusCode) -> bool {
    status.is_success() && !matches!(status.as_u16(), 202 | 204 | 205 | 206)
}

/// Whether some `Cache-Control` forbids to store.
pub(crate) fn is_not_stored(headers: &HeaderMap) -> bool {
    headers.get_all(CACHE_CONTROL).iter().any(|value| {
        let mut directives = value.to_str().unwrap_or_default().split(',');
        directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
    })
}
