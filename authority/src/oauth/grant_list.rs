//! The live grants of each user. Their number is limited, so that one user leaves room for others.

use aims_jose::time::{UnixTime, at};
use serde::{Deserialize, Serialize};

use super::AuthorizationServer;
use super::family::{Grant, GrantEntry};
use super::store::{self, Next, key_of};
use crate::{Error, Kind};

/// Maximum number of live grants that one user gives one client.
const MOST_OF_CLIENT: usize = 32;
/// Maximum number of live grants of one user.
const MOST: usize = 128;

/// One grant in the list of its user.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Line {
    id: String,
    /// The hash of its `client_id`.
    client: String,
    /// The last second of the grant.
    end: u64,
}

impl AuthorizationServer {
    /// Adds a new grant to the list of its user. Beyond the maximum, the oldest grant ends: that of
    /// the same client, if the client has its maximum.
    pub(super) fn list_grant(&self, id: &str, grant: &Grant, now: UnixTime) -> Result<(), Error> {
        let (state, key) = (self.state.as_ref(), key_of(&grant.subject));
        let client = key_of(&grant.client_id);
        let is_own = |it: &Line| it.client == client;
        let ended = store::change(state, Kind::GrantList, &key, now, |found| {
            let mut lines: Vec<Line> = found.map(|it| it.value).unwrap_or_default();
            lines.retain(|it| now.as_secs() <= it.end);
            let is_full = |lines: &[Line]| {
                lines.len() >= MOST
                    || lines.iter().filter(|it| is_own(it)).count() >= MOST_OF_CLIENT
            };
            if is_full(&lines) {
                lines = self.live(lines, now)?;
            }
            let ended = is_full(&lines).then(|| {
                let own = lines.iter().filter(|it| is_own(it)).count();
                let oldest = lines.iter().position(is_own);
                let oldest = oldest.filter(|_| own >= MOST_OF_CLIENT).unwrap_or(0);
                lines.remove(oldest)
            });
            lines.push(Line {
                id: id.to_owned(),
                client: client.clone(),
                end: grant.end,
            });
            let until = at(lines.iter().map(|it| it.end).max().unwrap_or(grant.end));
            Ok(Next::Store(lines, until, ended))
        })?;
        ended.map_or(Ok(()), |it| self.revoke_grant(&it.id, now))
    }

    /// Returns the lines whose grants were neither revoked nor left unused.
    fn live(&self, lines: Vec<Line>, now: UnixTime) -> Result<Vec<Line>, Error> {
        let mut live = Vec::with_capacity(lines.len());
        for line in lines {
            let found = store::read::<GrantEntry>(self.state.as_ref(), Kind::Grant, &line.id, now)?;
            if found.is_some_and(|it| matches!(it.value, GrantEntry::Live(_))) {
                live.push(line);
            }
        }
        Ok(live)
    }
}
