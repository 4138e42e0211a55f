//! Tokens that are got once, kept and renewed.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use jose::time::{Clock, SystemClock};
use oauth_wire::client_auth::Authenticate;
use oauth_wire::metadata::ServerMetadata;
use oauth_wire::names::{Resource, ScopeSet};

use crate::{ClientCredentials, Error, Token};

/// Why nothing was sent or received.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What [`Transport::send`] gives.
pub type TransportFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, BoxError>> + Send + 'a>>;

/// Sends one request, within limits of time and size. One method, so that any HTTP client fits.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends it.
    fn send(&self, request: Request<Vec<u8>>) -> TransportFuture<'_>;
}

/// Gets access tokens from one authorization server for one client, and keeps them.
///
/// One request at a time for each resource and scope; whoever asks meanwhile waits for its outcome, or goes on with a token that is still good. A token is renewed from two thirds of its
/// lifetime on. After a failure nothing is sent for 1 s, 2 s, 4 s, … 60 s at most. A caller that goes away makes room for the next; it poisons nothing.
pub struct TokenSource {
    server: ServerMetadata,
    client: Arc<dyn Authenticate>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<(Resource, ScopeSet), Arc<Slot>>>,
    capacity: usize,
}

#[derive(Default)]
struct Slot {
    kept: Mutex<Option<Kept>>,
    asking: tokio::sync::Mutex<Failures>,
}

#[derive(Clone)]
struct Kept {
    token: Arc<Token>,
    renew: u64,
}

#[derive(Default)]
struct Failures {
    last: Option<Arc<Error>>,
    count: u32,
    until: u64,
}

impl TokenSource {
    /// Tokens of this server, for this client, over this transport; at most 1,000 different ones are kept.
    pub fn new(
        server: ServerMetadata,
        client: impl Authenticate + 'static,
        transport: impl Transport + 'static,
    ) -> Self {
        Self {
            server,
            client: Arc::new(client),
            transport: Arc::new(transport),
            clock: Arc::new(SystemClock::new()),
            slots: Mutex::default(),
            capacity: 1_000,
        }
    }

    /// Another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The token for a resource, kept from before or new.
    ///
    /// # Errors
    ///
    /// Those of [`ClientCredentials::prepare`] and [`PendingToken::finish`](crate::PendingToken::finish), `grant.transport`, and `grant.backing_off` shortly
    /// after a failure.
    pub async fn token_for(
        &self,
        resource: &Resource,
        scopes: &ScopeSet,
    ) -> Result<Arc<Token>, Error> {
        let slot = self.slot(resource, scopes);
        let now = self.clock.now().as_secs();
        let kept = slot.good(now);
        if let Some(kept) = &kept
            && now < kept.renew
        {
            return Ok(Arc::clone(&kept.token));
        }
        let mut asking = match kept {
            None => slot.asking.lock().await,
            // Somebody renews it, or could not: it is still good.
            Some(ref kept) => match slot.asking.try_lock() {
                Ok(asking) if asking.until <= now => asking,
                _ => return Ok(Arc::clone(&kept.token)),
            },
        };
        // Whoever held the lock before may have got it.
        let now = self.clock.now().as_secs();
        if let Some(newer) = slot.good(now).filter(|newer| now < newer.renew) {
            return Ok(newer.token);
        }
        if let Some(last) = asking.last.clone().filter(|_| now < asking.until) {
            return Err(Error::BackingOff { last });
        }
        match (self.ask(resource, scopes).await, slot.good(now)) {
            (Ok(token), _) => {
                *asking = Failures::default();
                Ok(slot.keep(token, self.clock.now().as_secs()))
            }
            (Err(error), old) => {
                let error = Arc::new(error);
                let pause = 1_u64.checked_shl(asking.count).unwrap_or(60).min(60);
                asking.count = asking.count.saturating_add(1);
                asking.until = self.clock.now().as_secs().saturating_add(pause);
                asking.last = Some(Arc::clone(&error));
                old.map_or_else(|| Err(Error::clone(&error)), |old| Ok(old.token))
            }
        }
    }

    /// Forgets a token that its resource has refused. Asked again, the source gets a new one.
    pub fn forget(&self, token: &Token) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in slots.values() {
            let mut kept = slot.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept
                .as_ref()
                .is_some_and(|kept| std::ptr::eq(&raw const *kept.token, token))
            {
                *kept = None;
            }
        }
    }

    async fn ask(&self, resource: &Resource, scopes: &ScopeSet) -> Result<Token, Error> {
        let wanted = ClientCredentials::new(resource.clone()).scopes(scopes.clone());
        let now = self.clock.now();
        let (request, pending) = wanted.prepare(self.client.as_ref(), &self.server, now)?;
        let answer = self.transport.send(request).await;
        let answer = answer.map_err(|error| Error::Transport(Arc::from(error)))?;
        pending.finish(&answer, self.clock.now())
    }

    fn slot(&self, resource: &Resource, scopes: &ScopeSet) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (resource.clone(), scopes.clone());
        if slots.len() >= self.capacity && !slots.contains_key(&key) {
            // Only what nobody is asking for at the moment.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

impl Slot {
    fn good(&self, now: u64) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
            .filter(|kept| now < kept.token.expires().as_secs())
    }

    fn keep(&self, token: Token, now: u64) -> Arc<Token> {
        let left = token.expires().as_secs().saturating_sub(now);
        let token = Arc::new(token);
        let kept = Kept {
            token: Arc::clone(&token),
            renew: now.saturating_add(left.saturating_mul(2) / 3),
        };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        token
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("issuer", self.server.issuer())
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
