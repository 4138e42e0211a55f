//! Formats times.

use std::time::Duration;

use aims_jose::time::{Clock as _, SystemClock, UnixTime};

/// Returns the given time, or the current one.
pub(crate) fn now(asked: Option<u64>) -> UnixTime {
    asked.map_or_else(|| SystemClock::new().now(), at)
}

/// Returns the time this number of seconds after 1970.
pub(crate) const fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Formats a time, such as `2025-04-24T15:53:36Z, 2 h ago`.
pub(crate) fn in_words(seconds: u64, now: UnixTime) -> String {
    let now = now.as_secs();
    let distance = match seconds.checked_sub(now) {
        Some(0) => "now".to_owned(),
        Some(ahead) => format!("in {}", span(ahead)),
        None => format!("{} ago", span(now.saturating_sub(seconds))),
    };
    format!("{}, {distance}", utc(seconds))
}

/// Formats a duration in its largest unit, rounded down.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Formats a date in the Gregorian calendar (RFC 3339).
fn utc(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in cycles of 400 years. A year starts in March here, so that the leap
    // day is its last day.
    let days = days.saturating_add(719_468);
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = cycle * 400 + year + next;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dates of RFC 3339, with leap days.
    #[test]
    fn dates_are_right() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_745_512_510, "2025-04-24T16:35:10Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds), date);
        }
        assert!(utc(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn distances_are_told() {
        let now = 1_000_000;
        for (seconds, words) in [
            (now, "now"),
            (now + 1, "in 1 s"),
            (now - 119, "119 s ago"),
            (now + 250, "in 4 min"),
            (now - 7_200, "2 h ago"),
            (now + 200_000, "in 2 days"),
        ] {
            let told = in_words(seconds, at(now));
            assert_eq!(told.split_once(", ").unwrap().1, words);
        }
    }
}
