//! Time as a value: a clock for the I/O layer, and the setting for clock skew.

use core::time::Duration;

pub use rustls_pki_types::UnixTime;

use crate::Error;

/// Returns the time at this number of seconds since 1970-01-01T00:00:00Z, as in `exp` and `iat`
/// (RFC 7519 §2).
///
/// ```
/// use aims_jose::time;
/// assert_eq!(time::at(1_700_000_000).as_secs(), 1_700_000_000);
/// ```
#[must_use]
pub const fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Returns the time after a duration in whole seconds, such as `expires_in` of a response. It
/// saturates instead of overflowing.
///
/// ```
/// use core::time::Duration;
/// use aims_jose::time;
///
/// let noon = time::at(1_700_000_000);
/// assert_eq!(time::after(noon, Duration::from_secs(60)), time::at(1_700_000_060));
/// assert_eq!(time::after(noon, Duration::MAX), time::at(u64::MAX));
/// ```
#[must_use]
pub const fn after(start: UnixTime, lifetime: Duration) -> UnixTime {
    at(start.as_secs().saturating_add(lifetime.as_secs()))
}

/// Returns the duration from `now` until `end` in whole seconds, or zero if `end` has passed.
///
/// ```
/// use core::time::Duration;
/// use aims_jose::time;
///
/// let (noon, later) = (time::at(1_700_000_000), time::at(1_700_000_060));
/// assert_eq!(time::until(later, noon), Duration::from_secs(60));
/// assert_eq!(time::until(noon, later), Duration::ZERO);
/// ```
#[must_use]
pub const fn until(end: UnixTime, now: UnixTime) -> Duration {
    Duration::from_secs(end.as_secs().saturating_sub(now.as_secs()))
}

/// Returns the current time. Only code that does I/O holds a clock; all other functions take `now`.
///
/// ```
/// use aims_jose::time::{self, Clock, UnixTime};
///
/// struct Stopped(u64);
///
/// impl Clock for Stopped {
///     fn now(&self) -> UnixTime {
///         time::at(self.0)
///     }
/// }
///
/// let clock: &dyn Clock = &Stopped(1_700_000_000);
/// assert_eq!(clock.now().as_secs(), 1_700_000_000);
/// ```
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> UnixTime;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// Creates the clock.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    /// Returns the current time. A clock that is set before 1970 returns 1970, at which no token is
    /// valid.
    fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or(Duration::ZERO),
        )
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> UnixTime {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> UnixTime {
        (**self).now()
    }
}

/// The maximum difference between two clocks: 0 to 60 whole seconds. Defaults to 30.
///
/// Its arithmetic saturates, so numbers of untrusted tokens cannot overflow it.
///
/// ```
/// use aims_jose::time::Skew;
/// assert_eq!(Skew::default().as_secs(), 30);
/// assert!(Skew::from_secs(61).is_err());
/// assert!(!Skew::ZERO.is_past(100, 100));
/// assert!(Skew::ZERO.is_past(100, 101));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Skew(u64);

impl Skew {
    /// No tolerance.
    pub const ZERO: Self = Self(0);

    /// The maximum tolerance: 60 seconds.
    pub const MAX: Self = Self(60);

    /// Creates a tolerance of this number of seconds.
    ///
    /// # Errors
    ///
    /// `time.skew` above 60.
    pub const fn from_secs(seconds: u64) -> Result<Self, Error> {
        if seconds > Self::MAX.0 {
            return Err(Error::Skew);
        }
        Ok(Self(seconds))
    }

    /// Returns the tolerance in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Returns whether the second `at` is before `now` by more than the tolerance. The second `at`
    /// itself is still valid; see [`Skew::has_ended`] for the strict form.
    #[must_use]
    pub const fn is_past(self, at: u64, now: u64) -> bool {
        now > at.saturating_add(self.0)
    }

    /// Returns whether `now` is at or after `at` plus the tolerance, the rule for `exp` (RFC 7519
    /// §4.1.4).
    #[must_use]
    pub const fn has_ended(self, at: u64, now: u64) -> bool {
        now >= at.saturating_add(self.0)
    }

    /// Returns the last second at which something that ends at `at` could still be accepted. A
    /// replay store must remember it until then.
    #[must_use]
    pub const fn remember_until(self, at: u64) -> UnixTime {
        self::at(at.saturating_add(self.0))
    }

    /// Returns whether `at` is after `now` by more than `most` seconds and the tolerance. It limits
    /// lifetimes.
    #[must_use]
    pub const fn is_beyond(self, at: u64, most: u64, now: u64) -> bool {
        self.is_future(at, now.saturating_add(most))
    }

    /// Returns whether `at` is after `now` by more than the tolerance, the rule for `nbf` and `iat`
    /// (RFC 7519 §4.1.5).
    #[must_use]
    pub const fn is_future(self, at: u64, now: u64) -> bool {
        at > now.saturating_add(self.0)
    }
}

impl Default for Skew {
    fn default() -> Self {
        Self(30)
    }
}
