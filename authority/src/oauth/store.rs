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

/// How often a change is tried again after another one came in between.
pub(crate) const TRIES: usize = 64;

/// The decision of a change about an entry, with its result.
pub(crate) enum Next<T, R> {
    /// The entry stays as it is.
    Keep(R),
    /// The entry has this value, until then.
    Store(T, UnixTime, R),
    /// There is no entry.
    Remove(R),
}

/// Changes an entry that others may change at the same time. If another change comes in between,
/// `next` is called again with its outcome.
///
/// # Errors
///
/// Those of `next`, and `authority.unavailable` if other changes come in between too often.
pub(crate) fn change<T: DeserializeOwned + Serialize, R>(
    state: &dyn State,
    kind: Kind,
    key: &str,
    now: UnixTime,
    mut next: impl FnMut(Option<Read<T>>) -> Result<Next<T, R>, Error>,
) -> Result<R, Error> {
    for _ in 0..TRIES {
        let found = read::<T>(state, kind, key, now)?;
        let version = found.as_ref().map(|it| it.version);
        let entry;
        let (change, result) = match (next(found)?, version) {
            (Next::Keep(result), _) | (Next::Remove(result), None) => return Ok(result),
            (Next::Remove(result), Some(version)) => (Change::Remove(version), result),
            (Next::Store(value, until, result), version) => {
                entry = Entry::new(serialized(&value)?, until);
                let change = match version {
                    Some(version) => Change::Replace(version, &entry),
                    None => Change::Insert(&entry),
                };
                (change, result)
            }
        };
        if state.swap(kind, key, change, now)? {
            return Ok(result);
        }
    }
    Err(Error::unavailable("an entry changes too often"))
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
