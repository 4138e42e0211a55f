//! Nonces: made without keeping anything, good once, for a minute, at this server alone.

use core::time::Duration;

use aims_jose::base64url;
use aims_jose::random::SecureRandom;
use aims_jose::time::UnixTime;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Error;

/// How long a nonce is good.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60);

/// Random bytes, the time of expiry, and a MAC over both.
const RANDOM: usize = 16;
const TIME: usize = 8;
const TAG: usize = 16;

/// Makes and recognises nonces by a secret of its own, new at each start. Asking for one costs the
/// server no memory, so that a flood of questions keeps nobody out.
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

    /// A fresh nonce: 54 characters of base64url.
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

    /// When the nonce expires, if it is one of ours and has not.
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
        // Compared in constant time by `verify_truncated_left`.
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

    /// Each byte counts, the expiry's too, and so does the length.
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

    /// T-037a: sixteen random bytes in each.
    #[test]
    fn nonces_differ() {
        let challenges = Challenges::new(SYSTEM).unwrap();
        let first = challenges.issue(SYSTEM, at(1_000)).unwrap();
        assert_ne!(first, challenges.issue(SYSTEM, at(1_000)).unwrap());
        assert_eq!(first.len(), 54);
    }
}
