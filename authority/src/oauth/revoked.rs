//! Revoked subjects: the end of everything that was issued for a subject up to a moment.

use core::iter::successors;
use core::time::Duration;

use aims_jose::time::UnixTime;
use aims_oauth_wire::delegate::MAX_ACTORS;
use aims_wimse_id::WorkloadId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AuthorizationServer;
use super::store::{self, Next, Read, key_of};
use crate::identity::add;
use crate::{Error, Kind, State};

/// Maximum lifetime of a grant, and of a token: 366 days.
pub(crate) const LONGEST_GRANT: Duration = Duration::from_secs(366 * DAY);
/// How long a revocation is kept: a day longer than anything that was issued before it.
pub(super) const LASTING: Duration = Duration::from_secs(367 * DAY);
const DAY: u64 = 24 * 3_600;

/// The entry of a revoked subject.
#[derive(Deserialize, Serialize)]
struct Revoked {
    /// The last second whose tokens and grants are revoked.
    at: u64,
}

impl AuthorizationServer {
    /// Revokes everything that was issued for a subject up to and including this second, in a state
    /// that authorities share. The subject is a user (`sub`), a client (`client_id`) or an actor.
    ///
    /// It takes effect at the next request, also in processes that run already, and stays over
    /// restarts, for 367 days: longer than anything that was issued before it. Codes and refresh
    /// tokens are refused. Access tokens are inactive. No access token and no transaction token is
    /// exchanged whose subject, client or chain of actors names the subject. What is issued later
    /// is not affected: a user can sign in again. To lock a workload out, withdraw its identity by
    /// [`IdentityServer::withdraw_in`](crate::IdentityServer::withdraw_in).
    ///
    /// A resource server that verifies JWTs by itself accepts them until they expire.
    ///
    /// ```
    /// use aims_authority::{AuthorizationServer, MemoryState};
    /// use aims_jose::time::UnixTime;
    ///
    /// let state = MemoryState::new();
    /// AuthorizationServer::revoke_subject_in(&state, "alice", UnixTime::now())?;
    /// # Ok::<(), aims_authority::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `authority.state_full` and `authority.unavailable`, with which nothing is revoked.
    pub fn revoke_subject_in(state: &dyn State, subject: &str, now: UnixTime) -> Result<(), Error> {
        let (key, until) = (key_of(subject), add(now, LASTING));
        store::change(state, Kind::RevokedSubject, &key, now, |found| {
            let earlier = found.map_or(0, |it: Read<Revoked>| it.value.at);
            let at = earlier.max(now.as_secs());
            Ok(Next::Store(Revoked { at }, until, ()))
        })?;
        tracing::info!(?subject, "revoked a subject");
        Ok(())
    }

    /// Returns whether one of these parties, or of the actors, was revoked at `issued` or later, or
    /// is a workload of this server whose identity was withdrawn.
    pub(super) fn is_any_revoked(
        &self,
        parties: [&str; 2],
        act: Option<&Value>,
        issued: u64,
        now: UnixTime,
    ) -> Result<bool, Error> {
        let state = self.state.as_ref();
        let chain = successors(act, |it| it.get("act"));
        let actors = chain
            .filter_map(|it| it.get("sub"))
            .filter_map(Value::as_str);
        for party in parties.into_iter().chain(actors.take(MAX_ACTORS)) {
            let key = key_of(party);
            let found = store::read::<Revoked>(state, Kind::RevokedSubject, &key, now)?;
            if found.is_some_and(|it| it.value.at >= issued) || self.is_withdrawn(party, now)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_withdrawn(&self, party: &str, now: UnixTime) -> Result<bool, Error> {
        match WorkloadId::parse(party) {
            Ok(id) => self.identity.is_withdrawn_at(&id, now),
            Err(_other_party) => Ok(false),
        }
    }
}
