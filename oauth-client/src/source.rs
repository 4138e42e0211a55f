//! Gets access tokens, caches them and renews them.

mod bound;
mod discover;
mod held;
mod shared;
mod slot;
mod slots;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::Fetch;
use aims_jose::jwk::Thumbprint;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::{Clock, SystemClock, UnixTime};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Issuer, Resource, ScopeSet};
use http::{Response, StatusCode};
use tokio::runtime::Handle;

use self::bound::{Bound, LastBound};
pub use self::held::RevocationSignal;
pub(crate) use self::held::{drop_stored, forget_stored};
use self::slot::{Failed, Kept, Landing, Next, Slot};
use self::slots::Slots;
use crate::step::drive;
use crate::store::TokenStore;
use crate::token::User;
use crate::{
    ClientCredentials, DpopKey, Error, Event, Flow, Grant, KnownServer, Refresh, Step, Token,
    TokenFlow, TokenRules,
};

/// Gets access tokens from one authorization server for one client, and caches them. Needs a tokio
/// runtime and the feature `tokio`.
///
/// - A refresh token is used before the grant is made again. It is replaced by a new one, kept if
///   the server gives none or fails, and dropped if the server refuses it (`invalid_grant`).
/// - For each kind of grant and [target](crate::Target) there is at most one request at a time. It
///   runs in its own task: other callers wait for its result, and a caller that stops waiting does
///   not end it. Dropping the last clone of the source ends its tasks.
/// - After two thirds of its lifetime a token is renewed in the background, while callers still get
///   it. The time is moved forward randomly by up to a tenth of the lifetime.
/// - After a failure the source waits 1 s, 2 s, 4 s, … up to 60 s, randomly shortened by up to a
///   half. If the server sent `Retry-After`, it waits for that time, up to ten minutes. Callers get
///   the old token until it expires, then the error.
///
/// A clone is cheap and shares the tokens and the requests. A clone whose settings are changed
/// (`with_…`) has tokens of its own from then on.
///
/// ```
/// use aims_oauth_client::{Error, TokenSource};
/// use aims_oauth_wire::names::Resource;
/// use http::HeaderMap;
///
/// async fn authorize(
///     source: &TokenSource,
///     tool: &Resource,
///     headers: &mut HeaderMap,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let token = source.token_for(tool, &"tools:call".parse()?).await?;
///     token.apply(headers)?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct TokenSource {
    asker: Arc<Asker>,
    slots: Arc<Slots>,
    capacity: usize,
    named: Option<Arc<Named>>,
}

/// The data that a task needs.
#[derive(Clone)]
struct Asker {
    server: Arc<KnownServer>,
    client: Arc<dyn Authenticate>,
    http: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    random: &'static dyn SecureRandom,
    timeout: Duration,
    key: Option<Arc<CurrentKey>>,
    last_bound: LastBound,
    rules: TokenRules,
    dpop: Option<DpopKey>,
    store: Option<Arc<dyn TokenStore>>,
    metadata_age: Duration,
}

/// The URL of a tool, and its name in its own metadata, which tokens are requested for.
struct Named {
    tool: Resource,
    name: Resource,
}

type CurrentKey = dyn Fn(UnixTime) -> Option<Thumbprint> + Send + Sync;

/// How often the key of the identity may change during one request.
const ROTATIONS: usize = 3;

