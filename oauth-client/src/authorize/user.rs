//! One authorization request from its start to the code.

use std::sync::Arc;

use aims_fetch::Fetch;
use aims_jose::random::SecureRandom;
use aims_jose::time::Clock;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;

use super::{AuthorizationCode, AuthorizationRequest, Authorizing, Receiving};
use crate::step::drive;
use crate::{DpopKey, Error, Progress};

/// The client at the server whose user is asked.
pub(crate) struct Asking<'a> {
    pub(crate) client: Arc<dyn Authenticate>,
    pub(crate) server: Arc<ServerMetadata>,
    pub(crate) key: Option<&'a DpopKey>,
    pub(crate) random: &'static dyn SecureRandom,
    pub(crate) http: &'a dyn Fetch,
    pub(crate) clock: &'a dyn Clock,
    /// The code of the call that the user is asked to approve.
    pub(crate) code: Option<&'a str>,
}

impl Asking<'_> {
    /// Pushes the request if the server accepts that, sends the user to the server, and reads the
    /// answer of the browser.
    pub(crate) async fn ask(
        self,
        request: AuthorizationRequest,
        receiving: Box<dyn Receiving>,
        tell: impl Fn(&Progress<'_>) + Send,
    ) -> Result<AuthorizationCode, Error> {
        let server = Arc::clone(&self.server);
        let mut authorizing = self.begin(request.clone()).await?;
        let is_over = |it: &Authorizing| it.expires().is_some_and(|end| end <= self.clock.now());
        if is_over(&authorizing) {
            // The answer to the push was late. The browser must not open what has ended.
            authorizing = self.begin(request).await?;
        }
        tell(&Progress::WaitingForBrowser {
            issuer: server.issuer(),
            url: authorizing.url(),
            code: self.code,
        });
        let query = receiving.receive(&authorizing).await?;
        authorizing.finish(&query)
    }

    async fn begin(&self, request: AuthorizationRequest) -> Result<Authorizing, Error> {
        let (client, server) = (Arc::clone(&self.client), Arc::clone(&self.server));
        let now = self.clock.now();
        let first = request.begin(client, server, self.key, self.random, now)?;
        drive(first, self.http, self.clock).await
    }
}
