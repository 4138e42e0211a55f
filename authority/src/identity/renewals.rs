//! Renewals in the state, so that a second one by the same key is noticed after a restart.

use core::time::Duration;

use aims_jose::jwk::Thumbprint;
use aims_jose::time::{Skew, UnixTime};
use aims_wimse_id::WorkloadId;
use serde::{Deserialize, Serialize};

use super::{IdentityServer, add};
use crate::{Change, Entry, Error, Kind};

/// The renewals of one identifier, the last ones first to last.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Renewals(Vec<Renewal>);

#[derive(Debug, Deserialize, Serialize)]
struct Renewal {
    /// The key that renewed.
    by: Thumbprint,
    /// The key that it renewed for first.
    successor: Thumbprint,
    /// The last second at which a WIT of the first key may be valid.
    until: u64,
}

impl IdentityServer {
    /// Notes a renewal by one key for another one. Returns the key of an earlier renewal by the
    /// same key, if it was another one.
    ///
    /// # Errors
    ///
    /// `authority.unavailable`; the caller refuses the renewal.
    pub(super) fn note_renewal(
        &self,
        id: &WorkloadId,
        by: Thumbprint,
        successor: Thumbprint,
        now: UnixTime,
    ) -> Result<Option<Thumbprint>, Error> {
        if by == successor {
            return Ok(None);
        }
        for _ in 0..TRIES {
            let found = self.state.load(Kind::Renewal, id.as_str(), now)?;
            let mut renewals = match &found {
                Some(found) => aims_jose::json::from_object(&found.entry.value)
                    .map(|Stored { renewals }| renewals)
                    .map_err(Error::unavailable)?,
                None => Renewals::default(),
            };
            let is_over = |it: &Renewal| Skew::MAX.has_ended(it.until, now.as_secs());
            renewals.0.retain(|it| !is_over(it));
            if let Some(earlier) = renewals.0.iter().find(|it| it.by == by) {
                let is_other = earlier.successor != successor;
                return Ok(is_other.then_some(earlier.successor));
            }
            if renewals.0.len() >= MOST {
                renewals.0.remove(0);
            }
            let longest = self.ledger.longest_lifetime();
            let until = add(now, longest);
            renewals.0.push(Renewal {
                by,
                successor,
                until: until.as_secs(),
            });
            let value = serde_json::to_vec(&Stored { renewals }).map_err(Error::unavailable)?;
            let entry = Entry::new(value, add(until, Duration::from_secs(60)));
            let change = match &found {
                Some(found) => Change::Replace(found.version, &entry),
                None => Change::Insert(&entry),
            };
            if self.state.swap(Kind::Renewal, id.as_str(), change, now)? {
                return Ok(None);
            }
        }
        Err(Error::unavailable("other renewals came in between"))
    }
}

#[derive(Deserialize, Serialize)]
struct Stored {
    renewals: Renewals,
}

/// Maximum number of noted renewals of one identifier. Beyond it, the oldest one is forgotten.
const MOST: usize = 64;
/// How often a change is tried again after another request came in between.
const TRIES: usize = 16;
