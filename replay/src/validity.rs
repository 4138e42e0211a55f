//! The time during which receivers accept a proof.

use rustls_pki_types::UnixTime;

/// The time during which receivers accept a proof, in whole seconds.
///
/// `from` is the first second at which a receiver could have accepted it: when it was made, less
/// the clock skew. `until` is the last second, with the clock skew.
///
/// ```
/// use std::time::Duration;
///
/// use aims_replay::Validity;
/// use rustls_pki_types::UnixTime;
///
/// let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
/// // Made at 1,000 for five minutes; clocks may differ by 30 s.
/// let valid = Validity::new(at(970), at(1_330));
/// assert!(valid.may_precede(at(970)));
/// assert!(!valid.may_precede(at(969)));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    from: UnixTime,
    until: UnixTime,
}

impl Validity {
    /// Creates a validity from its first and its last second.
    #[must_use]
    pub const fn new(from: UnixTime, until: UnixTime) -> Self {
        Self { from, until }
    }

    /// Returns the first second at which a receiver could have accepted the proof.
    #[must_use]
    pub const fn from(&self) -> UnixTime {
        self.from
    }

    /// Returns the last second at which a receiver could accept the proof.
    #[must_use]
    pub const fn until(&self) -> UnixTime {
        self.until
    }

    /// Returns whether a receiver could have accepted the proof at `moment` or before.
    ///
    /// A store that began to remember at `moment` cannot know whether such a proof was spent.
    #[must_use]
    pub fn may_precede(&self, moment: UnixTime) -> bool {
        self.from <= moment
    }
}
