//! Opaque access tokens: random texts whose claims stay at the server.

use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;

use super::store::{is_secret, key_of, secret};
use crate::{Change, Entry, Error, Kind, State};

/// Returns whether a text has the form of an opaque access token. A JWT has dots.
pub(crate) fn is_opaque(text: &str) -> bool {
    is_secret(text)
}

/// Issues an opaque token with these claims. The state has the hash of the token alone.
pub(crate) fn issue(
    state: &dyn State,
    random: &dyn SecureRandom,
    claims: Vec<u8>,
    until: UnixTime,
    now: UnixTime,
) -> Result<SecretText, Error> {
    let token = secret(random)?;
    let key = key_of(token.expose());
    let entry = Entry::new(claims, until);
    if state.swap(Kind::AccessToken, &key, Change::Insert(&entry), now)? {
        Ok(token)
    } else {
        Err(Error::unavailable("a random number came twice"))
    }
}

/// Returns the claims of an opaque token, unless it has expired or was revoked.
pub(crate) fn claims(
    state: &dyn State,
    text: &str,
    now: UnixTime,
) -> Result<Option<Vec<u8>>, Error> {
    let stored = state.load(Kind::AccessToken, &key_of(text), now)?;
    Ok(stored.map(|stored| stored.entry.value))
}

/// Removes an opaque token.
pub(crate) fn remove(state: &dyn State, text: &str, now: UnixTime) -> Result<(), Error> {
    let key = key_of(text);
    if let Some(stored) = state.load(Kind::AccessToken, &key, now)? {
        // An entry never changes, so another request can only have removed it as well.
        state.swap(Kind::AccessToken, &key, Change::Remove(stored.version), now)?;
    }
    Ok(())
}
