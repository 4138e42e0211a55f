//! Approvals on the person's own device.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::Fetch;
use aims_jose::key::AnySigner;
use aims_jose::secret::SecretText;
use aims_jose::time::{self, Clock};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;

use super::asker::Asker;
use super::{ApprovalRequest, Approve, ApproveFuture};
use crate::step::drive;
use crate::{
    BackchannelRequest, DpopKey, Error, Pings, Progress, ReceiveFuture, Token, TokenRules, UserHint,
};

/// Asks a person on the person's own device, by backchannel authentication (OpenID CIBA Core 1.0).
///
/// The server shows the tool and each argument. The binding message is the code of the call, which
/// [`on_progress`](Self::on_progress) shows here as well.
///
/// ```
/// use aims_fetch::Fetch;
/// use aims_oauth_client::{ByBackchannel, Progress};
/// use aims_oauth_wire::client_auth::Authenticate;
/// use aims_oauth_wire::metadata::ServerMetadata;
///
/// fn approval(
///     client: impl Authenticate + 'static,
///     server: ServerMetadata,
///     http: impl Fetch + 'static,
/// ) -> ByBackchannel {
///     ByBackchannel::new(client, server, http, "alice@example.org").on_progress(|progress| {
///         if let Progress::WaitingForApproval { code, .. } = progress {
///             println!("approve {code} on your phone");
///         }
///     })
/// }
/// ```
#[derive(Clone)]
#[must_use = "give it to an agent, or call `approve`"]
pub struct ByBackchannel {
    asker: Asker,
    hint: UserHint,
    user_code: Option<Arc<AskCode>>,
    patience: Option<Duration>,
    acr_values: Option<SecretText>,
    expiry: Option<Duration>,
    signer: Option<AnySigner>,
    pings: Option<Pings>,
}

type AskCode = dyn Fn() -> ReceiveFuture<'static, SecretText> + Send + Sync;

/// How long a ping is awaited before the server is polled anyway.
const MAX_UNPINGED: Duration = Duration::from_secs(30);

impl ByBackchannel {
    /// Creates the approval by the person of this hint at the server, such as a `login_hint`.
    pub fn new(
        client: impl Authenticate + 'static,
        server: impl Into<Arc<ServerMetadata>>,
        http: impl Fetch + 'static,
        hint: impl Into<UserHint>,
    ) -> Self {
        Self {
            asker: Asker::new(client, server, http),
            hint: hint.into(),
            user_code: None,
            patience: None,
            acr_values: None,
            expiry: None,
            signer: None,
            pings: None,
        }
    }

