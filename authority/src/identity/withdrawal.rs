//! Withdrawals in the state, by which another process than the server ends an identity.

use core::time::Duration;

use aims_jose::time::{Skew, UnixTime};
use aims_wimse_id::WorkloadId;
use serde::{Deserialize, Serialize};

use super::{IdentityServer, add};
use crate::oauth::store::{self, Next};
use crate::{Change, Entry, Error, Kind, State};

/// How long a withdrawal lasts: a century. [`IdentityServer::reinstate_in`] ends it.
const LASTING: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// The entry of a withdrawn identifier: it is there.
#[derive(Deserialize, Serialize)]
struct Withdrawal {}

impl IdentityServer {
    /// Withdraws an identifier in a state that authorities share, such as a
    /// [file](crate::Builder::state). It takes effect at the next request of the agent, also in
    /// processes that run already, and stays over restarts.
    ///
    /// No credential is issued or renewed for the identifier, the authorization server refuses it
    /// as a client, and its access tokens are inactive. Credentials stay valid until they expire.
    /// Returns `false` if it was withdrawn before.
    ///
    /// # Errors
    ///
    /// `authority.state_full`, `authority.unavailable`.
    pub fn withdraw_in(state: &dyn State, id: &WorkloadId, now: UnixTime) -> Result<bool, Error> {
        let entry = Entry::new(b"{}".to_vec(), add(now, LASTING));
        state.swap(Kind::Withdrawn, id.as_str(), Change::Insert(&entry), now)
    }

    /// Ends a withdrawal in a state. The identifier must still be declared. Returns `false` if it
    /// was not withdrawn.
    ///
    /// # Errors
    ///
    /// `authority.unavailable`.
    pub fn reinstate_in(state: &dyn State, id: &WorkloadId, now: UnixTime) -> Result<bool, Error> {
        store::change::<Withdrawal, _>(state, Kind::Withdrawn, id.as_str(), now, |found| {
            Ok(Next::Remove(found.is_some()))
        })
    }

    /// Stores a withdrawal until the last credential of the identifier has ended, unless the state
    /// has a longer one.
    pub(super) fn keep_withdrawal(
        &self,
        id: &WorkloadId,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), Error> {
        let until = add(until, Duration::from_secs(Skew::MAX.as_secs()));
        let state = self.state.as_ref();
        store::change(state, Kind::Withdrawn, id.as_str(), now, |found| {
            Ok(match found {
                Some(found) if found.until >= until => Next::Keep(()),
                _ => Next::Store(Withdrawal {}, until, ()),
            })
        })
    }

    /// Returns whether an identifier was withdrawn, here or in the state.
    ///
    /// # Errors
    ///
    /// `authority.unavailable`; the caller refuses the request.
    pub(crate) fn is_withdrawn_at(&self, id: &WorkloadId, now: UnixTime) -> Result<bool, Error> {
        let stored = self.state.load(Kind::Withdrawn, id.as_str(), now)?;
        Ok(stored.is_some() || self.is_withdrawn(id))
    }

    /// Refuses an identifier that was withdrawn.
    pub(super) fn check_not_withdrawn(&self, id: &WorkloadId, now: UnixTime) -> Result<(), Error> {
        if self.is_withdrawn_at(id, now)? {
            return Err(Error::Withdrawn);
        }
        Ok(())
    }
}
