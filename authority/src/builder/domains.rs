//! Settings about grants of other domains, and for them.

use super::Builder;
use crate::{IncomingGrants, OutgoingGrants};

impl Builder {
    /// Accepts authorization grants of another issuer for access tokens (RFC 7523 §2.1), by these
    /// rules.
    pub fn incoming_grants(mut self, rules: IncomingGrants) -> Self {
        self.domains.incoming.push(rules);
        self
    }

    /// Issues authorization grants for another authorization server by token exchange (RFC 8693),
    /// by these rules.
    pub fn outgoing_grants(mut self, rules: OutgoingGrants) -> Self {
        self.domains.outgoing.push(rules);
        self
    }
}
