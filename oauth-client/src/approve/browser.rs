//! Approvals in a browser of the person.

use std::fmt;
use std::sync::Arc;

use aims_fetch::Fetch;
use aims_jose::random;
use aims_jose::time::Clock;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;

use super::asker::Asker;
use super::{ApprovalRequest, Approve, ApproveFuture};
use crate::authorize::Asking;
use crate::{AuthorizationRequest, DpopKey, Error, Progress, Receive, Token, TokenRules};

type Adjust = dyn Fn(AuthorizationRequest) -> AuthorizationRequest + Send + Sync;

/// Asks a person in a browser, by an authorization request for the one call (RFC 6749 §4.1, RFC
/// 9396).
///
/// The consent page of the server shows the tool, each argument and the code of the call. Use it
/// where the person sits at this machine, or where the server does not support
/// [backchannel authentication](super::ByBackchannel).
///
/// The request has `prompt=consent`, so that a server which remembers consent asks nevertheless.
/// The token is not kept, and a refresh token is dropped.
///
/// ```
/// use aims_fetch::Fetch;
/// use aims_oauth_client::{ByBrowser, Loopback, Progress};
/// use aims_oauth_wire::client_auth::Authenticate;
/// use aims_oauth_wire::metadata::ServerMetadata;
///
/// fn approval(
///     client: impl Authenticate + 'static,
///     server: ServerMetadata,
///     http: impl Fetch + 'static,
/// ) -> ByBrowser {
///     let browser = Loopback::new(|url| Ok(println!("open {url}")));
///     ByBrowser::new(client, server, http, browser).on_progress(|progress| {
///         if let Progress::WaitingForBrowser { code: Some(code), .. } = progress {
///             println!("the page must show the code {code}");
///         }
///     })
/// }
/// ```
#[derive(Clone)]
#[must_use = "give it to an agent, or call `approve`"]
pub struct ByBrowser {
    asker: Asker,
    receive: Arc<dyn Receive>,
    adjust: Option<Arc<Adjust>>,
}

impl ByBrowser {
    /// Creates the approval by the person who uses the browser of this receiver, such as
    /// [`Loopback`](crate::Loopback).
    pub fn new(
        client: impl Authenticate + 'static,
        server: impl Into<Arc<ServerMetadata>>,
        http: impl Fetch + 'static,
        receive: impl Receive + 'static,
    ) -> Self {
        Self {
            asker: Asker::new(client, server, http),
            receive: Arc::new(receive),
            adjust: None,
        }
    }

    /// Asks for these scopes beside those that the tool [requires](ApprovalRequest::requiring).
    /// Defaults to none.
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.asker.scopes = scopes;
        self
    }

    /// Binds the code and the token to this key by DPoP (RFC 9449 §5, §10). A token that is not
    /// bound is refused, unless the [rules](Self::with_rules) accept it.
    pub fn with_dpop(mut self, key: DpopKey) -> Self {
        self.asker.dpop = Some(key);
        self
    }

    /// Changes each authorization request, for example adds a login hint, signs it, or requires a
    /// login of a certain class. What it sets counts, whatever the tool demands.
    ///
    /// ```
    /// # fn example(approval: aims_oauth_client::ByBrowser) -> aims_oauth_client::ByBrowser {
    /// approval.with_request(|request| request.login_hint("alice@example.org").acr_values("mfa"))
    /// # }
    /// ```
    pub fn with_request(
        mut self,
        adjust: impl Fn(AuthorizationRequest) -> AuthorizationRequest + Send + Sync + 'static,
    ) -> Self {
        self.adjust = Some(Arc::new(adjust));
        self
    }

    /// Sets which deviations of the server are accepted.
    pub fn with_rules(mut self, rules: TokenRules) -> Self {
        self.asker.rules = rules;
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.asker.clock = Arc::new(clock);
        self
    }

    /// Sets a function that receives each event. Show the code of [`Progress::WaitingForBrowser`].
    pub fn on_progress(mut self, tell: impl Fn(&Progress<'_>) + Send + Sync + 'static) -> Self {
        self.asker.tell = Some(Arc::new(tell));
        self
    }

    async fn ask(&self, asked: &ApprovalRequest) -> Result<Token, Error> {
        let asker = &self.asker;
        asker.expect_supported()?;
        let target = asked.target(asked.scopes(&asker.scopes)?)?;
        let code = asked.call().digest().short_code();
        let receiving = self.receive.begin().await?;
        let mut request = AuthorizationRequest::new(receiving.redirect_uri().clone(), target);
        request = request.with_rules(asker.rules.clone()).prompt("consent");
        if let Some(classes) = asked.accepted_acr() {
            request = request.acr_values(classes);
        }
        if let Some(age) = asked.login().greatest_age() {
            request = request.max_age(age);
        }
        if let Some(adjust) = &self.adjust {
            request = adjust(request);
        }
        let asking = Asking {
            client: Arc::clone(&asker.client),
            server: Arc::clone(&asker.server),
            key: asker.dpop.as_ref(),
            random: random::SYSTEM,
            http: &*asker.http,
            clock: &*asker.clock,
            code: Some(&code),
        };
        let tell = |progress: &Progress<'_>| asker.tell(progress);
        let grant = asking.ask(request, receiving, tell).await?;
        asker.redeem(grant, asked.call()).await
    }
}

impl Approve for ByBrowser {
    fn approve<'a>(&'a self, request: &'a ApprovalRequest) -> ApproveFuture<'a> {
        Box::pin(self.ask(request))
    }
}

impl fmt::Debug for ByBrowser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByBrowser")
            .field("issuer", self.asker.server.issuer())
            .field("client", &self.asker.client)
            .field("receive", &self.receive)
            .finish_non_exhaustive()
    }
}
