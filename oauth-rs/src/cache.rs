//! A cache of verified access tokens.

use aims_jose::time::UnixTime;
use aims_jose::verified::VerifiedCache;

use crate::{AccessToken, AccessTokenRules, Error, IssuerStore, Issuers, TokenSource};

/// Caches verified access tokens, so that verifying a token again costs only a lookup.
///
/// Only a verification creates an entry. An entry is not used after its `exp`, after its key was
/// removed from its issuer, or after its issuer's keys are no longer trusted. The rules belong to
/// the cache, so an entry never passes weaker rules than a new token. The cache does not know
/// revocations: check every returned token.
///
/// ```
/// use aims_jose::time::UnixTime;
/// use aims_oauth_rs::{AccessToken, AccessTokenRules, Error, IssuerStore, TokenCache};
///
/// fn verify(cache: &TokenCache, issuers: &IssuerStore, text: &str) -> Result<AccessToken, Error> {
///     cache.verify(text, issuers, UnixTime::now())
/// }
///
/// let cache = TokenCache::new(10_000, AccessTokenRules::for_url("https://tools.example/mcp"));
/// assert!(verify(&cache, &IssuerStore::new(), "not a token").is_err());
/// ```
#[derive(Debug)]
pub struct TokenCache {
    rules: AccessTokenRules,
    verified: VerifiedCache<AccessToken>,
}

impl TokenCache {
    /// Creates a cache for up to `capacity` verified tokens. Every returned token passes these
    /// rules.
    #[must_use]
    pub fn new(capacity: usize, rules: AccessTokenRules) -> Self {
        Self {
            rules,
            verified: VerifiedCache::new(capacity),
        }
    }

    /// Returns the access token, from the cache or newly verified.
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

    /// Returns an opaque access token, from the cache or as `introspect` describes it. `introspect`
    /// is called with the rules of the cache.
    ///
    /// # Errors
    ///
    /// Those of `introspect`, normally those of [`AccessToken::introspected`].
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

    /// Returns the issuer to ask about this JWT, if there is one ([`AccessToken::asks_about`]).
    #[must_use]
    pub fn asks_about(&self, text: &str, issuers: &IssuerStore) -> Option<String> {
        AccessToken::asks_about(text, &issuers.peek(), &self.rules)
    }

    /// Returns the number of cached tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.verified.len()
    }

    /// Returns whether the cache is empty.
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
