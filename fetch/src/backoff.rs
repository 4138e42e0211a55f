//! Pauses after failures.

use std::time::Duration;

/// Computes pauses that double after each failure in a row, up to a maximum.
///
/// Each pause is randomly shortened by up to a half, so that many clients which failed together do
/// not try again together. The value has no clock and no random source: the caller passes both.
///
/// ```
/// use std::time::Duration;
///
/// use aims_fetch::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// let longest = |failures| backoff.pause(failures, 0).as_secs();
/// assert_eq!([longest(0), longest(1), longest(2), longest(9)], [1, 2, 4, 60]);
///
/// let random = 0x9e37_79b9_7f4a_7c15;
/// let pause = backoff.pause(2, random);
/// assert!((Duration::from_secs(2)..=Duration::from_secs(4)).contains(&pause));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
}

impl Backoff {
    /// Creates a backoff with this first pause and this maximum. If the maximum is less than the
    /// first pause, the first pause is used.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most }
    }

    /// Returns the pause after a failure that followed `before` other failures, in whole
    /// milliseconds.
    ///
    /// `random` is any random number. 0 gives the longest pause; use it without a random source.
    #[must_use]
    pub fn pause(self, before: u32, random: u64) -> Duration {
        let doubled = 2_u32.saturating_pow(before.min(30));
        let whole = self.first.saturating_mul(doubled);
        let whole = millis(whole.min(self.most.max(self.first)));
        Duration::from_millis(whole.saturating_sub(up_to(whole / 2, random)))
    }

    /// Returns the pause like [`pause`](Self::pause), and at least the time that the server
    /// requested (`Retry-After`, RFC 9110 §10.2.3), up to `most_asked`.
    ///
    /// The requested time is randomly lengthened by up to a fifth, so that clients with the same
    /// `Retry-After` do not try again together.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use aims_fetch::Backoff;
    ///
    /// let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    /// let asked = Some(Duration::from_secs(30)); // Retry-After: 30
    /// let pause = backoff.pause_as_asked(0, asked, Duration::from_secs(600), 0);
    /// assert!(pause >= Duration::from_secs(30));
    /// ```
    #[must_use]
    pub fn pause_as_asked(
        self,
        before: u32,
        asked: Option<Duration>,
        most_asked: Duration,
        random: u64,
    ) -> Duration {
        let own = self.pause(before, random);
        let asked = asked.map(|asked| {
            let asked = asked.min(most_asked);
            asked.saturating_add(Duration::from_millis(up_to(millis(asked) / 5, random)))
        });
        asked.map_or(own, |asked| asked.max(own))
    }
}

/// Returns a number from 0 to `most`.
fn up_to(most: u64, random: u64) -> u64 {
    random.checked_rem(most.saturating_add(1)).unwrap_or(0)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_to_the_maximum() {
        let backoff = Backoff::new(SECOND, 60 * SECOND);
        for (before, whole) in [(0, 1), (1, 2), (5, 32), (6, 60), (31, 60), (u32::MAX, 60)] {
            let whole = whole * SECOND;
            assert_eq!(backoff.pause(before, 0), whole);
            for random in [1, 499, 500, 501, 12_345, u64::MAX] {
                let pause = backoff.pause(before, random);
                assert!(pause >= whole / 2 && pause <= whole, "{before} {random}");
            }
        }
        assert_eq!(backoff.pause(0, 500), SECOND / 2);
        let odd = Backoff::new(2 * SECOND, SECOND);
        assert_eq!(odd.pause(9, 0), 2 * SECOND);
        let huge = Backoff::new(Duration::MAX, Duration::MAX);
        assert!(huge.pause(u32::MAX, 0) > SECOND);
        assert_eq!(
            Backoff::new(Duration::ZERO, Duration::ZERO).pause(3, 7),
            Duration::ZERO
        );
    }

    #[test]
    fn what_the_server_asks_for_counts_up_to_a_maximum() {
        let backoff = Backoff::new(SECOND, 60 * SECOND);
        let asked = |before, asked: u32, random| {
            let asked = Some(asked * SECOND);
            backoff.pause_as_asked(before, asked, 600 * SECOND, random)
        };
        assert_eq!(asked(0, 10, 0), 10 * SECOND);
        assert_eq!(asked(0, 10, 2_000), 12 * SECOND);
        assert_eq!(asked(4, 10, 0), 16 * SECOND);
        assert_eq!(asked(0, 0, 0), SECOND);
        assert_eq!(asked(0, 86_400, 0), 600 * SECOND);
        let none = backoff.pause_as_asked(3, None, 600 * SECOND, 0);
        assert_eq!(none, 8 * SECOND);
    }
}
