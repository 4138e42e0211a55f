//! A bounded cache of verified transaction tokens.

use aims_jose::jwk::JwkSet;
use aims_jose::time::UnixTime;
use aims_jose::verified::VerifiedCache;

use crate::{Error, TxnToken, TxnTokenRules};

/// Verifies transaction tokens, and caches those that it verified.
///
/// A known token costs a lookup. It is accepted while its key is one of the given keys and it has
/// not ended. A transaction token may be used several times, so nothing is spent.
///
/// ```
/// use aims_txn_token::{TxnTokenCache, TxnTokenRules};
///
/// let tokens = TxnTokenCache::new(10_000, TxnTokenRules::new("trust-domain.example"));
/// assert!(tokens.is_empty());
/// ```
#[derive(Debug)]
pub struct TxnTokenCache {
    rules: TxnTokenRules,
    verified: VerifiedCache<TxnToken>,
}

impl TxnTokenCache {
    /// Caches at most this number of tokens. All are verified by these rules.
    #[must_use]
    pub fn new(capacity: usize, rules: TxnTokenRules) -> Self {
        Self {
            rules,
            verified: VerifiedCache::new(capacity),
        }
    }

    /// Verifies a token with the keys of the domain's transaction token service.
    ///
    /// # Errors
    ///
    /// Those of [`TxnToken::verify`].
    pub fn verify(&self, text: &str, keys: &JwkSet, now: UnixTime) -> Result<TxnToken, Error> {
        if self.rules.is_too_long(text) {
            return TxnToken::verify(text, keys, &self.rules, now);
        }
        let is_good = |token: &TxnToken| token.is_still_good(keys, &self.rules, now);
        let verify = || TxnToken::verify(text, keys, &self.rules, now);
        self.verified.get_or_verify(text, is_good, verify)
    }

    /// Returns the number of cached tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.verified.len()
    }

    /// Returns whether no token is cached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verified.is_empty()
    }
}
