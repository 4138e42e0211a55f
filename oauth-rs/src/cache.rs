//! Access tokens that were verified before.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use aims_jose::digest::Hashed;
use aims_jose::time::UnixTime;
use quick_cache::sync::Cache;

use crate::{AccessToken, AccessTokenRules, Error, IssuerStore};

/// Remembers access tokens that were verified: the second time, a token costs a SHA-256 and a
/// lookup.
///
/// An entry is made only by a verification, and is not used past its `exp`, when the key that
/// signed it is no longer its issuer's, when its issuer's keys are believed no longer, or when it
/// was [revoked](Self::revoke) (T-038). Rules belong to the cache, so that an entry never passes
/// laxer rules than a fresh token.
#[derive(Debug)]
pub struct TokenCache {
    rules: AccessTokenRules,
    verified: Cache<[u8; 32], AccessToken>,
    revoked: RwLock<HashMap<[u8; 32], u64>>,
    capacity: usize,
}

impl TokenCache {
    /// Keeps at most so many verified tokens, and at most so many revocations. Everything it gives
    /// passes these rules.
    #[must_use]
    pub fn new(capacity: usize, rules: AccessTokenRules) -> Self {
        Self {
            rules,
            verified: Cache::new(capacity.max(1)),
            revoked: RwLock::default(),
            capacity: capacity.max(1),
        }
    }

    /// The access token, from before or verified now.
    ///
    /// # Errors
    ///
    /// Those of [`AccessToken::verify`], and `token.revoked`.
    pub fn verify(
        &self,
        text: &str,
        issuers: &IssuerStore,
        now: UnixTime,
    ) -> Result<AccessToken, Error> {
        self.check_length(text)?;
        self.verify_hashed(&Hashed::of(text), issuers, now)
    }

    /// The same for a text that was hashed already.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify).
    pub fn verify_hashed(
        &self,
        token: &Hashed<'_>,
        issuers: &IssuerStore,
        now: UnixTime,
    ) -> Result<AccessToken, Error> {
        let (text, hash) = (token.text(), token.sha256());
        self.check_length(text)?;
        let issuers = issuers.peek();
        if let Some(known) = self.verified.get(hash) {
            match known.check_still(&issuers, &self.rules, now) {
                Ok(()) => {
                    self.check_revoked(&known)?;
                    return Ok(known);
                }
                // Verified again below, which says what is wrong.
                Err(_) => drop(self.verified.remove(hash)),
            }
        }
        let token = AccessToken::verify(text, &issuers, &self.rules, now)?;
        self.check_revoked(&token)?;
        self.verified.insert(*hash, token.clone());
        Ok(token)
    }

    /// Accepts the token with this [`signed_hash`](AccessToken::signed_hash) no longer, cached or
    /// not. Remembered until it expires.
    ///
    /// # Errors
    ///
    /// `token.revocations_full` when there are as many live revocations as the cache has room for:
    /// then this one is **not** in force.
    pub fn revoke(
        &self,
        signed_hash: [u8; 32],
        expires: UnixTime,
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        if revoked.len() >= self.capacity {
            let skew = self.rules.times.skew();
            revoked.retain(|_, until| !skew.has_ended(*until, now.as_secs()));
        }
        let known = revoked.get(&signed_hash).copied();
        if known.is_none() && revoked.len() >= self.capacity {
            return Err(Error::RevocationsFull);
        }
        revoked.insert(signed_hash, expires.as_secs().max(known.unwrap_or(0)));
        Ok(())
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

    fn check_length(&self, text: &str) -> Result<(), Error> {
        let limit = self.rules.max_len;
        if text.len() > limit {
            return Err(Error::TooLong { limit });
        }
        Ok(())
    }

    fn check_revoked(&self, token: &AccessToken) -> Result<(), Error> {
        let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
        if revoked.contains_key(token.signed_hash()) {
            return Err(Error::Revoked);
        }
        Ok(())
    }
}
