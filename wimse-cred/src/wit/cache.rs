//! A cache of verified WITs.

use aims_jose::time::UnixTime;
use aims_jose::verified::VerifiedCache;

use super::{Wit, WitRules};
use crate::Error;
use crate::trust::TrustStore;

/// A cache of verified WITs: verifying the same WIT again is a lookup.
///
/// Only a verification adds an entry. The cache does not use an entry after its `exp`, after the
/// key that signed it has left its origin's bundle, or while the bundle is stale. The rules belong
/// to the cache, so an entry never passes weaker rules than a new token. The cache does not check
/// revocations: its caller checks them for every WIT, whether cached or not.
///
/// ```
/// use aims_jose::time::at;
/// use aims_wimse_cred::{TrustStore, WitCache, WitRules};
///
/// let cache = WitCache::new(10_000, WitRules::wit());
/// let trust = TrustStore::new();
/// assert!(cache.verify("not a WIT", &trust, at(1_800_000_000)).is_err());
/// assert!(cache.is_empty());
/// ```
#[derive(Debug)]
pub struct WitCache {
    rules: WitRules,
    verified: VerifiedCache<Wit>,
}

impl WitCache {
    /// Creates a cache of at most `capacity` WITs. Each WIT that it returns passes these rules.
    #[must_use]
    pub fn new(capacity: usize, rules: WitRules) -> Self {
        Self {
            rules,
            verified: VerifiedCache::new(capacity),
        }
    }

    /// Returns the verified WIT, from the cache or by verifying it now.
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

    /// Returns the number of cached WITs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.verified.len()
    }

    /// Returns whether the cache is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verified.is_empty()
    }

    /// Returns the rules of this cache.
    #[must_use]
    pub const fn rules(&self) -> &WitRules {
        &self.rules
    }
}
