//! Signing keys that rotate without interruption. A key is published before it signs, and stays
//! published until the last token that it signed has expired.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use aims_jose::jwk::Jwk;
use aims_jose::key::{Signer as _, SigningKey, VerifyingKey};
use aims_jose::provider::Provider;
use aims_jose::time::{Skew, UnixTime};
use aims_jose::{Algorithm, AlgorithmSet};

use crate::Error;

/// The purpose of a signing key. No key serves two purposes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Purpose {
    /// Access tokens (RFC 9068).
    AccessToken,
    /// JWT-SVIDs of the `spiffe` origin.
    JwtSvid,
    /// Transaction tokens.
    TransactionToken,
    /// WITs of the `wimse` origin.
    WimseWit,
    /// WIT-SVIDs of the `spiffe` origin.
    WitSvid,
}

impl Purpose {
    /// Returns `use` of the published key.
    const fn key_use(self) -> &'static str {
        match self {
            Self::AccessToken | Self::TransactionToken | Self::WimseWit => "sig",
            Self::JwtSvid => "jwt-svid",
            Self::WitSvid => "wit-svid",
        }
    }

    /// Returns the allowed algorithms. SPIFFE allows RS, PS and ES for SVIDs.
    const fn algorithms(self) -> AlgorithmSet {
        match self {
            Self::AccessToken | Self::WimseWit => AlgorithmSet::ALL,
            Self::TransactionToken => AlgorithmSet::of(&[
                Algorithm::Es256,
                Algorithm::Es384,
                Algorithm::EdDsa,
                Algorithm::Ed25519,
                Algorithm::Ps256,
            ]),
            Self::JwtSvid | Self::WitSvid => AlgorithmSet::SVID,
        }
    }
}

/// The keys of one purpose. Never empty.
pub(crate) struct KeyRing {
    purpose: Purpose,
    algorithm: Algorithm,
    provider: &'static dyn Provider,
    ahead: Duration,
    ring: Mutex<Ring>,
}

struct Ring {
    /// The keys in the order of their creation. The last one may not be in use yet.
    keys: Vec<Key>,
    /// Number of changes of the published keys.
    changes: u64,
}

struct Key {
    signer: Arc<SigningKey>,
    use_from: u64,
    /// The latest `exp` among the tokens that it signed.
    last_expiry: u64,
}

impl KeyRing {
    /// Creates a ring with this key, or with a new ES256 key.
    ///
    /// # Errors
    ///
    /// `authority.key`, `authority.key_algorithm`.
    pub(crate) fn new(
        purpose: Purpose,
        given: Option<SigningKey>,
        ahead: Duration,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        let key = match given {
            Some(key) => named(key),
            None => generate(Algorithm::Es256, provider)?,
        };
        let algorithm = key.algorithm();
        if !purpose.algorithms().contains(algorithm) {
            return Err(Error::KeyAlgorithmForSvid);
        }
        let first = Key {
            signer: Arc::new(key),
            use_from: 0,
            last_expiry: 0,
        };
        let ring = Mutex::new(Ring {
            keys: vec![first],
            changes: 0,
        });
        Ok(Self {
            purpose,
            algorithm,
            provider,
            ahead,
            ring,
        })
    }

    /// Returns the key that signs now. It stays published until `expires`, the expiry of the signed
    /// token.
    pub(crate) fn signer(&self, expires: UnixTime, now: UnixTime) -> Option<Arc<SigningKey>> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use = ring.in_use(now);
        let key = ring.keys.get_mut(in_use)?;
        key.last_expiry = key.last_expiry.max(expires.as_secs());
        Some(key.signer.clone())
    }

    /// Returns the algorithm of its keys.
    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the published key with this id.
    pub(crate) fn verifying_key(&self, kid: &str, now: UnixTime) -> Option<VerifyingKey> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.prune(now);
        let key = ring
            .keys
            .iter()
            .find(|key| key.signer.key_id() == Some(kid))?;
        Some(key.signer.verifying_key().clone())
    }

    /// Returns the public keys, and the number of changes since the start.
    pub(crate) fn published(&self, now: UnixTime) -> (Vec<Jwk>, u64) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.prune(now);
        let keys = ring.keys.iter().map(|key| {
            key.signer
                .public_jwk()
                .clone()
                .with_use(self.purpose.key_use())
        });
        (keys.collect(), ring.changes)
    }

    /// Returns the number of changes of the published keys since the start.
    pub(crate) fn changes(&self, now: UnixTime) -> u64 {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.prune(now);
        ring.changes
    }

    /// Publishes a new key. It signs once every reader can have fetched it.
    ///
    /// # Errors
    ///
    /// `authority.rotation_early` while the last one is not in use; `authority.key`.
    pub(crate) fn rotate(&self, now: UnixTime) -> Result<(), Error> {
        let key = generate(self.algorithm, self.provider)?;
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.is_pending(now) {
            return Err(Error::RotationEarly);
        }
        ring.prune(now);
        let use_from = now.as_secs().saturating_add(self.ahead.as_secs());
        ring.keys.push(Key {
            signer: Arc::new(key),
            use_from,
            last_expiry: 0,
        });
        ring.changes = ring.changes.saturating_add(1);
        Ok(())
    }

    /// Returns whether a key is published and not yet in use.
    pub(crate) fn is_pending(&self, now: UnixTime) -> bool {
        self.ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_pending(now)
    }

    /// Replaces all keys at once with a new one. Tokens of the old keys become invalid.
    ///
    /// # Errors
    ///
    /// `authority.key`.
    pub(crate) fn replace(&self) -> Result<(), Error> {
        let signer = Arc::new(generate(self.algorithm, self.provider)?);
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.keys = vec![Key {
            signer,
            use_from: 0,
            last_expiry: 0,
        }];
        ring.changes = ring.changes.saturating_add(1);
        Ok(())
    }
}

