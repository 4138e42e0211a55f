//! The parts of each way to ask a person: the server, the client, and the rules of the token.

use std::sync::Arc;

use aims_fetch::Fetch;
use aims_jose::time::{Clock, SystemClock};
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;

use super::granted::ForCall;
use crate::step::drive;
use crate::{DpopKey, Error, Grant, Progress, Token, TokenFlow, TokenRules};

type Tell = dyn Fn(&Progress<'_>) + Send + Sync;

/// The client at the server that asks.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) client: Arc<dyn Authenticate>,
    pub(super) server: Arc<ServerMetadata>,
    pub(super) http: Arc<dyn Fetch>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) scopes: ScopeSet,
    pub(super) dpop: Option<DpopKey>,
    pub(super) rules: TokenRules,
    pub(super) tell: Option<Arc<Tell>>,
}

impl Asker {
    pub(super) fn new(
        client: impl Authenticate + 'static,
        server: impl Into<Arc<ServerMetadata>>,
        http: impl Fetch + 'static,
    ) -> Self {
        Self {
            client: Arc::new(client),
            server: server.into(),
            http: Arc::new(http),
            clock: Arc::new(SystemClock::new()),
            scopes: ScopeSet::new(),
            dpop: None,
            rules: TokenRules::new(),
            tell: None,
        }
    }

    pub(super) fn tell(&self, progress: &Progress<'_>) {
        if let Some(tell) = &self.tell {
            tell(progress);
        }
    }

    /// Checks what is known before the person is asked.
    pub(super) fn expect_supported(&self) -> Result<(), Error> {
        match &self.dpop {
            Some(key) => key.expect_known_to(&self.server),
            None => Ok(()),
        }
    }

    /// Presents the grant of the person. The token must be for this call.
    pub(super) async fn redeem(
        &self,
        grant: impl Grant + 'static,
        call: &ToolCall,
    ) -> Result<Token, Error> {
        let call = call.clone();
        let grant = Arc::new(ForCall { grant, call });
        let (client, server) = (Arc::clone(&self.client), Arc::clone(&self.server));
        let (rules, now) = (self.rules.clone(), self.clock.now());
        let first = match self.dpop.clone() {
            Some(key) => TokenFlow::begin_bound(grant, client, server, rules, key, now)?,
            None => TokenFlow::begin(grant, client, server, rules, now)?,
        };
        let token = drive(first, &*self.http, &*self.clock).await?;
        self.tell(&Progress::Connected(self.server.issuer()));
        Ok(token)
    }
}
