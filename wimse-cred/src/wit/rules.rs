//! What a verifier asks of a WIT.

use std::time::Duration;

use aims_jose::alg::AlgorithmSet;
use aims_jose::jwt::TimeRules;
use aims_jose::time::Skew;

/// What is asked of a WIT, beside that the bundle of its origin vouches for it.
#[derive(Clone, Copy, Debug)]
pub struct WitRules {
    pub(super) svid: bool,
    pub(super) max_len: usize,
    pub(super) times: TimeRules,
}

impl WitRules {
    /// Any WIT (draft-ietf-wimse-workload-creds §5.1), a WIT-SVID too: at most 8 KiB, 30 s of skew.
    #[must_use]
    pub fn wit() -> Self {
        Self {
            svid: false,
            max_len: 8 * 1024,
            times: TimeRules::new(),
        }
    }

    /// WIT-SVIDs alone: a SPIFFE ID, `kid`, no `aud`, and only RS, PS and ES algorithms, for the
    /// token and for the key that it confirms. `nbf` limits the earliest validity, and `iat` does
    /// not: an `iat` in the future is accepted (WIT-SVID §3).
    #[must_use]
    pub fn wit_svid() -> Self {
        let rules = Self::wit();
        Self {
            svid: true,
            times: rules.times.with_future_iat(),
            ..rules
        }
    }

    /// Another skew.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Refuses what expires further ahead than this.
    #[must_use]
    pub const fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.times = self.times.with_max_lifetime(most);
        self
    }

    /// Refuses a longer text before anything of it is read. In bytes.
    #[must_use]
    pub const fn with_max_len(mut self, most: usize) -> Self {
        self.max_len = most;
        self
    }

    /// The skew.
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