impl Ring {
    /// Returns the index of the newest key in use. If none is in use, as after a clock that went
    /// back, it is the oldest.
    fn in_use(&self, now: UnixTime) -> usize {
        self.keys
            .iter()
            .rposition(|key| key.use_from <= now.as_secs())
            .unwrap_or(0)
    }

    fn is_pending(&self, now: UnixTime) -> bool {
        self.keys
            .last()
            .is_some_and(|key| key.use_from > now.as_secs())
    }

    /// Removes keys that no longer sign and whose last token has expired, with the skew included.
    fn prune(&mut self, now: UnixTime) {
        let in_use = self.in_use(now);
        let before = self.keys.len();
        let mut place = 0;
        self.keys.retain(|key| {
            let keep = place >= in_use || !Skew::MAX.has_ended(key.last_expiry, now.as_secs());
            place += 1;
            keep
        });
        if self.keys.len() < before {
            self.changes = self.changes.saturating_add(1);
        }
    }
}

impl core::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyRing")
            .field("purpose", &self.purpose)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

fn generate(algorithm: Algorithm, provider: &'static dyn Provider) -> Result<SigningKey, Error> {
    SigningKey::generate(algorithm, provider)
        .map(named)
        .map_err(Error::Key)
}

/// Sets the thumbprint as `kid`, unless the key has one.
fn named(key: SigningKey) -> SigningKey {
    if key.key_id().is_some() {
        return key;
    }
    let thumbprint = key.verifying_key().thumbprint().to_string();
    key.with_key_id(thumbprint)
}

#[cfg(test)]
mod tests {
    use aims_jose::provider::AWS_LC;

    use super::*;

    const AHEAD: u64 = 300;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn ring() -> KeyRing {
        KeyRing::new(Purpose::WitSvid, None, Duration::from_secs(AHEAD), AWS_LC).unwrap()
    }

    fn kid(ring: &KeyRing, expires: u64, now: u64) -> String {
        ring.signer(at(expires), at(now))
            .unwrap()
            .key_id()
            .unwrap()
            .to_owned()
    }

    fn kids(ring: &KeyRing, now: u64) -> Vec<String> {
        let (keys, _) = ring.published(at(now));
        keys.iter()
            .map(|key| key.key_id().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_new_key_is_published_ahead_of_use() {
        let ring = ring();
        let old = kid(&ring, 2_000, 1_000);
        ring.rotate(at(1_000)).unwrap();
        assert_eq!(kids(&ring, 1_000).len(), 2);
        assert_eq!(kid(&ring, 2_000, 1_000 + AHEAD - 1), old);
        let new = kid(&ring, 2_000, 1_000 + AHEAD);
        assert_ne!(new, old);
        assert!(kids(&ring, 1_000).contains(&new));
    }

    #[test]
    fn an_old_key_stays_until_its_last_signature_has_expired() {
        let ring = ring();
        let old = kid(&ring, 5_000, 1_000);
        ring.rotate(at(1_000)).unwrap();
        assert!(kids(&ring, 5_059).contains(&old));
        let (_, before) = ring.published(at(5_059));
        assert!(!kids(&ring, 5_060).contains(&old));
        let (keys, after) = ring.published(at(5_060));
        assert_eq!(keys.len(), 1);
        assert_eq!(after, before + 1, "what is published has changed");
    }

    #[test]
    fn a_second_rotation_waits_for_the_first() {
        let ring = ring();
        ring.rotate(at(1_000)).unwrap();
        assert_eq!(
            ring.rotate(at(1_299)).unwrap_err().code(),
            "authority.rotation_early"
        );
        assert!(ring.is_pending(at(1_299)));
        ring.rotate(at(1_300)).unwrap();
    }

    #[test]
    fn replacing_drops_every_key_at_once() {
        let ring = ring();
        let old = kid(&ring, 5_000, 1_000);
        ring.replace().unwrap();
        let (keys, changes) = ring.published(at(1_000));
        assert_eq!((keys.len(), changes), (1, 1));
        assert_ne!(kid(&ring, 5_000, 1_000), old);
    }

    /// SVIDs are not signed with Ed25519.
    #[test]
    fn svid_keys_are_not_edwards() {
        let key = SigningKey::generate(Algorithm::EdDsa, AWS_LC).unwrap();
        let refused = |purpose| KeyRing::new(purpose, Some(key.clone()), Duration::ZERO, AWS_LC);
        assert_eq!(
            refused(Purpose::WitSvid).unwrap_err().code(),
            "authority.key_algorithm"
        );
        assert_eq!(
            refused(Purpose::JwtSvid).unwrap_err().code(),
            "authority.key_algorithm"
        );
        assert!(refused(Purpose::WimseWit).is_ok());
    }

    #[test]
    fn published_keys_name_their_use() {
        for (purpose, key_use) in [
            (Purpose::AccessToken, "sig"),
            (Purpose::JwtSvid, "jwt-svid"),
            (Purpose::WimseWit, "sig"),
            (Purpose::WitSvid, "wit-svid"),
        ] {
            let ring = KeyRing::new(purpose, None, Duration::ZERO, AWS_LC).unwrap();
            let (keys, _) = ring.published(at(0));
            assert_eq!(keys[0].key_use(), Some(key_use));
            assert!(keys[0].algorithm().is_some() && keys[0].key_id().is_some());
        }
    }

    /// With a clock that went back there is still a key to sign with.
    #[test]
    fn a_clock_that_goes_back_leaves_a_key() {
        let ring = ring();
        ring.rotate(at(1_000)).unwrap();
        let _ = kids(&ring, 1_000_000);
        assert!(ring.signer(at(10), at(0)).is_some());
    }
}