impl TokenSource {
    /// Creates a source for tokens of this server, for this client, with this HTTP client.
    ///
    /// A request may take 30 s, and at most 1,000 different tokens are cached. The metadata never
    /// changes; a source that was [discovered](Self::discover) refreshes them.
    ///
    /// ```
    /// use aims_fetch::Fetch;
    /// use aims_oauth_client::{TokenRules, TokenSource};
    /// use aims_oauth_wire::client_auth::Authenticate;
    /// use aims_oauth_wire::metadata::ServerMetadata;
    ///
    /// fn source(
    ///     server: ServerMetadata,
    ///     client: impl Authenticate + 'static,
    ///     http: impl Fetch + 'static,
    /// ) -> TokenSource {
    ///     TokenSource::new(server, client, http)
    ///         .with_rules(TokenRules::new().accept_wider_scopes())
    ///         .with_capacity(100)
    /// }
    /// ```
    pub fn new(
        server: ServerMetadata,
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Self {
        Self::of(KnownServer::given(server), client, http)
    }

    pub(crate) fn of(
        server: KnownServer,
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Self {
        let asker = Asker {
            server: Arc::new(server),
            client: Arc::new(client),
            http: Arc::new(http),
            clock: Arc::new(SystemClock::new()),
            random: random::SYSTEM,
            timeout: Duration::from_secs(30),
            key: None,
            last_bound: LastBound::default(),
            rules: TokenRules::new(),
            dpop: None,
            store: None,
            metadata_age: Duration::from_secs(24 * 3_600),
        };
        Self {
            asker: Arc::new(asker),
            slots: Arc::default(),
            capacity: 1_000,
            named: None,
        }
    }

    /// Sets a function that returns the current key of the client's identity, to which the tokens
    /// are bound.
    ///
    /// A token that was obtained with another key is no longer returned, so a rotation of the
    /// identity ends the use of tokens that are bound to the old key. The function must return the
    /// key that the client authenticates with at that moment.
    #[must_use]
    pub fn with_key(
        self,
        key: impl Fn(UnixTime) -> Option<Thumbprint> + Send + Sync + 'static,
    ) -> Self {
        self.with(|asker| asker.key = Some(Arc::new(key)))
    }

    /// Keeps the tokens in a store, which other sources share, also of other processes.
    ///
    /// One of them renews a token while the others wait, and stores the new refresh token before
    /// the access token is used. If a process ends between the answer of the server and the write,
    /// the grant may be lost; the user is then needed again (`grant.needs_user`). If the store
    /// cannot be written, the new refresh token stays in memory, and the next call tries again.
    #[must_use]
    pub fn with_store(self, store: Arc<dyn TokenStore>) -> Self {
        self.with(|asker| asker.store = Some(store))
    }

    /// Binds all tokens to this key by DPoP (RFC 9449).
    ///
    /// Every token request has a proof, and a token that is not bound is refused, unless the
    /// [rules](Self::with_rules) accept it. Use one key for each source.
    ///
    /// ```
    /// use aims_jose::provider;
    /// use aims_oauth_client::{DpopKey, TokenSource};
    ///
    /// fn bound(source: TokenSource) -> Result<TokenSource, Box<dyn std::error::Error>> {
    ///     let provider = provider::compiled().ok_or("no provider")?;
    ///     Ok(source.with_dpop(DpopKey::generate(provider)?))
    /// }
    /// ```
    #[must_use]
    pub fn with_dpop(self, key: DpopKey) -> Self {
        self.with(|asker| asker.dpop = Some(key))
    }

    /// Accepts tokens with scopes that were not requested. See [`TokenRules::accept_wider_scopes`].
    #[must_use]
    pub fn accept_wider_scopes(self) -> Self {
        self.with(|asker| asker.rules = asker.rules.clone().accept_wider_scopes())
    }

    /// Sets which deviations of this server are accepted. Defaults to none.
    #[must_use]
    pub fn with_rules(self, rules: TokenRules) -> Self {
        self.with(|asker| asker.rules = rules)
    }

    /// Sets the client, which has tokens of its own.
    pub(crate) fn with_client(self, client: Arc<dyn Authenticate>) -> Self {
        self.with(|asker| asker.client = client)
    }

    /// Sets the clock. Defaults to the system clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        self.with(|asker| asker.clock = Arc::new(clock))
    }

    /// Sets the random source for the times of renewal and the pauses. Defaults to the operating
    /// system.
    #[must_use]
    pub fn with_random(self, random: &'static dyn SecureRandom) -> Self {
        self.with(|asker| asker.random = random)
    }

    /// Sets how long a grant may take, and how long a caller waits for one. Defaults to 30 s. A
    /// grant that polls needs more.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.with(|asker| asker.timeout = timeout)
    }

