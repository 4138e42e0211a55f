//! A tool with its list of revocations.

use std::sync::Arc;

use aims::Guard;
use aims::oauth_rs::{AccessToken, AccessTokenRules};
use aims::revoked::RevocationList;

use crate::common::{Agent, NOW, TOOL, Then, World, at, told};

pub(crate) const AGENT: &str = "spiffe://example.org/agent";

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) me: Agent,
    pub(crate) list: Arc<RevocationList>,
    pub(crate) guard: Guard,
}

impl Scene {
    pub(crate) fn new(capacity: usize) -> Self {
        let world = World::new();
        let list = Arc::new(RevocationList::new(capacity).with_clock(Then));
        let guard = world.guard().issuers(Arc::clone(&world.issuers));
        let guard = guard.revoked(Arc::clone(&list)).build().unwrap();
        let me = world.agent(AGENT);
        Self {
            world,
            me,
            list,
            guard,
        }
    }

    pub(crate) fn token(&self) -> String {
        self.world.token(&World::claims(&self.me))
    }

    pub(crate) fn verified(&self, token: &str) -> AccessToken {
        let issuers = self.world.issuers.snapshot();
        AccessToken::verify(token, &issuers, &AccessTokenRules::new(TOOL), at(NOW)).unwrap()
    }

    /// Returns the guard's code for a token that it may have cached.
    pub(crate) fn code(&self, token: &str) -> &'static str {
        told(self.guard.check(&self.me.call_with(token), at(NOW))).0
    }
}
