//! Tokens that are got once, kept and renewed.

mod discover;
mod server;
mod slot;
mod wait;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aims_fetch::Fetch;
use aims_jose::jwk::Thumbprint;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::{Clock, SystemClock, UnixTime};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Issuer, Resource, ScopeSet};
use tokio::runtime::Handle;

use self::server::Known;
use self::slot::{Failed, Kept, Landing, Next, Slot};
use crate::step::drive;
use crate::{
    ClientCredentials, Error, Event, Flow, Grant, Step, Target, Token, TokenFlow, TokenRules,
};

/// Gets access tokens from one authorization server for one client, and keeps them.
///
/// There is one request at a time for each grant type and [target](Target). It belongs to a task:
/// who asks meanwhile waits for its outcome, and a caller that goes away ends nothing but its own
/// wait. A token is renewed from two thirds of its lifetime on, up to a tenth of the lifetime
/// earlier by chance, while it is still given. After a failure nothing is sent for 1 s, 2 s, 4 s, …
/// 60 s at most, shortened by chance by up to a half, or for as long as the server's `Retry-After`
/// says, ten minutes at most; the old token is given until it expires, and then the failure.
/// Dropping the source ends its tasks.
///
/// Used where a tokio runtime is.
pub struct TokenSource {
    asker: Arc<Asker>,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
    capacity: usize,
    named: Option<Named>,
}

/// What a task needs.
#[derive(Clone)]
struct Asker {
    server: Arc<Known>,
    client: Arc<dyn Authenticate>,
    http: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    random: &'static dyn SecureRandom,
    timeout: Duration,
    key: Option<Arc<CurrentKey>>,
    rules: TokenRules,
    metadata_age: Duration,
}

/// What a token is kept by.
#[derive(Clone, Eq, Hash, PartialEq)]
struct Key {
    grant_type: Box<str>,
    target: Target,
}

/// How a tool is called, and how its own metadata name it: what tokens are asked for.
struct Named {
    tool: Resource,
    name: Resource,
}

type CurrentKey = dyn Fn(UnixTime) -> Option<Thumbprint> + Send + Sync;

/// How often a key may change while its token is got.
const ROTATIONS: usize = 3;

impl TokenSource {
    /// Tokens of this server, for this client, over this HTTP client; a request may take 30 s, and
    /// at most 1,000 different tokens are kept. The metadata stay as they are: those of a source
    /// that was [discovered](Self::discover) are kept current.
    pub fn new(
        server: ServerMetadata,
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Self {
        Self::of(Known::given(server), client, http)
    }

    fn of(server: Known, client: impl Authenticate + 'static, http: impl Fetch + 'static) -> Self {
        let asker = Asker {
            server: Arc::new(server),
            client: Arc::new(client),
            http: Arc::new(http),
            clock: Arc::new(SystemClock::new()),
            random: random::SYSTEM,
            timeout: Duration::from_secs(30),
            key: None,
            rules: TokenRules::new(),
            metadata_age: Duration::from_secs(24 * 3_600),
        };
        Self {
            asker: Arc::new(asker),
            slots: Mutex::default(),
            capacity: 1_000,
            named: None,
        }
    }

    /// Sets the key of the client's identity, as it is now: that of `cnf` in the tokens that it
    /// gets. A token that was got with another key is not given any more, so that a rotation of the
    /// identity ends what is bound to the old key. It must be the key that the client authenticates
    /// with at that moment.
    #[must_use]
    pub fn with_key(
        self,
        key: impl Fn(UnixTime) -> Option<Thumbprint> + Send + Sync + 'static,
    ) -> Self {
        self.with(|asker| asker.key = Some(Arc::new(key)))
    }

    /// Accepts tokens with scopes that were not asked for, as
    /// [`TokenRules::accept_wider_scopes`] does.
    #[must_use]
    pub fn accepting_wider_scopes(self) -> Self {
        self.with(|asker| asker.rules = asker.rules.accept_wider_scopes())
    }

    /// Sets what is accepted of this server's responses. Defaults to nothing beyond the standard.
    #[must_use]
    pub fn with_rules(self, rules: TokenRules) -> Self {
        self.with(|asker| asker.rules = rules)
    }

    /// Sets the clock. Defaults to the system clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        self.with(|asker| asker.clock = Arc::new(clock))
    }

    /// Sets the source of chance for the moments of renewal and the pauses. Defaults to the
    /// system's.
    #[must_use]
    pub fn with_random(self, random: &'static dyn SecureRandom) -> Self {
        self.with(|asker| asker.random = random)
    }

