//! Trace contexts.

use aims::trace::{TRACEPARENT, TraceContext};
use http::HeaderMap;
use http::HeaderValue;

use crate::Outcome;
use crate::head::lines;

/// Parses the `traceparent` fields of a request, one value per line. Accepted if there is a
/// context.
pub fn trace_context(data: &[u8]) -> Outcome {
    let mut headers = HeaderMap::new();
    // Editors add a line break at the end.
    for line in lines(data.strip_suffix(b"\n").unwrap_or(data)) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            // The map has room for thousands of fields.
            drop(headers.try_append(TRACEPARENT, value));
        }
    }
    let several = headers.get_all(TRACEPARENT).iter().count() > 1;
    let Some(context) = TraceContext::of(&headers) else {
        let why = if several { "several" } else { "no context" };
        return Outcome::Refused(why);
    };
    assert!(!several);
    let text = context.as_str();
    assert_eq!(text.len(), 55);
    assert!(text.parse::<TraceContext>() == Ok(context) && context.to_string() == text);
    let id = (context.trace_id(), context.parent_id());
    let flags = if context.sampled() { 1 } else { 0 };
    let last = text
        .bytes()
        .last()
        .and_then(|it| char::from(it).to_digit(16));
    assert_eq!(last.map(|it| it & 1), Some(flags));
    assert!(text.starts_with(&format!("00-{}-{}-", id.0, id.1)));
    let hex = |it: &str| it.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    assert!(hex(id.0) && hex(id.1) && (id.0.len(), id.1.len()) == (32, 16));
    assert!(
        [id.0, id.1]
            .iter()
            .all(|it| it.bytes().any(|digit| digit != b'0'))
    );

    // The context equals the received one, except for its version. A forwarded context parses to
    // the same.
    let came = headers
        .get(TRACEPARENT)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    assert_eq!(came.get(2..55), text.as_bytes().get(2..));
    let mut passed = HeaderMap::new();
    context.apply(&mut passed);
    assert_eq!(TraceContext::of(&passed), Some(context));
    Outcome::Accepted
}
