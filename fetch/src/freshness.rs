//! Computes how long a document is fresh (RFC 9111 §4.2.1), within limits.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderName};

/// The caching rules in the header fields of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Freshness {
    /// How long the document may be returned without fetching it again.
    pub(crate) lifetime: Duration,
    /// Whether the document must not be returned after that time (`no-store`, `no-cache`,
    /// `must-revalidate`).
    pub(crate) strict: bool,
}

impl Freshness {
    /// Reads the header fields. An unreadable lifetime counts as stale (RFC 9111 §4.2.1), a missing
    /// one as `default_freshness`. The limits apply whatever the server says.
    pub(crate) fn of(
        headers: &HeaderMap,
        default_freshness: Duration,
        bounds: &RangeInclusive<Duration>,
    ) -> Self {
        let mut strict = false;
        let mut said = None;
        let mut stale = false;
        for directive in directives(headers) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" | "no-store" => {
                    strict = true;
                    stale = true;
                }
                "must-revalidate" => strict = true,
                // If it is repeated, the shorter one counts.
                "max-age" => {
                    let this = seconds(value.trim().trim_matches('"')).unwrap_or_default();
                    said = Some(said.map_or(this, |other: Duration| other.min(this)));
                }
                _ => {}
            }
        }
        let lifetime = if stale {
            Duration::ZERO
        } else {
            let age = match headers.get(AGE) {
                None => Duration::ZERO,
                Some(age) => age.to_str().ok().and_then(seconds).unwrap_or_default(),
            };
            said.or_else(|| expires(headers))
                .unwrap_or(default_freshness)
                .saturating_sub(age)
        };
        Self {
            lifetime: lifetime.max(*bounds.start()).min(*bounds.end()),
            strict,
        }
    }
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .map(|value| value.to_str().unwrap_or("no-cache"))
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Parses delta seconds (RFC 9111 §1.2.2), which have only digits. A number that is too large
/// counts as the maximum.
fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

/// Returns `Expires` minus `Date`, which is independent of the local clock.
fn expires(headers: &HeaderMap) -> Option<Duration> {
    let read = |name: HeaderName| {
        let date = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(date).ok()
    };
    headers.get(EXPIRES)?;
    let lifetime = match (read(EXPIRES), read(DATE)) {
        (Some(expires), Some(date)) => expires.duration_since(date).unwrap_or_default(),
        _ => Duration::ZERO,
    };
    Some(lifetime)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(headers: &[(HeaderName, &str)]) -> (u64, bool) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let secs = Duration::from_secs;
        let freshness = Freshness::of(&map, secs(300), &(secs(60)..=secs(86_400)));
        (freshness.lifetime.as_secs(), freshness.strict)
    }

    /// The limits apply whatever a server says.
    #[test]
    fn floors_and_ceilings() {
        for (control, expected) in [
            ("max-age=600", (600, false)),
            ("public, Max-Age=600, immutable", (600, false)),
            ("max-age=\"600\"", (600, false)),
            ("max-age=600, max-age=100", (100, false)),
            ("max-age=0", (60, false)),
            ("max-age=59", (60, false)),
            ("max-age=-1", (60, false)),
            ("max-age=x", (60, false)),
            ("max-age", (60, false)),
            ("max-age=86401", (86_400, false)),
            ("max-age=99999999999999999999999999", (86_400, false)),
            ("no-store", (60, true)),
            ("no-cache, max-age=600", (60, true)),
            ("max-age=600, NO-STORE", (60, true)),
            ("max-age=600, must-revalidate", (600, true)),
            ("private", (300, false)),
            (",,=,", (300, false)),
        ] {
            assert_eq!(of(&[(CACHE_CONTROL, control)]), expected, "{control}");
        }
        assert_eq!(of(&[]), (300, false));
        let two = [(CACHE_CONTROL, "max-age=600"), (CACHE_CONTROL, "no-cache")];
        assert_eq!(of(&two), (60, true));
    }

    #[test]
    fn age_and_expires() {
        let (date, later) = (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:59:37 GMT",
        );
        assert_eq!(of(&[(EXPIRES, later), (DATE, date)]), (600, false));
        assert_eq!(of(&[(EXPIRES, date), (DATE, later)]), (60, false));
        assert_eq!(of(&[(EXPIRES, later)]), (60, false));
        assert_eq!(of(&[(EXPIRES, "0"), (DATE, date)]), (60, false));
        let control = (CACHE_CONTROL, "max-age=100");
        assert_eq!(
            of(&[control.clone(), (EXPIRES, later), (DATE, date)]),
            (100, false)
        );
        let control = (CACHE_CONTROL, "max-age=600");
        assert_eq!(of(&[control.clone(), (AGE, "200")]), (400, false));
        assert_eq!(of(&[control.clone(), (AGE, "700")]), (60, false));
        assert_eq!(of(&[control, (AGE, "x")]), (600, false));
    }
}
