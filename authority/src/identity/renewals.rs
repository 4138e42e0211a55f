//! Renewals in the state, so that a second one by the same key is noticed after a restart.

use core::time::Duration;

use aims_jose::jwk::Thumbprint;
use aims_jose::time::{Skew, UnixTime};
use aims_wimse_id::WorkloadId;
use serde::{Deserialize, Serialize};

use super::{IdentityServer, add};
use crate::oauth::store::{self, Next};
use crate::{Error, Kind};

/// The latest renewals of one identifier, oldest first.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Renewals {
    renewals: Vec<Renewal>,
}

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
        let until = add(now, self.ledger.longest_lifetime());
        let state = self.state.as_ref();
        store::change(state, Kind::Renewal, id.as_str(), now, |found| {
            let Renewals { mut renewals } = found.map(|it| it.value).unwrap_or_default();
            renewals.retain(|it: &Renewal| !Skew::MAX.has_ended(it.until, now.as_secs()));
            if let Some(earlier) = renewals.iter().find(|it| it.by == by) {
                let is_other = earlier.successor != successor;
                return Ok(Next::Keep(is_other.then_some(earlier.successor)));
            }
            if renewals.len() >= MOST {
                renewals.remove(0);
            }
            renewals.push(Renewal {
                by,
                successor,
                until: until.as_secs(),
            });
            let kept_until = add(until, Duration::from_secs(60));
            Ok(Next::Store(Renewals { renewals }, kept_until, None))
        })
    }
}

/// Maximum number of noted renewals of one identifier. Beyond it, the oldest one is forgotten.
const MOST: usize = 64;
