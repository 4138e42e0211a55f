//! Backchannel authentication (OpenID CIBA Core 1.0).

use std::sync::Arc;

use aims_fetch::Fetch;
use aims_jose::random::SecureRandom;

use super::Builder;
use crate::oauth::backchannel::BackchannelService;
use crate::{Error, FindApprover};

/// The users that can approve requests, and the client that sends pings.
#[derive(Debug, Default)]
pub(super) struct BackchannelSettings {
    approvers: Option<Arc<dyn FindApprover>>,
    pings: Option<Arc<dyn Fetch>>,
}

impl BackchannelSettings {
    pub(super) const fn is_on(&self) -> bool {
        self.approvers.is_some()
    }

    /// Returns the parts of the server for approvals, if they are on.
    pub(super) fn service(
        self,
        random: &dyn SecureRandom,
    ) -> Result<Option<BackchannelService>, Error> {
        let Some(approvers) = self.approvers else {
            return Ok(None);
        };
        BackchannelService::new(approvers, self.pings, random).map(Some)
    }
}

impl Builder {
    /// Lets clients ask users for approval on the users' own devices (OpenID CIBA Core 1.0): those
    /// that [poll](crate::Client::backchannel_poll) and those that get a
    /// [ping](crate::Client::backchannel_ping). Off by default. Without
    /// [`users`](Self::users), [`build`](Self::build) refuses it (`authority.incomplete`).
    ///
    /// Each user decides at `/approvals`, which shows the requests that wait for this user.
    pub fn backchannel(mut self, approvers: Arc<dyn FindApprover>) -> Self {
        self.backchannel.approvers = Some(approvers);
        self
    }

    /// Sets the client that sends pings (OpenID CIBA Core 1.0 §10.2) for [`router`]. It must not
    /// follow redirects. A `Fetcher` of `aims-fetch` does not.
    ///
    /// Without it, the program sends what [`Authority::take_ping`](crate::Authority::take_ping)
    /// returns. A client that gets no ping polls.
    ///
    /// [`router`]: crate::Authority::router
    pub fn backchannel_pings(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.backchannel.pings = Some(fetch);
        self
    }
}
