//! What the fields of HTTP say about a body.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

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