    /// Sets the maximum number of cached tokens. Defaults to 1,000.
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.part();
        self.capacity = capacity;
        self
    }

    /// Sets the maximum age of discovered server metadata. Defaults to one day.
    ///
    /// The metadata is fetched again after an hour, or when the token endpoint does not answer
    /// like one, from the URL that returned it before. After the maximum age all well-known URLs
    /// are asked; until one answers, no tokens are returned.
    #[must_use]
    pub fn with_metadata_age(self, most: Duration) -> Self {
        self.with(|asker| asker.metadata_age = most)
    }

    /// Returns the authorization server that issues the tokens.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        self.asker.server.issuer()
    }

    /// Returns the current metadata of the authorization server.
    #[must_use]
    pub fn server(&self) -> Arc<ServerMetadata> {
        self.asker.server.server()
    }

    fn with(mut self, change: impl FnOnce(&mut Asker)) -> Self {
        self.part();
        change(Arc::make_mut(&mut self.asker));
        self
    }

    /// Leaves the tokens to the other clones, because those of other settings must not be mixed.
    fn part(&mut self) {
        if Arc::get_mut(&mut self.slots).is_none() {
            self.slots = Arc::default();
        }
    }

    /// Returns a token for a resource by the client credentials grant, cached or new.
    ///
    /// If the source was [discovered](Self::discover), the token is for the resource that the
    /// tool's metadata names.
    ///
    /// # Errors
    ///
    /// Those of [`token`](Self::token).
    pub async fn token_for(
        &self,
        resource: &Resource,
        scopes: &ScopeSet,
    ) -> Result<Arc<Token>, Error> {
        let named = self.named.as_ref().filter(|it| it.tool == *resource);
        let resource = named.map_or(resource, |it| &it.name);
        let grant = ClientCredentials::new(resource.clone()).scopes(scopes.clone());
        self.token(grant).await
    }

    /// Returns a token by a grant, cached or new. The cache is searched by the grant type and the
    /// [target](Grant::target).
    ///
    /// # Errors
    ///
    /// - Those of [`TokenFlow::begin`] and [`PendingToken::finish`](crate::PendingToken::finish).
    /// - `grant.transport`, also if the timeout is exceeded.
    /// - `grant.backing_off` shortly after a failure.
    /// - `grant.interrupted` if the task ended without a result.
    /// - `grant.busy` if too many tokens are being requested.
    pub async fn token(&self, grant: impl Grant + 'static) -> Result<Arc<Token>, Error> {
        // Nothing can wait or run without a runtime.
        let _runtime = Handle::try_current().or(Err(Error::Interrupted))?;
        let most = tokio::time::timeout(self.asker.timeout, self.wait_for(Arc::new(grant)));
        most.await
            .unwrap_or(Err(Error::Transport(aims_fetch::Error::Timeout)))
    }

    async fn wait_for(&self, grant: Arc<dyn Grant>) -> Result<Arc<Token>, Error> {
        let slot = self.slot(&*grant)?;
        for _ in 0..ROTATIONS {
            let now = self.asker.clock.now();
            let outcome = match slot.next(self.asker.bound(now), now)? {
                Next::Take(token) => return Ok(token),
                Next::Wait(outcome) => outcome,
                Next::Start(landing, outcome, good) => {
                    let landing = Landing::new(Arc::clone(&slot), landing, self.asker.random);
                    self.start(landing, &slot, &grant);
                    if let Some(good) = good {
                        return Ok(good);
                    }
                    outcome
                }
            };
            let landed = outcome.outcome().await;
            let kept = landed.unwrap_or_else(|| Err(Arc::new(Error::Interrupted)));
            let kept = kept.map_err(|error| Error::clone(&error))?;
            let now = self.asker.clock.now();
            // The token belongs to the key that the identity had at the time of the request.
            if kept.is_good(self.asker.bound(now), now) {
                return Ok(kept.token);
            }
        }
        Err(Error::Interrupted)
    }

    /// Gets a new token by a grant, whatever is cached, and caches it. It is for a grant that a
    /// user just made, such as an authorization code. The refresh token is used from then on.
    ///
    /// # Errors
    ///
    /// Those of [`token`](Self::token).
    pub async fn redeem(&self, grant: impl Grant + 'static) -> Result<Arc<Token>, Error> {
        self.redeem_within(grant, self.asker.timeout).await
    }

    /// Does what [`redeem`](Self::redeem) does, for a grant that polls for at most this time.
    pub(crate) async fn redeem_within(
        &self,
        grant: impl Grant + 'static,
        most: Duration,
    ) -> Result<Arc<Token>, Error> {
        let _runtime = Handle::try_current().or(Err(Error::Interrupted))?;
        let grant: Arc<dyn Grant> = Arc::new(grant);
        let slot = self.slot(&*grant)?;
        // A running renewal must not replace the new token.
        if let Some(running) = slot.running() {
            drop(running.outcome().await);
        }
        let asked = tokio::time::timeout(most, self.asker.request(&grant, None)).await;
        let asked = asked.map_err(|_elapsed| Error::Transport(aims_fetch::Error::Timeout))?;
        let kept = asked.map_err(|failed| failed.error)?;
        self.asker.store_granted(&grant, &kept, &slot).await?;
        slot.put(&kept);
        Ok(kept.token)
    }

    /// Removes a token that its resource has refused. The next call gets a new one.
    ///
    /// ```
    /// use aims_oauth_client::{Error, Token, TokenSource};
    /// use aims_oauth_wire::names::{Resource, ScopeSet};
    ///
    /// /// Gets a new token after the tool answered 401 to this one.
    /// async fn replace(
    ///     source: &TokenSource,
    ///     refused: &Token,
    ///     tool: &Resource,
    ///     scopes: &ScopeSet,
    /// ) -> Result<std::sync::Arc<Token>, Error> {
    ///     source.forget(refused);
    ///     source.token_for(tool, scopes).await
    /// }
    /// ```
    pub fn forget(&self, token: &Token) {
        self.slots.each(|slot| slot.forget(token));
    }

    /// Starts the request of a slot. Without a runtime the landing is dropped, which ends the
    /// request with an error.
    fn start(&self, landing: Landing, slot: &Slot, grant: &Arc<dyn Grant>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (asker, grant) = (Arc::clone(&self.asker), Arc::clone(grant));
        let task = runtime.spawn(async move {
            let asked = asker.ask(&grant, landing.slot()).await;
            landing.land(asked);
        });
        slot.started(task.abort_handle());
    }

    fn slot(&self, grant: &dyn Grant) -> Result<Arc<Slot>, Error> {
        self.slots.of(grant, self.capacity)
    }
}

