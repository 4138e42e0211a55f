//! The pauses of grants that poll (RFC 8628 §3.5, CIBA Core §7.3, §11).

use std::time::Duration;

use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::token::TokenError;

/// The interval if the server states none.
const DEFAULT: u64 = 5;
/// The maximum interval.
const MAX: u64 = 300;

pub(super) fn interval(stated: Option<u64>) -> Duration {
    Duration::from_secs(stated.unwrap_or(DEFAULT).clamp(1, MAX))
}

/// Returns the pause after a refusal, or `None` if it is final. `slow_down` makes it longer by five
/// seconds for good.
pub(super) fn after(
    refusal: &TokenError,
    last: Option<Duration>,
    interval: Duration,
    expires: UnixTime,
    now: UnixTime,
) -> Option<Duration> {
    let pause = last.unwrap_or(interval).max(interval);
    let pause = match refusal.error() {
        "authorization_pending" => pause,
        "slow_down" => pause.saturating_add(Duration::from_secs(5)),
        _ => return None,
    };
    before(pause, expires, now)
}

/// Returns the pause after a request without an answer: twice the last one.
pub(super) fn unanswered(
    last: Option<Duration>,
    interval: Duration,
    expires: UnixTime,
    now: UnixTime,
) -> Option<Duration> {
    let pause = last.unwrap_or(interval).max(interval).saturating_mul(2);
    before(pause.min(Duration::from_secs(MAX)), expires, now)
}

fn before(pause: Duration, expires: UnixTime, now: UnixTime) -> Option<Duration> {
    (time::after(now, pause) < expires).then_some(pause)
}
