//! Nonces that a server chooses for DPoP proofs (RFC 9449 §8, §9).

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

/// A nonce, as in `DPoP-Nonce`: 1 to 1024 characters (RFC 9449 §8.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nonce(Box<str>);

impl Nonce {
    /// Parses a nonce.
    ///
    /// # Errors
    ///
    /// `dpop.nonce_syntax` if the text is not a valid nonce.
    pub fn parse(text: &str) -> Result<Self, Error> {
        // NQCHAR of RFC 6749 appendix A.
        let is_char = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(is_char) {
            Ok(Self(text.into()))
        } else {
            Err(Error::NonceSyntax)
        }
    }

    /// Reads the nonce of a response with any status. It replaces the earlier nonce of the same
    /// server (RFC 9449 §8.2).
    ///
    /// # Errors
    ///
    /// `dpop.field_repeated` or `dpop.nonce_syntax`.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let repeated = Error::FieldRepeated {
            field: "DPoP-Nonce",
        };
        let value = media::sole(headers, &DPOP_NONCE).or(Err(repeated))?;
        let text = value.map(|it| it.to_str().or(Err(Error::NonceSyntax)));
        text.transpose()?.map(Self::parse).transpose()
    }

    /// Returns the nonce as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the nonce as the value of the header field `DPoP-Nonce`.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        // A nonce has only visible ASCII, so the conversion succeeds.
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// Issues nonces and recognizes them without storing them.
///
/// A nonce has its time and a MAC over the time, the server's name and the thumbprint of the
/// client's key. A nonce of another server or for another key is refused. Several servers with one
/// name share the secret.
///
/// ```
/// use aims_jose::random::SYSTEM;
/// use aims_oauth_wire::dpop::{DpopRules, NonceIssuer};
///
/// let nonces = NonceIssuer::generate("https://tool.example", SYSTEM)?;
/// let rules = DpopRules::new().requiring_nonces(nonces);
/// # drop(rules);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct NonceIssuer {
    key: Zeroizing<[u8; 32]>,
    lifetime: u64,
    /// Whether other servers, with other clocks, may have the secret.
    is_shared: bool,
}

impl NonceIssuer {
    /// Creates an issuer for a server, named for example by its URL, with a secret of the server.
    /// Nonces are valid for 5 minutes.
    #[must_use]
    pub fn new(server: &str, secret: &[u8; 32]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        let parts = [b"aims dpop nonce".as_slice(), server.as_bytes()];
        key.copy_from_slice(&mac(secret, &parts).finalize().into_bytes());
        Self {
            key,
            lifetime: 300,
            is_shared: true,
        }
    }

    /// Creates an issuer with a random secret. After a restart, earlier nonces are refused and
    /// clients use a new one.
    ///
    /// # Errors
    ///
    /// `random.unavailable` if there are no random bits.
    pub fn generate(server: &str, random: &dyn SecureRandom) -> Result<Self, Error> {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(secret.as_mut_slice()).map_err(Error::Prepare)?;
        let mut issuer = Self::new(server, &secret);
        issuer.is_shared = false;
        Ok(issuer)
    }

    /// Sets the lifetime of a nonce, in whole seconds.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime.as_secs();
        self
    }

    /// Returns a nonce for the holder of a key.
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

    /// Checks that this server issued the nonce for this key, and not too long ago. Returns its age
    /// in seconds.
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

    /// Returns by how many seconds the clock that stamped a nonce may be ahead of this one.
    pub(super) const fn most_ahead(&self, skew: Skew) -> u64 {
        if self.is_shared { skew.as_secs() } else { 0 }
    }

    /// Returns whether the next answer should replace a nonce of this age.
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

/// Computes HMAC-SHA-256 over the parts, each preceded by its length.
fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    // A key that is shorter than a block of the hash is padded with zeros (RFC 2104 §2).
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

/// The maximum length of a nonce of another server, in bytes.
const MAX_LEN: usize = 1024;
/// The length of the MAC, in bytes.
const TAG_LEN: usize = 16;
/// The length of our nonces in bytes, and of their text in characters.
const LEN: usize = 8 + TAG_LEN;
const TEXT_LEN: usize = 32;
