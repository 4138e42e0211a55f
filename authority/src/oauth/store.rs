//! Typed entries of the [`State`], and the secrets whose hashes are their keys.

use aims_jose::base64url;
use aims_jose::digest::sha256_base64url;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Change, Entry, Error, Kind, State};

/// An entry that was read, with its version.
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) until: UnixTime,
    version: u64,
}

/// Reads an entry.
pub(crate) fn read<T: DeserializeOwned>(
    state: &dyn State,
    kind: Kind,
    key: &str,
    now: UnixTime,
) -> Result<Option<Read<T>>, Error> {
    let Some(stored) = state.load(kind, key, now)? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&stored.entry.value).map_err(Error::unavailable)?;
    Ok(Some(Read {
        value,
        until: stored.entry.until,
        version: stored.version,
    }))
}

/// Stores a new entry. Returns `false` if the key is taken.
pub(crate) fn insert<T: Serialize>(
    state: &dyn State,
    kind: Kind,
    key: &str,
    value: &T,
    until: UnixTime,
    now: UnixTime,
) -> Result<bool, Error> {
    let entry = Entry::new(serialized(value)?, until);
    state.swap(kind, key, Change::Insert(&entry), now)
}

impl<T> Read<T> {
    /// Replaces the entry that was read. Returns `false` if it changed in between.
    pub(crate) fn replace<U: Serialize>(
        &self,
        state: &dyn State,
        kind: Kind,
        key: &str,
        value: &U,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<bool, Error> {
        let entry = Entry::new(serialized(value)?, until);
        state.swap(kind, key, Change::Replace(self.version, &entry), now)
    }

    /// Removes the entry that was read. Returns `false` if it changed in between.
    pub(crate) fn remove(
        &self,
        state: &dyn State,
        kind: Kind,
        key: &str,
        now: UnixTime,
    ) -> Result<bool, Error> {
        state.swap(kind, key, Change::Remove(self.version), now)
    }
}

fn serialized<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(Error::unavailable)
}

/// Returns a new secret of 256 random bits, as 43 characters of base64url.
pub(crate) fn secret(random: &dyn SecureRandom) -> Result<SecretText, Error> {
    let mut bytes = [0_u8; 32];
    random.fill(&mut bytes).map_err(Error::unavailable)?;
    Ok(SecretText::new(base64url::encode(&bytes)))
}

/// Returns the key of a secret: its SHA-256 in base64url.
pub(crate) fn key_of(secret: &str) -> String {
    sha256_base64url(secret)
}

/// Returns whether a text has the form of a secret of this server.
pub(crate) fn is_secret(text: &str) -> bool {
    text.len() == 43 && base64url::decode(text).is_ok()
}
