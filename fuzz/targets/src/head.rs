//! Header sections in the form of the seeds: one field per line.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// Returns the lines of a seed. A carriage return before a line break belongs to the break.
pub(crate) fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Adds a line to the fields. A line that is not a field is ignored.
pub(crate) fn append_line(headers: &mut HeaderMap, line: &[u8]) {
    let mut halves = line.splitn(2, |byte| *byte == b':');
    let name = HeaderName::from_bytes(halves.next().unwrap_or_default()).ok();
    let value = halves.next().unwrap_or_default();
    let value = HeaderValue::from_bytes(value.strip_prefix(b" ").unwrap_or(value)).ok();
    append(headers, name, value);
}

/// Adds a field, if it is valid.
pub(crate) fn append(
    headers: &mut HeaderMap,
    name: Option<HeaderName>,
    value: Option<HeaderValue>,
) {
    if let (Some(name), Some(value)) = (name, value) {
        // The map has room for thousands of fields.
        drop(headers.try_append(name, value));
    }
}

/// Parses a whole response: a status line, fields, an empty line and the body. Returns `None` if
/// the first line is not a status.
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

/// Returns the first line, and the rest.
fn line(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    halves.next().zip(halves.next())
}
