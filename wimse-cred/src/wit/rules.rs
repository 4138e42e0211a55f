//! Rules for verifying WITs.

use std::time::Duration;

use aims_jose::alg::AlgorithmSet;
use aims_jose::jwt::TimeRules;
use aims_jose::time::Skew;

/// Rules for verifying WITs, in addition to the signature by a key of the origin's bundle.
///
/// ```
/// use std::time::Duration;
///
/// use aims_wimse_cred::WitRules;
///
/// // WIT-SVIDs only, which expire within an hour.
/// let rules = WitRules::wit_svid().with_max_lifetime(Duration::from_secs(3_600));
/// # let _ = rules;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WitRules {
    pub(super) svid: bool,
    pub(super) max_len: usize,
    pub(super) times: TimeRules,
}

impl WitRules {
    /// Accepts every WIT (draft-ietf-wimse-workload-creds §5.1), including WIT-SVIDs: at most 8
    /// KiB, 30 s of skew.
    #[must_use]
    pub fn wit() -> Self {
        Self {
            svid: false,
            max_len: 8 * 1024,
            times: TimeRules::new(),
        }
    }

    /// Accepts WIT-SVIDs only: a SPIFFE ID, a `kid`, no `aud`, and RS, PS or ES algorithms for both
    /// the token and the key that it confirms.
    ///
    /// `nbf` limits the earliest validity and `iat` does not: an `iat` in the future is accepted
    /// (WIT-SVID §3).
    #[must_use]
    pub fn wit_svid() -> Self {
        let rules = Self::wit();
        Self {
            svid: true,
            times: rules.times.with_future_iat(),
            ..rules
        }
    }

    /// Sets the clock skew. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Sets the maximum time until `exp`. A token that expires later is refused.
    #[must_use]
    pub const fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.times = self.times.with_max_lifetime(most);
        self
    }

    /// Sets the maximum length of the text in bytes. Defaults to 8 KiB. A longer text is refused
    /// unread.
    #[must_use]
    pub const fn with_max_len(mut self, most: usize) -> Self {
        self.max_len = most;
        self
    }

    /// Returns the clock skew.
    #[must_use]
    pub const fn skew(&self) -> Skew {
        self.times.skew()
    }

    pub(super) const fn algorithms(&self) -> AlgorithmSet {
        if self.svid {
            AlgorithmSet::SVID
        } else {
            AlgorithmSet::ALL
        }
    }
}
