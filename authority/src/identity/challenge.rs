//! Nonces that are valid once, for a minute, at this server only. Creating one stores nothing.

use core::time::Duration;

use aims_jose::base64url;
use aims_jose::random::SecureRandom;
use aims_jose::time::UnixTime;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Error;

/// Lifetime of a nonce.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60);

/// Number of random bytes. The time of expiry and a MAC over both follow.
const RANDOM: usize = 16;
const TIME: usize = 8;
const TAG: usize = 16;

/// Creates and recognizes nonces by its own secret, new at each start. Creating one uses no memory,
/// so a flood of requests cannot lock out other clients.
pub(crate) struct Challenges {
    secret: Zeroizing<[u8; 32]>,
}

impl Challenges {
    pub(crate) fn new(random: &dyn SecureRandom) -> Result<Self, Error> {
        let mut secret = Zeroizing::new([0; 32]);
        random
            .fill(secret.as_mut_slice())
            .map_err(Error::unavailable)?;
        Ok(Self { secret })
    }

    /// Returns a new nonce: 54 characters of base64url.
    pub(crate) fn issue(&self, random: &dyn SecureRandom, now: UnixTime) -> Result<String, Error> {
        let mut drawn = [0; RANDOM];
        random.fill(&mut drawn).map_err(Error::unavailable)?;
        let expires = now.as_secs().saturating_add(LIFETIME.as_secs());
        let mut nonce = Vec::with_capacity(RANDOM + TIME + TAG);
        nonce.extend_from_slice(&drawn);
        nonce.extend_from_slice(&expires.to_be_bytes());
        let tag = self.mac(&nonce)?.finalize().into_bytes();
        nonce.extend(tag.iter().take(TAG));
        Ok(base64url::encode(&nonce))
    }

    /// Returns the expiry of a nonce, if it is of this server and has not expired.
    ///
    /// # Errors
    ///
    /// `identity.nonce`.
    pub(crate) fn check(&self, nonce: &str, now: UnixTime) -> Result<UnixTime, Error> {
        if nonce.len() > 64 {
            return Err(Error::Nonce);
        }
        let bytes = base64url::decode(nonce).map_err(|_foreign| Error::Nonce)?;
        let (signed, tag) = bytes.split_at_checked(RANDOM + TIME).ok_or(Error::Nonce)?;
        if tag.len() != TAG {
            return Err(Error::Nonce);
        }
        // `verify_truncated_left` compares in constant time.
        self.mac(signed)?
            .verify_truncated_left(tag)
            .map_err(|_foreign| Error::Nonce)?;
        let time = signed.last_chunk::<TIME>().ok_or(Error::Nonce)?;
        let expires = u64::from_be_bytes(*time);
        if now.as_secs() >= expires {
            return Err(Error::Nonce);
        }
        Ok(UnixTime::since_unix_epoch(Duration::from_secs(expires)))
    }

    fn mac(&self, message: &[u8]) -> Result<Hmac<Sha256>, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_slice())
            .map_err(|_never| Error::Nonce)?;
        mac.update(message);
        Ok(mac)
    }
}

impl core::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aims_jose::random::SYSTEM;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn refused(challenges: &Challenges, nonce: &str, now: u64) -> &'static str {
        challenges.check(nonce, at(now)).unwrap_err().code()
    }

    #[test]
    fn a_nonce_lives_for_a_minute() {
        let challenges = Challenges::new(SYSTEM).unwrap();
        let nonce = challenges.issue(SYSTEM, at(1_000)).unwrap();
        assert_eq!(challenges.check(&nonce, at(1_059)).unwrap(), at(1_060));
        assert_eq!(refused(&challenges, &nonce, 1_060), "identity.nonce");
    }

    #[test]
    fn a_nonce_of_another_server_is_none() {
        let here = Challenges::new(SYSTEM).unwrap();
        let there = Challenges::new(SYSTEM).unwrap();
        let nonce = there.issue(SYSTEM, at(1_000)).unwrap();
        assert!(there.check(&nonce, at(1_000)).is_ok());
        assert_eq!(refused(&here, &nonce, 1_000), "identity.nonce");
    }

    /// A nonce with any changed byte, or another length, is refused.
    #[test]
    fn a_changed_nonce_is_none() {
        let challenges = Challenges::new(SYSTEM).unwrap();
        let nonce = challenges.issue(SYSTEM, at(1_000)).unwrap();
        let bytes = base64url::decode(&nonce).unwrap();
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] ^= 1;
            let other = base64url::encode(&other);
            assert_eq!(
                refused(&challenges, &other, 1_000),
                "identity.nonce",
                "{place}"
            );
        }
        for length in (0..bytes.len()).chain([bytes.len() + 1, 100]) {
            let mut other = bytes.clone();
            other.resize(length, 0);
            let other = base64url::encode(&other);
            assert_eq!(
                refused(&challenges, &other, 1_000),
                "identity.nonce",
                "{length}"
            );
        }
        for text in ["", "!", "é", &"A".repeat(100_000)] {
            assert_eq!(refused(&challenges, text, 1_000), "identity.nonce");
        }
    }

    /// Each nonce has sixteen random bytes.
    #[test]
    fn nonces_differ() {
        let challenges = Challenges::new(SYSTEM).unwrap();
        let first = challenges.issue(SYSTEM, at(1_000)).unwrap();
        assert_ne!(first, challenges.issue(SYSTEM, at(1_000)).unwrap());
        assert_eq!(first.len(), 54);
    }
}
