//! WITs that were verified before.

use aims_jose::time::UnixTime;
use aims_jose::verified::VerifiedCache;

use super::{Wit, WitRules};
use crate::Error;
use crate::trust::TrustStore;

/// Remembers WITs that were verified: the second time, a WIT costs a lookup.
///
/// An entry is made only by a verification and is not used past its `exp`, when the key
/// that signed it has left its origin's bundle, or when the bundle is stale. Rules belong
/// to the cache, so that an entry never passes laxer rules than a fresh token. The cache knows
/// nothing of revocations: its user asks about every WIT, fresh or known.
#[derive(Debug)]
pub struct WitCache {
    rules: WitRules,
    verified: VerifiedCache<Wit>,
}

impl WitCache {
    /// Keeps at most so many verified WITs. Everything it gives passes these rules.
    #[must_use]
    pub fn new(capacity: usize, rules: WitRules) -> Self {
        Self {
            rules,
            verified: VerifiedCache::new(capacity),
        }
    }

    /// The WIT, from before or verified now.
    ///
    /// # Errors
    ///
    /// Those of [`Wit::verify`].
    pub fn verify(&self, text: &str, trust: &TrustStore, now: UnixTime) -> Result<Wit, Error> {
        if text.len() > self.rules.max_len {
            let limit = self.rules.max_len;
            return Err(Error::Wit(aims_jose::Error::TooLong { limit }));
        }
        let trust = trust.peek();
        self.verified.get_or_verify(
            text,
            |known| known.check_still(&trust, &self.rules, now).is_ok(),
            || Wit::verify(text, &trust, &self.rules, now),
        )
    }

    /// How many verified WITs are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.verified.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verified.is_empty()
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &WitRules {
        &self.rules
    }
}