    /// Sets how long a grant may take, and how long a caller waits for one. Defaults to 30 s; a
    /// grant that polls needs more.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.with(|asker| asker.timeout = timeout)
    }

    /// Sets how many different tokens are kept at most. Defaults to 1,000.
    #[must_use]
    pub const fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets for how long the server's metadata count that were discovered. Defaults to a day. They
    /// are asked for again after an hour, or where the token endpoint did not answer as one, at the
    /// place that had them; past this age all well-known places are asked, and without an answer
    /// there are no tokens.
    #[must_use]
    pub fn with_metadata_age(self, most: Duration) -> Self {
        self.with(|asker| asker.metadata_age = most)
    }

    /// The authorization server that the tokens are of.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        self.asker.server.issuer()
    }

    /// The metadata of the authorization server, as they are now.
    #[must_use]
    pub fn server(&self) -> Arc<ServerMetadata> {
        self.asker.server.server()
    }

    fn with(mut self, change: impl FnOnce(&mut Asker)) -> Self {
        change(Arc::make_mut(&mut self.asker));
        self
    }

    /// The token for a resource by the client credentials grant, kept from before or new. For a
    /// tool that was [discovered](Self::discover), the token is for the resource that the tool's
    /// metadata name.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token).
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

    /// The token of a grant, kept from before or new. A kept one is found by the grant type and the
    /// [target](Grant::target).
    ///
    /// # Errors
    ///
    /// Those of [`TokenFlow::begin`] and [`PendingToken::finish`](crate::PendingToken::finish),
    /// `grant.transport` also where it takes too long, `grant.backing_off` shortly after a failure,
    /// `grant.interrupted` where the task ended without an outcome, `grant.busy`.
    pub async fn token(&self, grant: impl Grant + 'static) -> Result<Arc<Token>, Error> {
        // Nothing waits or runs without a runtime.
        let _runtime = Handle::try_current().or(Err(Error::Interrupted))?;
        let most = tokio::time::timeout(self.asker.timeout, self.wait_for(Arc::new(grant)));
        most.await
            .unwrap_or(Err(Error::Transport(aims_fetch::Error::Timeout)))
    }

    async fn wait_for(&self, grant: Arc<dyn Grant>) -> Result<Arc<Token>, Error> {
        let slot = self.slot(&*grant)?;
        for _ in 0..ROTATIONS {
            let now = self.asker.clock.now();
            let outcome = match slot.next(self.asker.key(now), now)? {
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
            // It was asked for by the key that the identity had then.
            if kept.is_good(self.asker.key(now), now) {
                return Ok(kept.token);
            }
        }
        Err(Error::Interrupted)
    }

    /// Forgets a token that its resource has refused. Asked again, the source gets a new one.
    pub fn forget(&self, token: &Token) {
        for slot in self.lock().values() {
            slot.forget(token);
        }
    }

    /// Starts the request of a slot. Where there is no runtime, the landing is dropped, and that is
    /// the outcome.
    fn start(&self, landing: Landing, slot: &Slot, grant: &Arc<dyn Grant>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (asker, grant) = (Arc::clone(&self.asker), Arc::clone(grant));
        let task = runtime.spawn(async move {
            let asked = tokio::time::timeout(asker.timeout, asker.ask(&grant)).await;
            landing.land(asked.unwrap_or_else(|_elapsed| {
                let error = Error::Transport(aims_fetch::Error::Timeout);
                Err(error.into())
            }));
        });
        slot.started(task.abort_handle());
    }

    fn slot(&self, grant: &dyn Grant) -> Result<Arc<Slot>, Error> {
        let mut slots = self.lock();
        let key = Key {
            grant_type: grant.grant_type().into(),
            target: grant.target().clone(),
        };
        if slots.len() >= self.capacity && !slots.contains_key(&key) {
            // What ends first makes room; what is being asked for never does.
            let idle = slots
                .iter()
                .filter_map(|(key, slot)| Some((slot.idle_until()?, key)))
                .min_by_key(|(until, _)| *until);
            let (_, first) = idle.ok_or(Error::Busy)?;
            let first = first.clone();
            slots.remove(&first);
        }
        Ok(Arc::clone(slots.entry(key).or_default()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TokenSource {
    fn drop(&mut self) {
        for slot in self.lock().values() {
            slot.abort();
        }
    }
}

impl Asker {
    fn key(&self, now: UnixTime) -> Option<Thumbprint> {
        self.key.as_ref().and_then(|key| key(now))
    }

    async fn ask(&self, grant: &Arc<dyn Grant>) -> Result<Kept, Failed> {
        let server = self
            .server
            .current(self.metadata_age, &*self.http, &*self.clock);
        let server = server.await?;
        let (key, first) = self.begin(grant, &server)?;
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
        let token = asked??;
        Ok(Kept::new(token, key, self.random, self.clock.now()))
    }

    /// The first request, and the key that the identity had before and after it was made: so it was
    /// made by that one.
    fn begin(
        &self,
        grant: &Arc<dyn Grant>,
        server: &Arc<ServerMetadata>,
    ) -> Result<(Option<Thumbprint>, Step<Token, TokenFlow>), Error> {
        for _ in 0..ROTATIONS {
            let now = self.clock.now();
            let key = self.key(now);
            let (grant, client) = (Arc::clone(grant), Arc::clone(&self.client));
            let server = Arc::clone(server);
            let first = TokenFlow::begin(grant, client, server, self.rules, now)?;
            if self.key(now) == key {
                return Ok((key, first));
            }
        }
        Err(Error::Interrupted)
    }
}

/// A flow that also tells for how long its server does not want to be asked.
struct Telling<F>(F);

impl<F: Flow> Flow for Telling<F> {
    type Output = Result<F::Output, Failed>;

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<Self::Output, Self>, Error> {
        let retry_after = match &event {
            Event::Answer(answer) => wait::asked_for(answer, now),
            Event::NoAnswer(_) | Event::Signed(_) | Event::Waited => None,
        };
        let step = self.0.advance(event, now);
        Ok(step.map_or_else(
            |error| Step::Done(Err(Failed { error, retry_after })),
            |step| step.map(Ok, Telling),
        ))
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("issuer", self.asker.server.issuer())
            .field("client", &self.asker.client)
            .finish_non_exhaustive()
    }
}
