//! Seals what a store keeps, with the key of a key file.

use std::fmt;

use aims_jose::base64url;
use aims_jose::random::{self, SecureRandom};
use aims_jose::secret::SecretText;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::Error;

const NONCE: usize = 24;
/// The length of a key, in bytes.
const KEY: usize = 32;

/// The key that seals the values of a store (XChaCha20-Poly1305). Needs the feature `seal`.
///
/// Each value is bound to its place, so that a sealed value that was moved to another place is
/// refused. An attacker who can write to the store can put an older value of the same place back.
///
/// ```
/// use aims_jose::secret::SecretText;
/// use aims_oauth_client::{Error, SealingKey};
///
/// let key = SealingKey::from_text(&SealingKey::generate()?)?;
/// let sealed = key.seal(b"place", &SecretText::new("token"))?;
/// assert!(key.open(b"place", &sealed)? == "token");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct SealingKey {
    cipher: XChaCha20Poly1305,
    random: &'static dyn SecureRandom,
}

impl SealingKey {
    /// Returns the text of a new random key, for a keyring or another place for secrets.
    ///
    /// # Errors
    ///
    /// An error if the system gives no random bytes.
    pub fn generate() -> Result<SecretText, Error> {
        let mut key = Zeroizing::new([0; KEY]);
        random::SYSTEM
            .fill(key.as_mut_slice())
            .map_err(Error::Random)?;
        Ok(SecretText::new(base64url::encode(key.as_slice())))
    }

    /// Reads the text of a key: 32 bytes in base64url.
    ///
    /// # Errors
    ///
    /// `store.content` if it is not the text of a key.
    pub fn from_text(text: &SecretText) -> Result<Self, Error> {
        let key = base64url::decode(text.expose().trim()).or(Err(Error::StoreContent))?;
        let key = Zeroizing::new(key);
        let cipher = XChaCha20Poly1305::new_from_slice(&key).or(Err(Error::StoreContent))?;
        Ok(Self {
            cipher,
            random: random::SYSTEM,
        })
    }

    /// Seals a text for this place.
    ///
    /// # Errors
    ///
    /// An error if the system gives no random bytes.
    pub fn seal(&self, place: &[u8], text: &SecretText) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE];
        self.random.fill(&mut nonce).map_err(Error::Random)?;
        let payload = of_place(place, text.expose().as_bytes());
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.or(Err(Error::StoreContent))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what [`seal`](Self::seal) sealed for this place.
    ///
    /// # Errors
    ///
    /// `store.content` if it was sealed with another key or for another place, or was changed.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<SecretText, Error> {
        let (nonce, text) = sealed.split_at_checked(NONCE).ok_or(Error::StoreContent)?;
        let nonce = XNonce::try_from(nonce).or(Err(Error::StoreContent))?;
        let opened = self.cipher.decrypt(&nonce, of_place(place, text));
        let opened = Zeroizing::new(opened.or(Err(Error::StoreContent))?);
        let text = core::str::from_utf8(&opened).or(Err(Error::StoreContent))?;
        Ok(SecretText::new(text))
    }
}

/// Returns a text that is bound to its place.
const fn of_place<'a>(place: &'a [u8], msg: &'a [u8]) -> Payload<'a, 'a> {
    Payload { msg, aad: place }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sealed value is of no use in another place.
    #[test]
    fn a_value_is_bound_to_its_place() {
        let key = SealingKey::from_text(&SealingKey::generate().unwrap()).unwrap();
        let sealed = key.seal(b"alice", &SecretText::new("token")).unwrap();
        assert!(key.open(b"alice", &sealed).unwrap() == "token");
        let moved = key.open(b"mallory", &sealed).unwrap_err();
        assert_eq!(moved.code(), "store.content");
    }
}
