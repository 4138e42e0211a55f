//! Header sections as the seeds write them: a field a line.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// The lines of a seed; a carriage return before a line break belongs to it.
pub(crate) fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Adds a line to the fields; one that is no field is left out.
pub(crate) fn append_line(headers: &mut HeaderMap, line: &[u8]) {
    let mut halves = line.splitn(2, |byte| *byte == b':');
    let name = HeaderName::from_bytes(halves.next().unwrap_or_default()).ok();
    let value = halves.next().unwrap_or_default();
    let value = HeaderValue::from_bytes(value.strip_prefix(b" ").unwrap_or(value)).ok();
    append(headers, name, value);
}

/// Adds a field, where it is one.
pub(crate) fn append(
    headers: &mut HeaderMap,
    name: Option<HeaderName>,
    value: Option<HeaderValue>,
) {
    if let (Some(name), Some(value)) = (name, value) {
        // There is room for thousands.
        drop(headers.try_append(name, value));
    }
}

/// A whole answer: a status in a line, fields, an empty line and the body; none where the first
/// line is no status.
pub(crate) fn whole(data: &[u8]) -> Option<Response<Vec<u8>>> {
    let (status, mut rest) = line(data)?;
    let mut answer = Response::new(Vec::new());
    *answer.status_mut() = StatusCode::from_bytes(status).ok()?;
    while let Some((field, behind)) = line(rest) {
        rest = behind;
        if field.is_empty() {
            break;
        }
        append_line(answer.headers_mut(), field);
    }
    answer.body_mut().extend_from_slice(rest);
    Some(answer)
}

/// The first line, and what follows it.
fn line(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    halves.next().zip(halves.next())
}