impl Asker {
    /// Returns what a token that is requested now is bound to.
    fn bound(&self, now: UnixTime) -> Bound {
        let key = self.key.as_ref().and_then(|key| key(now));
        (key, self.client.certificate())
    }

    fn kept(&self, token: Token, bound: Bound) -> Kept {
        let bound = self.last_bound.share(bound);
        Kept::new(token, bound, self.random, self.clock.now())
    }

    /// Gets a token: by the refresh token, if there is one, otherwise by the grant.
    async fn ask(&self, grant: &Arc<dyn Grant>, slot: &Slot) -> Result<Kept, Failed> {
        if let Some(store) = &self.store {
            return self.ask_shared(&**store, grant, slot).await;
        }
        self.in_time(self.ask_alone(grant, slot)).await
    }

    /// Gives work up after the timeout.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        let done = tokio::time::timeout(self.timeout, work).await;
        done.unwrap_or_else(|_elapsed| Err(Error::Transport(aims_fetch::Error::Timeout).into()))
    }

    async fn ask_alone(&self, grant: &Arc<dyn Grant>, slot: &Slot) -> Result<Kept, Failed> {
        let mut refused = None;
        if let Some(renewal) = slot.renewal() {
            let target = grant.target().clone();
            let refresh = Refresh::of(&renewal, target, self.rules.clone());
            let refresh = refresh.ok_or(Error::Interrupted)?;
            let user = renewal.user().cloned();
            let refresh: Arc<dyn Grant> = Arc::new(refresh);
            match self.request(&refresh, user).await {
                Err(failed) if failed.rejects_grant() => {
                    slot.drop_renewal(&renewal);
                    refused = Some(failed.error);
                }
                outcome => return outcome,
            }
        }
        if grant.is_stored_only() {
            return Err(Error::needs_user_after(refused).into());
        }
        self.request(grant, None).await
    }

    /// Requests a token. `user` is that of the earlier token, if this renews one.
    async fn request(&self, grant: &Arc<dyn Grant>, user: Option<User>) -> Result<Kept, Failed> {
        let server = self
            .server
            .current(self.metadata_age, &*self.http, &*self.clock);
        let server = server.await?;
        let (bound, first) = self.begin(grant, &server)?;
        let first = first.map(Ok, Telling);
        let asked = drive(first, &*self.http, &*self.clock).await;
        let failed = match &asked {
            Ok(Ok(_token)) => None,
            Ok(Err(failed)) => Some(&failed.error),
            Err(error) => Some(error),
        };
        if failed.is_some_and(Error::is_lost) {
            self.server.set_lost();
        }
        let token = asked??.or_user(user);
        Ok(self.kept(token, bound))
    }

    /// Returns the first request and what its token is bound to. That was the same before and
    /// after, so the request was made with it.
    fn begin(
        &self,
        grant: &Arc<dyn Grant>,
        server: &Arc<ServerMetadata>,
    ) -> Result<(Bound, Step<Token, TokenFlow>), Error> {
        for _ in 0..ROTATIONS {
            let now = self.clock.now();
            let bound = self.bound(now);
            let (grant, client) = (Arc::clone(grant), Arc::clone(&self.client));
            let server = Arc::clone(server);
            let rules = self.rules.clone();
            let first = match self.dpop.clone() {
                Some(key) => TokenFlow::begin_bound(grant, client, server, rules, key, now)?,
                None => TokenFlow::begin(grant, client, server, rules, now)?,
            };
            if self.bound(now) == bound {
                return Ok((bound, first));
            }
        }
        Err(Error::Interrupted)
    }
}

/// A flow that also reports how long its server asks clients to wait.
struct Telling<F>(F);

impl<F: Flow> Flow for Telling<F> {
    type Output = Result<F::Output, Failed>;

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<Self::Output, Self>, Error> {
        let (retry_after, is_transient) = match &event {
            Event::Answer(answer) => (wait::asked_for(answer, now), is_transient(answer)),
            Event::NoAnswer(_) | Event::Signed(_) | Event::Waited => (None, false),
        };
        let step = self.0.advance(event, now);
        let failed = |error| Failed {
            error,
            retry_after,
            is_transient,
        };
        Ok(step.map_or_else(
            |error| Step::Done(Err(failed(error))),
            |step| step.map(Ok, Telling),
        ))
    }
}

/// Returns whether the server failed or is busy, whatever its answer says of the grant.
fn is_transient(answer: &Response<Vec<u8>>) -> bool {
    answer.status().is_server_error() || answer.status() == StatusCode::TOO_MANY_REQUESTS
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("issuer", self.asker.server.issuer())
            .field("client", &self.asker.client)
            .finish_non_exhaustive()
    }
}
