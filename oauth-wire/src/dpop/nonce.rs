//! Nonces that a server chooses (RFC 9449 §8, §9).

use core::fmt;
use core::time::Duration;

use aims_jose::base64url;
use aims_jose::jwk::Thumbprint;
use aims_jose::random::SecureRandom;
use aims_jose::time::{Skew, UnixTime};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{DPOP_NONCE, Error};
use crate::media;

/// A nonce as it stands in `DPoP-Nonce`, 1 to 1024 characters (RFC 9449 §8.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nonce(Box<str>);

impl Nonce {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// `dpop.nonce_syntax`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        // NQCHAR of RFC 6749 appendix A.
        let is_char = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(is_char) {
            Ok(Self(text.into()))
        } else {
            Err(Error::NonceSyntax)
        }
    }

    /// Finds the nonce of a response, whatever its status. It replaces the one before it of the
    /// same server (RFC 9449 §8.2).
    ///
    /// # Errors
    ///
    /// `dpop.field_repeated`, `dpop.nonce_syntax`.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let repeated = Error::FieldRepeated {
            field: "DPoP-Nonce",
        };
        let value = media::sole(headers, &DPOP_NONCE).or(Err(repeated))?;
        let text = value.map(|it| it.to_str().or(Err(Error::NonceSyntax)));
        text.transpose()?.map(Self::parse).transpose()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the field `DPoP-Nonce`.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        // All characters of a nonce are visible ASCII.
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// Issues nonces and knows them again, without remembering any: a nonce is its time and a tag over
/// the time, the server's name and the thumbprint of the client's key. So a nonce of another server
/// or for another key is refused.
///
/// Several servers of one name share the secret.
#[derive(Clone)]
pub struct NonceIssuer {
    key: Zeroizing<[u8; 32]>,
    lifetime: u64,
}

impl NonceIssuer {
    /// Issues nonces in the name of a server, such as its URL, under a secret that it keeps. A
    /// nonce is taken for 5 minutes.
    #[must_use]
    pub fn new(server: &str, secret: &[u8; 32]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        let parts = [b"aims dpop nonce".as_slice(), server.as_bytes()];
        key.copy_from_slice(&mac(secret, &parts).finalize().into_bytes());
        Self { key, lifetime: 300 }
    }

    /// The same under a secret that is drawn now and kept nowhere else: nonces of before a restart
    /// are refused, and clients take a new one.
    ///
    /// # Errors
    ///
    /// `random.unavailable`.
    pub fn generate(server: &str, random: &dyn SecureRandom) -> Result<Self, Error> {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(secret.as_mut_slice()).map_err(Error::Prepare)?;
        Ok(Self::new(server, &secret))
    }

    /// Sets for how long a nonce is taken, in whole seconds.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime.as_secs();
        self
    }

    /// A nonce for the holder of a key.
    #[must_use]
    pub fn issue(&self, key: &Thumbprint, now: UnixTime) -> Nonce {
        let time = now.as_secs().to_be_bytes();
        let tag = self.mac(&time, key).finalize().into_bytes();
        let mut bytes = [0; LEN];
        let (start, rest) = bytes.split_at_mut(time.len());
        start.copy_from_slice(&time);
        rest.copy_from_slice(tag.get(..TAG_LEN).unwrap_or_default());
        Nonce(base64url::encode(&bytes).into())
    }

    /// Whether this server issued the nonce for this key, not too long ago. The age in seconds.
    pub(super) fn check(
        &self,
        nonce: &str,
        key: &Thumbprint,
        skew: Skew,
        now: UnixTime,
    ) -> Result<u64, Error> {
        let other = || Error::Nonce {
            reason: "not issued here for this key",
        };
        if nonce.len() != TEXT_LEN {
            return Err(other());
        }
        let bytes = base64url::decode(nonce).map_err(|_base64| other())?;
        let (time, tag) = bytes.split_first_chunk().ok_or_else(other)?;
        let mac = self.mac(time, key);
        mac.verify_truncated_left(tag).map_err(|_other| other())?;
        let (issued, now) = (u64::from_be_bytes(*time), now.as_secs());
        if skew.is_future(issued, now) {
            return Err(Error::Nonce {
                reason: "issued in the future: the clock went back",
            });
        }
        if now.saturating_sub(issued) > self.lifetime {
            return Err(Error::Nonce {
                reason: "issued too long ago",
            });
        }
        Ok(now.saturating_sub(issued))
    }

    /// Whether a nonce of this age is to be replaced in the next answer.
    pub(super) const fn is_old(&self, age: u64) -> bool {
        age > self.lifetime / 2
    }

    fn mac(&self, time: &[u8; 8], key: &Thumbprint) -> Hmac<Sha256> {
        mac(&self.key, &[time, key.as_bytes()])
    }
}

impl fmt::Debug for NonceIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceIssuer")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// HMAC-SHA-256 over parts, each behind its length.
fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    // A key shorter than a block of the hash is filled up with zeros (RFC 2104 §2).
    let mut block = Zeroizing::new([0; 64]);
    let (start, _) = block.split_at_mut(key.len());
    start.copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in parts {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    mac
}

/// The longest nonce of a foreign server, in bytes.
const MAX_LEN: usize = 1024;
/// The tag's length in bytes.
const TAG_LEN: usize = 16;
/// A nonce of ours in bytes, and its text in characters.
const LEN: usize = 8 + TAG_LEN;
const TEXT_LEN: usize = 32;
