//! Raw HTTP answers of the cases, as `http` types.

use http::{HeaderName, HeaderValue, Response};

/// Parses an answer whose head may have any line ends.
pub(crate) fn response(raw: &[u8]) -> Response<Vec<u8>> {
    let (head, body) = split(raw);
    let head = String::from_utf8(head.to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut answer = Response::new(body.to_vec());
    *answer.status_mut() = status.parse().unwrap();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        answer.headers_mut().append(
            name.parse::<HeaderName>().unwrap(),
            value.trim().parse::<HeaderValue>().unwrap(),
        );
    }
    answer
}

/// Splits head and body at the first empty line.
fn split(raw: &[u8]) -> (&[u8], &[u8]) {
    for end in [b"\r\n\r\n".as_slice(), b"\n\n"] {
        if let Some(at) = raw.windows(end.len()).position(|it| it == end) {
            return (&raw[..at], &raw[at + end.len()..]);
        }
    }
    (raw, b"")
}
