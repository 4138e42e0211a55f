//! Time as a value: a clock at the rim, and the one setting for skew.

use core::time::Duration;

pub use rustls_pki_types::UnixTime;

use crate::Error;

/// The time of so many seconds since 1970-01-01T00:00:00Z, as `exp` and `iat` count them (RFC 7519
/// §2).
///
/// ```
/// use aims_jose::time;
/// assert_eq!(time::at(1_700_000_000).as_secs(), 1_700_000_000);
/// ```
#[must_use]
pub const fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// The time so much later, in whole seconds: `expires_in` after an answer, a lifetime after `iat`.
/// It saturates, whatever number a peer sends.
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

/// How long it is until then, in whole seconds; nothing where it is past.
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

/// What tells the time. Only rims hold one; everything in the core takes `now`.
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
    /// The present time.
    fn now(&self) -> UnixTime;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The clock of the operating system.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    /// The present time; a clock set before 1970 reads as 1970, at which nothing is valid yet.
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

/// By how much two clocks may disagree: whole seconds, 0 to 60, 30 by default.
///
/// The arithmetic saturates, whatever numbers a foreign token brings.
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
    /// No tolerance at all.
    pub const ZERO: Self = Self(0);

    /// The largest tolerance: 60 seconds.
    pub const MAX: Self = Self(60);

    /// A tolerance of that many seconds.
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

    /// The tolerance in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Whether the second `at` is behind `now` by more than the tolerance. What ends at `at` is
    /// valid through that second plus the tolerance; see [`Skew::has_ended`] for the strict form.
    #[must_use]
    pub const fn is_past(self, at: u64, now: u64) -> bool {
        now > at.saturating_add(self.0)
    }

    /// Whether `now` is on or after `at` plus the tolerance: `exp` (RFC 7519 §4.1.4).
    #[must_use]
    pub const fn has_ended(self, at: u64, now: u64) -> bool {
        now >= at.saturating_add(self.0)
    }

    /// Until when a replay store has to remember what ends at `at`: the last second at which it
    /// could still be accepted.
    #[must_use]
    pub const fn remember_until(self, at: u64) -> UnixTime {
        self::at(at.saturating_add(self.0))
    }

    /// Whether `at` is further ahead of `now` than `most` seconds and the tolerance: the limit to a
    /// lifetime.
    #[must_use]
    pub const fn is_beyond(self, at: u64, most: u64, now: u64) -> bool {
        self.is_future(at, now.saturating_add(most))
    }

    /// Whether `at` is ahead of `now` by more than the tolerance: `nbf`, `iat` (RFC 7519 §4.1.5).
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
