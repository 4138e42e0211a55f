//! The approval of one call by a person.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::Fetch;
use aims_jose::key::AnySigner;
use aims_jose::secret::SecretText;
use aims_jose::time::{self, Clock, SystemClock};
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Resource, ScopeSet};

use crate::step::drive;
use crate::{
    BackchannelRequest, DpopKey, Error, Pings, Progress, Target, Token, TokenFlow, TokenRules,
};

type Tell = dyn Fn(&Progress<'_>) + Send + Sync;

/// The token of an approved call, or why there is none.
pub type ApproveFuture<'a> = Pin<Box<dyn Future<Output = Result<Token, Error>> + Send + 'a>>;

/// Asks a person for the approval of one call of a tool.
///
/// Only an authorization server approves: the result is its [`Token`], which no program can make.
/// So a dialog of the program itself never counts, and neither does text of a model.
///
/// ```compile_fail,E0599
/// use aims_oauth_client::{Error, Token};
///
/// fn the_user_clicked_ok() -> Result<Token, Error> {
///     Ok(Token::new("approved")) // no such function
/// }
/// ```
///
/// [`ByBackchannel`] asks on the person's own device.
pub trait Approve: fmt::Debug + Send + Sync {
    /// Asks, and waits for the decision. The token is for this call at this resource, and is used
    /// once. Dropping the future ends the wait.
    ///
    /// # Errors
    ///
    /// `oauth.refused` if the person denies or does not decide in time, and the errors of the
    /// request.
    fn approve<'a>(&'a self, call: &'a ToolCall, resource: &'a Resource) -> ApproveFuture<'a>;
}

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
    client: Arc<dyn Authenticate>,
    server: Arc<ServerMetadata>,
    http: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    login_hint: SecretText,
    scopes: ScopeSet,
    dpop: Option<DpopKey>,
    acr_values: Option<SecretText>,
    expiry: Option<Duration>,
    signer: Option<AnySigner>,
    pings: Option<Pings>,
    rules: TokenRules,
    tell: Option<Arc<Tell>>,
}

/// How long a ping is awaited before the server is polled anyway.
const MAX_UNPINGED: Duration = Duration::from_secs(30);

impl ByBackchannel {
    /// Creates the approval by the person of this `login_hint` at the server.
    pub fn new(
        client: impl Authenticate + 'static,
        server: impl Into<Arc<ServerMetadata>>,
        http: impl Fetch + 'static,
        login_hint: impl Into<SecretText>,
    ) -> Self {
        Self {
            client: Arc::new(client),
            server: server.into(),
            http: Arc::new(http),
            clock: Arc::new(SystemClock::new()),
            login_hint: login_hint.into(),
            scopes: ScopeSet::new(),
            dpop: None,
            acr_values: None,
            expiry: None,
            signer: None,
            pings: None,
            rules: TokenRules::new(),
            tell: None,
        }
    }

    /// Asks for these scopes beside `openid`, which every request has. Defaults to none.
    ///
    /// Name those that the tool requires beside the approval, or needs to open a transaction. The
    /// server shows them to the person. A guard holds the token to its one call, whatever its
    /// scopes.
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
        self.scopes = scopes;
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
        self.dpop = Some(key);
        self
    }

    /// Requires a sign-in of one of these classes for the decision, separated by spaces.
    pub fn acr_values(mut self, values: impl Into<SecretText>) -> Self {
        self.acr_values = Some(values.into());
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
    pub const fn with_rules(mut self, rules: TokenRules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets a function that receives each event. Show the code of [`Progress::WaitingForApproval`].
    pub fn on_progress(mut self, tell: impl Fn(&Progress<'_>) + Send + Sync + 'static) -> Self {
        self.tell = Some(Arc::new(tell));
        self
    }

    fn tell(&self, progress: &Progress<'_>) {
        if let Some(tell) = &self.tell {
            tell(progress);
        }
    }

    async fn ask(&self, call: &ToolCall, resource: &Resource) -> Result<Token, Error> {
        let (http, clock) = (&*self.http, &*self.clock);
        let details = call.details(resource.as_str()).to_json();
        if let Some(key) = &self.dpop {
            // Found before the person is asked.
            key.expect_known_to(&self.server)?;
        }
        let mut scopes = self.scopes.clone();
        scopes.insert("openid".parse()?)?;
        let target = Target::new(resource.clone(), scopes).with_details(&details)?;
        let code = call.digest().short_code();
        let mut request = BackchannelRequest::new(target, self.login_hint.clone());
        request = request.binding_message(code.clone());
        if let Some(values) = &self.acr_values {
            request = request.acr_values(values.clone());
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
        let (client, server) = (Arc::clone(&self.client), Arc::clone(&self.server));
        let first = request.begin(Arc::clone(&client), Arc::clone(&server), clock.now())?;
        let waiting = drive(first, http, clock).await?;
        self.tell(&Progress::WaitingForApproval {
            issuer: server.issuer(),
            code: &code,
            expires: waiting.expires(),
        });
        if self.pings.is_some() {
            let left = time::until(waiting.expires(), clock.now()).min(MAX_UNPINGED);
            // After a lost ping the grant polls.
            let _lost = tokio::time::timeout(left, waiting.pinged()).await;
        }
        let grant = Arc::new(waiting);
        let (rules, now) = (self.rules, clock.now());
        let first = match self.dpop.clone() {
            Some(key) => {
                TokenFlow::begin_bound(grant, client, Arc::clone(&server), rules, key, now)?
            }
            None => TokenFlow::begin(grant, client, Arc::clone(&server), rules, now)?,
        };
        let token = drive(first, http, clock).await?;
        self.tell(&Progress::Connected(server.issuer()));
        Ok(token)
    }
}

impl Approve for ByBackchannel {
    fn approve<'a>(&'a self, call: &'a ToolCall, resource: &'a Resource) -> ApproveFuture<'a> {
        Box::pin(self.ask(call, resource))
    }
}

impl<A: Approve + ?Sized> Approve for Arc<A> {
    fn approve<'a>(&'a self, call: &'a ToolCall, resource: &'a Resource) -> ApproveFuture<'a> {
        (**self).approve(call, resource)
    }
}

impl fmt::Debug for ByBackchannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByBackchannel")
            .field("issuer", self.server.issuer())
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
