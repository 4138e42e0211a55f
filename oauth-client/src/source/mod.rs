//! Tokens that are got once, kept and renewed.

mod discover;
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
use http::Request;
use tokio::runtime::Handle;

use self::slot::{Failed, Kept, Landing, Next, Slot};
use crate::{ClientCredentials, Error, PendingToken, Token};

/// Gets access tokens from one authorization server for one client, and keeps them.
///
/// One request at a time for each resource and scope. It belongs to a task: whoever asks meanwhile
/// waits for its outcome, and whoever goes away ends nothing but their own wait (F-02, F-03). A
/// token is renewed from two thirds of its lifetime on, up to a tenth of the lifetime earlier by
/// chance, while it is still given. After a failure nothing is sent for 1 s, 2 s, 4 s, … 60 s at
/// most, shortened by chance by up to a half, or for as long as the server's `Retry-After` says,
/// ten minutes at most; the old token is given until it expires, and then the failure. Dropping the
/// source ends its tasks.
///
/// Used where a tokio runtime is.
pub struct TokenSource {
    asker: Arc<Asker>,
    slots: Mutex<HashMap<(Resource, ScopeSet), Arc<Slot>>>,
    capacity: usize,
}

/// What a task needs.
#[derive(Clone)]
struct Asker {
    server: ServerMetadata,
    client: Arc<dyn Authenticate>,
    http: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    random: &'static dyn SecureRandom,
    timeout: Duration,
    key: Option<Arc<CurrentKey>>,
    accepts_wider: bool,
}

/// A request, and by whose key it was made.
struct Prepared {
    key: Option<Thumbprint>,
    request: Request<Vec<u8>>,
    pending: PendingToken,
}

type CurrentKey = dyn Fn(UnixTime) -> Option<Thumbprint> + Send + Sync;

/// How often a key may change while its token is got.
const ROTATIONS: usize = 3;

impl TokenSource {
    /// Tokens of this server, for this client, over this HTTP client; a request may take 30 s, and at
    /// most 1,000 different tokens are kept.
    pub fn new(
        server: ServerMetadata,
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Self {
        let asker = Asker {
            server,
            client: Arc::new(client),
            http: Arc::new(http),
            clock: Arc::new(SystemClock::new()),
            random: random::SYSTEM,
            timeout: Duration::from_secs(30),
            key: None,
            accepts_wider: false,
        };
        Self {
            asker: Arc::new(asker),
            slots: Mutex::default(),
            capacity: 1_000,
        }
    }

    /// The key of the client's identity, as it is now: that of `cnf` in the tokens that it gets. A
    /// token that was got with another key is not given any more, so that a rotation of the
    /// identity ends what is bound to the old key (T-112). It must be the key that the client
    /// authenticates with at that moment.
    #[must_use]
    pub fn with_key(
        self,
        key: impl Fn(UnixTime) -> Option<Thumbprint> + Send + Sync + 'static,
    ) -> Self {
        self.with(|asker| asker.key = Some(Arc::new(key)))
    }

    /// Takes tokens whose scopes are more than was asked for, too, as
    /// [`ClientCredentials::accepting_wider_scopes`] does.
    #[must_use]
    pub fn accepting_wider_scopes(self) -> Self {
        self.with(|asker| asker.accepts_wider = true)
    }

    /// Another clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        self.with(|asker| asker.clock = Arc::new(clock))
    }

    /// Another source of chance for the moments of renewal and the pauses.
    #[must_use]
    pub fn with_random(self, random: &'static dyn SecureRandom) -> Self {
        self.with(|asker| asker.random = random)
    }

