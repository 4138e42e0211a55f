//! The pauses after failures.

use std::time::Duration;

use aims_fetch::Backoff;
use aims_jose::random::SecureRandom;
use aims_jose::time::UnixTime;
use http::{Response, StatusCode};

use crate::retry_after::retry_after;

/// The default pauses: 1 s, 2 s, 4 s, … 60 s.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// The maximum pause that a server can request.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// Returns the pause after this number of earlier failures. A pause that the server requested is
/// used, up to ten minutes.
pub(super) fn pause(failures: u32, asked: Option<Duration>, random: &dyn SecureRandom) -> Duration {
    BACKOFF.pause_as_asked(failures, asked, LONGEST_ASKED, number(random))
}

/// Returns a random number from 0 to `most`. Without a random source it is 0, and pauses are not
/// spread.
pub(super) fn chance(random: &dyn SecureRandom, most: u64) -> u64 {
    let range = most.saturating_add(1);
    number(random).checked_rem(range).unwrap_or(0)
}

fn number(random: &dyn SecureRandom) -> u64 {
    let mut bytes = [0; 8];
    random
        .fill(&mut bytes)
        .map_or(0, |()| u64::from_le_bytes(bytes))
}

/// Returns the `Retry-After` of a 429 or 503 (RFC 9110 §10.2.3, RFC 6585 §4).
pub(super) fn asked_for(answer: &Response<Vec<u8>>, now: UnixTime) -> Option<Duration> {
    let busy = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    busy.contains(&answer.status())
        .then(|| retry_after(answer, now))?
}
