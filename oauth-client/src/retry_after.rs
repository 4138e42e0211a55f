//! The pause that a server asks for.

use std::time::{Duration, UNIX_EPOCH};

use aims_jose::time::{UnixTime, at, until};
use http::Response;
use http::header::RETRY_AFTER;

/// Returns the pause of `Retry-After`, in seconds or as a date (RFC 9110 §10.2.3). Returns `None`
/// if it is malformed or repeated. The caller sets the maximum.
pub(crate) fn retry_after(answer: &Response<Vec<u8>>, now: UnixTime) -> Option<Duration> {
    let mut values = answer.headers().get_all(RETRY_AFTER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.to_str().ok().filter(|it| !it.is_empty())?;
    if text.bytes().all(|it| it.is_ascii_digit()) {
        // A number with too many digits is a long time.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = date.duration_since(UNIX_EPOCH).ok()?;
    Some(until(at(date.as_secs()), now))
}
