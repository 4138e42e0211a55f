//! WITs that were verified before.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use aims_jose::digest::sha256;
use aims_jose::time::UnixTime;
use quick_cache::sync::Cache;

use super::{Wit, WitRules};
use crate::Error;
use crate::trust::TrustStore;

/// Remembers WITs that were verified: the second time, a WIT costs a SHA-256 and a lookup.
///
/// An entry is made only by a verification (T-039) and is not used past its `exp`, when the key
/// that signed it has left its origin's bundle, when the bundle is stale, or when it was
/// [revoked](Self::revoke) (T-038). Rules belong to the cache, so that an entry never passes laxer
/// rules than a fresh token.
#[derive(Debug)]
pub struct WitCache {
    rules: WitRules,
    verified: Cache<[u8; 32], Wit>,
    revoked: RwLock<HashMap<[u8; 32], u64>>,
    capacity: usize,
}

/// Which WIT is no longer accepted, and how long to remember it.
#[derive(Clone, Copy, Debug)]
pub struct Revocation {
    signed_hash: [u8; 32],
    until: u64,
}

impl Revocation {
    /// Of a verified WIT, until it expires.
    #[must_use]
    pub fn of(wit: &Wit) -> Self {
        Self::of_signed_hash(*wit.signed_hash(), wit.expires())
    }

    /// Of the WIT whose header and payload have this SHA-256 ([`Wit::signed_hash`]), until it
    /// expires.
    #[must_use]
    pub const fn of_signed_hash(signed_hash: [u8; 32], expires: UnixTime) -> Self {
        Self {
            signed_hash,
            until: expires.as_secs(),
        }
    }
}

impl WitCache {
    /// Keeps at most so many verified WITs, and at most so many revocations. Everything it gives
    /// passes these rules.
    #[must_use]
    pub fn new(capacity: usize, rules: WitRules) -> Self {
        Self {
            rules,
            verified: Cache::new(capacity.max(1)),
            revoked: RwLock::default(),
            capacity: capacity.max(1),
        }
    }

    /// The WIT, from before or verified now.
    ///
    /// # Errors
    ///
    /// Those of [`Wit::verify`], and `wit.revoked`.
    pub fn verify(&self, text: &str, trust: &TrustStore, now: UnixTime) -> Result<Wit, Error> {
        if text.len() > self.rules.max_len {
            let limit = self.rules.max_len;
            return Err(Error::Wit(aims_jose::Error::TooLong { limit }));
        }
        let hash = sha256(text.as_bytes());
        let trust = trust.peek();
        if let Some(known) = self.verified.get(&hash) {
            match known.check_still(&trust, &self.rules, now) {
                Ok(()) => {
                    self.check_revoked(&known)?;
                    return Ok(known);
                }
                // Verified again below, which says what is wrong.
                Err(_) => drop(self.verified.remove(&hash)),
            }
        }
        let wit = Wit::verify(text, &trust, &self.rules, now)?;
        self.check_revoked(&wit)?;
        self.verified.insert(hash, wit.clone());
        Ok(wit)
    }

    /// Accepts a WIT no longer, in whatever spelling of its signature, cached or not.
    ///
    /// # Errors
    ///
    /// `wit.revocations_full` when there are as many live revocations as the cache has room for:
    /// then this one is **not** in force.
    pub fn revoke(&self, revocation: Revocation, now: UnixTime) -> Result<(), Error> {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        if revoked.len() >= self.capacity {
            let skew = self.rules.skew();
            revoked.retain(|_, until| !skew.has_ended(*until, now.as_secs()));
        }
        let known = revoked.get(&revocation.signed_hash).copied();
        if known.is_none() && revoked.len() >= self.capacity {
            return Err(Error::RevocationsFull);
        }
        let until = revocation.until.max(known.unwrap_or(0));
        revoked.insert(revocation.signed_hash, until);
        Ok(())
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

    fn check_revoked(&self, wit: &Wit) -> Result<(), Error> {
        let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
        if revoked.contains_key(wit.signed_hash()) {
            return Err(Error::Revoked);
        }
        Ok(())
    }
}
