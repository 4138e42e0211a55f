//! Access tokens that were verified before.

use aims_jose::time::UnixTime;
use aims_jose::verified::VerifiedCache;

use crate::{AccessToken, AccessTokenRules, Error, IssuerStore, Issuers, TokenSource};

/// Remembers access tokens that were verified: the second time, a token costs a lookup.
///
/// An entry is made only by a verification, and is not used past its `exp`, when the key that
/// signed it is no longer its issuer's, or when its issuer's keys are trusted no longer.
/// Rules belong to the cache, so that an entry never passes laxer rules than a fresh token. The
/// cache knows nothing of revocations: its user asks about every token, fresh or known.
#[derive(Debug)]
pub struct TokenCache {
    rules: AccessTokenRules,
    verified: VerifiedCache<AccessToken>,
}

impl TokenCache {
    /// Keeps at most so many verified tokens. Everything it gives passes these rules.
    #[must_use]
    pub fn new(capacity: usize, rules: AccessTokenRules) -> Self {
        Self {
            rules,
            verified: VerifiedCache::new(capacity),
        }
    }

    /// The access token, from before or verified now.
    ///
    /// # Errors
    ///
    /// Those of [`AccessToken::verify`].
    pub fn verify(
        &self,
        text: &str,
        issuers: &IssuerStore,
        now: UnixTime,
    ) -> Result<AccessToken, Error> {
        self.check_length(text)?;
        let issuers = issuers.peek();
        self.verified.get_or_verify(
            text,
            |known| self.is_good(known, TokenSource::Jws, &issuers, now),
            || AccessToken::verify(text, &issuers, &self.rules, now),
        )
    }

    /// An opaque access token: from before, or as `introspect` describes it now. `introspect` is
    /// called with the rules of the cache.
    ///
    /// # Errors
    ///
    /// Those of `introspect`, as a rule of [`AccessToken::introspected`].
    pub fn introspect(
        &self,
        text: &str,
        issuers: &IssuerStore,
        introspect: impl FnOnce(&Issuers, &AccessTokenRules) -> Result<AccessToken, Error>,
        now: UnixTime,
    ) -> Result<AccessToken, Error> {
        self.check_length(text)?;
        let issuers = issuers.peek();
        self.verified.get_or_verify(
            text,
            |known| self.is_good(known, TokenSource::Introspected, &issuers, now),
            || introspect(&issuers, &self.rules),
        )
    }

    /// How many verified tokens are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.verified.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verified.is_empty()
    }

    fn is_good(
        &self,
        known: &AccessToken,
        source: TokenSource,
        issuers: &Issuers,
        now: UnixTime,
    ) -> bool {
        known.source() == source && known.check_still(issuers, &self.rules, now).is_ok()
    }

    fn check_length(&self, text: &str) -> Result<(), Error> {
        let limit = self.rules.max_len;
        if text.len() > limit {
            return Err(Error::TooLong { limit });
        }
        Ok(())
    }
}