    /// Asks for these scopes beside `openid`, which every request has, and those that the tool
    /// [requires](ApprovalRequest::requiring). Defaults to none.
    ///
    /// Name those that the tool needs to open a transaction. The server shows them to the person. A
    /// guard holds the token to its one call, whatever its scopes.
    ///
    /// ```
    /// # fn example(
    /// #     approval: aims_oauth_client::ByBackchannel,
    /// # ) -> Result<aims_oauth_client::ByBackchannel, aims_oauth_wire::Error> {
    /// let approval = approval.scopes("payments".parse()?);
    /// # Ok(approval)
    /// # }
    /// ```
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.asker.scopes = scopes;
        self
    }

    /// Binds the token to this key by DPoP (RFC 9449 §5).
    ///
    /// Each token request has a proof, and a token that is not bound is refused, unless the
    /// [rules](Self::with_rules) accept it. The request to the person has no proof.
    ///
    /// ```
    /// use aims_jose::provider;
    /// use aims_oauth_client::{ByBackchannel, DpopKey};
    ///
    /// fn bound(approval: ByBackchannel) -> Result<ByBackchannel, Box<dyn std::error::Error>> {
    ///     let provider = provider::compiled().ok_or("no provider")?;
    ///     Ok(approval.with_dpop(DpopKey::generate(provider)?))
    /// }
    /// ```
    pub fn with_dpop(mut self, key: DpopKey) -> Self {
        self.asker.dpop = Some(key);
        self
    }

    /// Requires a sign-in of one of these classes for the decision, separated by spaces. Defaults
    /// to those that the tool [requires](ApprovalRequest::with_login).
    pub fn acr_values(mut self, values: impl Into<SecretText>) -> Self {
        self.acr_values = Some(values.into());
        self
    }

    /// Sets a function that asks the person for the user code, which only the person knows. It is
    /// called for each request, at a server that takes such codes (CIBA Core §4). The code is sent
    /// and not kept.
    ///
    /// ```
    /// use aims_jose::secret::SecretText;
    /// use aims_oauth_client::{ByBackchannel, Error};
    ///
    /// /// `ask` reads the code from the terminal.
    /// fn with_code(approval: ByBackchannel, ask: fn() -> Result<String, Error>) -> ByBackchannel {
    ///     approval.user_code(move || {
    ///         let code = ask().map(SecretText::new);
    ///         Box::pin(std::future::ready(code))
    ///     })
    /// }
    /// ```
    pub fn user_code(
        mut self,
        ask: impl Fn() -> ReceiveFuture<'static, SecretText> + Send + Sync + 'static,
    ) -> Self {
        self.user_code = Some(Arc::new(ask));
        self
    }

    /// Sets how long one request for the token may take. See [`Backchannel::answered_within`].
    ///
    /// [`Backchannel::answered_within`]: crate::Backchannel::answered_within
    pub const fn answered_within(mut self, most: Duration) -> Self {
        self.patience = Some(most);
        self
    }

    /// Sets how long the person has. Defaults to what the server chooses.
    pub const fn expiry(mut self, most: Duration) -> Self {
        self.expiry = Some(most);
        self
    }

    /// Signs the requests (CIBA Core §7.1.1).
    pub fn signed_by(mut self, signer: impl Into<AnySigner>) -> Self {
        self.signer = Some(signer.into());
        self
    }

    /// Waits for a ping in place of polling, for a client of the mode `ping`. If none arrives, the
    /// server is polled after 30 seconds.
    pub fn pinged_at(mut self, pings: Pings) -> Self {
        self.pings = Some(pings);
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

    /// Sets a function that receives each event. Show the code of [`Progress::WaitingForApproval`].
    pub fn on_progress(mut self, tell: impl Fn(&Progress<'_>) + Send + Sync + 'static) -> Self {
        self.asker.tell = Some(Arc::new(tell));
        self
    }

    async fn ask(&self, asked: &ApprovalRequest) -> Result<Token, Error> {
        let asker = &self.asker;
        asker.expect_supported()?;
        let mut scopes = asked.scopes(&asker.scopes)?;
        scopes.insert("openid".parse()?)?;
        let code = asked.call().digest().short_code();
        let mut request = BackchannelRequest::new(asked.target(scopes)?, self.hint.clone());
        request = request.binding_message(code.clone());
        request = request.with_rules(asker.rules.clone());
        if let Some(ask) = &self.user_code
            && asker.server.takes_backchannel_user_code()
        {
            request = request.user_code(ask().await?);
        }
        let required = asked.accepted_acr().map(SecretText::new);
        if let Some(values) = self.acr_values.clone().or(required) {
            request = request.acr_values(values);
        }
        if let Some(most) = self.expiry {
            request = request.requested_expiry(most);
        }
        if let Some(signer) = &self.signer {
            request = request.signed_by(signer.clone());
        }
        if let Some(pings) = &self.pings {
            request = request.pinged_at(pings);
        }
        let (client, server) = (Arc::clone(&asker.client), Arc::clone(&asker.server));
        let first = request.begin(client, server, asker.clock.now())?;
        let mut waiting = drive(first, &*asker.http, &*asker.clock).await?;
        if let Some(most) = self.patience {
            waiting = waiting.answered_within(most);
        }
        asker.tell(&Progress::WaitingForApproval {
            issuer: asker.server.issuer(),
            code: &code,
            expires: waiting.expires(),
        });
        if self.pings.is_some() {
            let left = time::until(waiting.expires(), asker.clock.now()).min(MAX_UNPINGED);
            // After a lost ping the grant polls.
            let _lost = tokio::time::timeout(left, waiting.pinged()).await;
        }
        asker.redeem(waiting, asked.call()).await
    }
}

impl Approve for ByBackchannel {
    fn approve<'a>(&'a self, request: &'a ApprovalRequest) -> ApproveFuture<'a> {
        Box::pin(self.ask(request))
    }
}

impl fmt::Debug for ByBackchannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByBackchannel")
            .field("issuer", self.asker.server.issuer())
            .field("client", &self.asker.client)
            .finish_non_exhaustive()
    }
}