    /// How long a request may take, and how long a caller waits for one.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.with(|asker| asker.timeout = timeout)
    }

    /// At most so many different tokens, by resource and scopes.
    #[must_use]
    pub const fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// The authorization server that the tokens are of.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        self.asker.server.issuer()
    }

    fn with(mut self, change: impl FnOnce(&mut Asker)) -> Self {
        change(Arc::make_mut(&mut self.asker));
        self
    }

    /// The token for a resource, kept from before or new.
    ///
    /// # Errors
    ///
    /// Those of [`ClientCredentials::prepare`] and
    /// [`PendingToken::finish`](crate::PendingToken::finish), `grant.transport` also where it takes
    /// too long, `grant.backing_off` shortly after a failure, `grant.interrupted` where the task
    /// ended without an outcome, `grant.busy`.
    pub async fn token_for(
        &self,
        resource: &Resource,
        scopes: &ScopeSet,
    ) -> Result<Arc<Token>, Error> {
        // Nothing waits or runs without a runtime.
        let _runtime = Handle::try_current().or(Err(Error::Interrupted))?;
        let most = tokio::time::timeout(self.asker.timeout, self.wait_for(resource, scopes));
        most.await
            .unwrap_or_else(|_elapsed| Err(Error::Transport(aims_fetch::Error::Timeout)))
    }

    async fn wait_for(&self, resource: &Resource, scopes: &ScopeSet) -> Result<Arc<Token>, Error> {
        let slot = self.slot(resource, scopes)?;
        for _ in 0..ROTATIONS {
            let now = self.asker.clock.now();
            let mut outcome = match slot.next(self.asker.key(now), now)? {
                Next::Take(token) => return Ok(token),
                Next::Wait(outcome) => outcome,
                Next::Start(sender, good) => {
                    let outcome = sender.subscribe();
                    let landing = Landing::new(Arc::clone(&slot), sender, self.asker.random);
                    self.start(landing, &slot, resource, scopes);
                    if let Some(good) = good {
                        return Ok(good);
                    }
                    outcome
                }
            };
            let landed = outcome.wait_for(Option::is_some).await;
            let landed = landed.ok().and_then(|outcome| outcome.clone());
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
    fn start(&self, landing: Landing, slot: &Slot, resource: &Resource, scopes: &ScopeSet) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut wanted = ClientCredentials::new(resource.clone()).scopes(scopes.clone());
        if self.asker.accepts_wider {
            wanted = wanted.accepting_wider_scopes();
        }
        let asker = Arc::clone(&self.asker);
        let task = runtime.spawn(async move {
            let asked = tokio::time::timeout(asker.timeout, asker.ask(&wanted)).await;
            landing.land(asked.unwrap_or_else(|_elapsed| {
                let error = Error::Transport(aims_fetch::Error::Timeout);
                Err(error.into())
            }));
        });
        slot.started(task.abort_handle());
    }

    fn slot(&self, resource: &Resource, scopes: &ScopeSet) -> Result<Arc<Slot>, Error> {
        let mut slots = self.lock();
        let key = (resource.clone(), scopes.clone());
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

    fn lock(&self) -> MutexGuard<'_, HashMap<(Resource, ScopeSet), Arc<Slot>>> {
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

    async fn ask(&self, wanted: &ClientCredentials) -> Result<Kept, Failed> {
        let Prepared {
            key,
            request,
            pending,
        } = self.prepare(wanted)?;
        let answer = self.http.send(request).await;
        let answer = answer.map_err(Error::Transport)?;
        let now = self.clock.now();
        let token = pending.finish(&answer, now).map_err(|error| Failed {
            retry_after: wait::asked_for(&answer, now),
            error,
        })?;
        Ok(Kept::new(token, key, self.random, now))
    }

    /// The request, and the key that the identity had before and after it was made: so it was made
    /// by that one.
    fn prepare(&self, wanted: &ClientCredentials) -> Result<Prepared, Error> {
        for _ in 0..ROTATIONS {
            let now = self.clock.now();
            let key = self.key(now);
            let (request, pending) = wanted.prepare(self.client.as_ref(), &self.server, now)?;
            if self.key(now) == key {
                return Ok(Prepared {
                    key,
                    request,
                    pending,
                });
            }
        }
        Err(Error::Interrupted)
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
