//! The state of one cached token: the token, the failures of its renewal, and the running request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aims_fetch::{SingleFlight, Waiting};
use aims_jose::digest::Fingerprint;
use aims_jose::jwk::Thumbprint;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_oauth_wire::names::ScopeSet;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::wait;
use crate::token::User;
use crate::{Error, Token};

/// The key of a client's identity and its certificate, to which its tokens are bound.
pub(super) type Bound = (Option<Thumbprint>, Option<CertificateThumbprint>);

/// A token and the time until which it is returned.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) token: Arc<Token>,
    /// The key and the certificate with which it was requested.
    pub(super) bound: Bound,
    /// From this time on the token is renewed, while it is still returned.
    renew: UnixTime,
    /// The expiry by a monotonic clock, so that setting the clock back does not extend the
    /// lifetime.
    ends: Instant,
}

/// The result of a request, as every waiting caller gets it.
pub(super) type Outcome = Result<Kept, Arc<Error>>;

/// A failed request. The server may have said how long to wait.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) retry_after: Option<Duration>,
    /// Whether the status of the answer says that the server failed or is busy.
    pub(super) is_transient: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            is_transient: false,
        }
    }
}

impl Failed {
    /// Returns whether the server refused the refresh token itself (RFC 6749 §5.2).
    pub(super) fn rejects_grant(&self) -> bool {
        let refusal = self.error.refusal();
        !self.is_transient && refusal.is_some_and(|it| it.error() == "invalid_grant")
    }
}

/// A refresh token, and the scopes that were granted with it.
#[derive(Clone, Debug)]
pub(super) struct Renewal {
    pub(super) token: SecretText,
    pub(super) granted: ScopeSet,
    pub(super) user: Option<User>,
}

/// A token that a store could not write yet.
#[derive(Clone, Debug)]
pub(super) struct Unsaved {
    pub(super) kept: Kept,
    pub(super) grant: String,
    /// The record to replace. `None` for a login, which replaces everything.
    pub(super) leased: Option<Leased>,
}

/// The stored token that a renewal replaces.
#[derive(Clone, Debug)]
pub(super) struct Leased {
    pub(super) version: u64,
    /// The refresh token that was used.
    pub(super) used: Option<SecretText>,
}

#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    renewal: Option<Renewal>,
    unsaved: Option<Unsaved>,
    /// The token that its resource refused last.
    refused: Option<Fingerprint>,
    failures: u32,
    /// The last failure, and the time of the next attempt.
    last: Option<(Arc<Error>, Instant)>,
    flight: SingleFlight<Outcome>,
    /// How often a token was stored or removed outside of a running request, and the number when
    /// the running request started.
    generation: u64,
    started: u64,
    /// The task of the request.
    task: Option<AbortHandle>,
}

/// The next step of a caller.
#[derive(Debug)]
pub(super) enum Next {
    /// Use this token.
    Take(Arc<Token>),
    /// Wait for the running request.
    Wait(Waiting<Outcome>),
    /// Start a request, which counts as running from now on. Until it ends, use this token, if
    /// there is one.
    Start(
        aims_fetch::Landing<Outcome>,
        Waiting<Outcome>,
        Option<Arc<Token>>,
    ),
}

impl Kept {
    pub(super) fn new(
        token: Token,
        bound: Bound,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Self {
        let left = time::until(token.expires(), now).as_secs();
        let earlier = wait::chance(random, left / 10);
        let renew = (left.saturating_mul(2) / 3).saturating_sub(earlier);
        let end = Instant::now().checked_add(Duration::from_secs(left));
        Self {
            token: Arc::new(token),
            bound,
            renew: time::after(now, Duration::from_secs(renew)),
            ends: end.unwrap_or_else(Instant::now),
        }
    }

    pub(super) fn is_good(&self, bound: Bound, now: UnixTime) -> bool {
        self.bound == bound && now < self.token.expires() && Instant::now() < self.ends
    }
}

impl Slot {
    /// Returns what to do for a token that is bound to this.
    pub(super) fn next(&self, bound: Bound, now: UnixTime) -> Result<Next, Error> {
        let mut state = self.lock();
        let good = state.kept.clone().filter(|kept| kept.is_good(bound, now));
        let is_due = good.as_ref().is_none_or(|kept| now >= kept.renew);
        let paused = state
            .last
            .as_ref()
            .filter(|(_, until)| Instant::now() < *until);
        if is_due && !state.flight.is_under_way() && paused.is_none() {
            let (landing, outcome) = state.flight.lead();
            state.started = state.generation;
            let meanwhile = good.map(|kept| kept.token);
            return Ok(Next::Start(landing, outcome, meanwhile));
        }
        // A caller with a valid token does not wait for its renewal.
        match (good, state.flight.join(), paused) {
            (Some(kept), _, _) => Ok(Next::Take(kept.token)),
            (None, Some(outcome), _) => Ok(Next::Wait(outcome)),
            (None, None, Some((last, _))) => Err(Error::BackingOff {
                last: Arc::clone(last),
            }),
            (None, None, None) => Err(Error::Interrupted),
        }
    }

    /// Stores the task of the running request, which may have ended already.
    pub(super) fn started(&self, task: AbortHandle) {
        let mut state = self.lock();
        if state.flight.is_under_way() {
            state.task = Some(task);
        }
    }

    /// Ends the running request.
    fn land(&self, result: Result<Kept, Failed>, random: &dyn SecureRandom) -> Outcome {
        let mut state = self.lock();
        state.flight.end();
        state.task = None;
        match result {
            // After a logout or a login, the token of an earlier grant is not used.
            Ok(_) if state.started != state.generation => {
                let newer = state.kept.clone();
                newer.ok_or_else(|| Arc::new(Error::Interrupted))
            }
            Ok(kept) => {
                state.keep(&kept);
                Ok(kept)
            }
            // So is its failure.
            Err(failed) if state.started != state.generation => {
                let newer = state.kept.clone();
                newer.ok_or_else(|| Arc::new(failed.error))
            }
            Err(failed) => {
                let Failed {
                    error, retry_after, ..
                } = failed;
                let error = Arc::new(error);
                // The next attempt asks the server nothing, and may find a login in a store.
                if matches!(*error, Error::NeedsUser { .. }) {
                    (state.failures, state.last) = (0, None);
                    return Err(error);
                }
                let pause = wait::pause(state.failures, retry_after, random);
                state.failures = state.failures.saturating_add(1);
                let until = Instant::now().checked_add(pause);
                state.last = until.map(|until| (Arc::clone(&error), until));
                Err(error)
            }
        }
    }

    /// Stores a token that was requested outside of the running request.
    pub(super) fn put(&self, kept: &Kept) {
        let mut state = self.lock();
        state.generation = state.generation.wrapping_add(1);
        state.keep(kept);
    }

    /// Returns the running request.
    pub(super) fn running(&self) -> Option<Waiting<Outcome>> {
        self.lock().flight.join()
    }

    /// Returns the refresh token.
    pub(super) fn renewal(&self) -> Option<Renewal> {
        self.lock().renewal.clone()
    }

    /// Returns the token that the store could not write yet.
    pub(super) fn unsaved(&self) -> Option<Unsaved> {
        self.lock().unsaved.clone()
    }

    /// Keeps a token that the store has not written yet, unless a logout or a login came meanwhile.
    /// Returns whether it is kept.
    pub(super) fn keep_unsaved(&self, unsaved: Unsaved) -> bool {
        let mut state = self.lock();
        let is_current = state.started == state.generation;
        if is_current {
            state.unsaved = Some(unsaved);
        }
        is_current
    }

    /// Keeps a token of a login that the store has not written yet. It replaces all others.
    pub(super) fn keep_unsaved_login(&self, unsaved: Unsaved) {
        let mut state = self.lock();
        state.generation = state.generation.wrapping_add(1);
        (state.kept, state.renewal) = (None, None);
        (state.failures, state.last) = (0, None);
        state.unsaved = Some(unsaved);
    }

    /// Notes that this token is stored, or is of no use any more.
    pub(super) fn settled(&self, token: &Token) {
        let mut state = self.lock();
        let is_it = |it: &Unsaved| std::ptr::eq(&raw const *it.kept.token, token);
        state.unsaved = state.unsaved.take().filter(|it| !is_it(it));
    }

    /// Returns the user of the grant, if an ID token named one.
    pub(super) fn user(&self) -> Option<User> {
        let state = self.lock();
        let unsaved = state.unsaved.as_ref().map(|it| &it.kept);
        let mut held = unsaved.into_iter().chain(&state.kept);
        let user = held.find_map(|it| it.token.user.clone());
        user.or_else(|| state.renewal.as_ref()?.user.clone())
    }

    /// Removes a refresh token that the server refused, unless another one came meanwhile.
    pub(super) fn drop_renewal(&self, refused: &Renewal) {
        let renewal = &mut self.lock().renewal;
        *renewal = renewal.take().filter(|it| it.token != refused.token);
    }

    /// Removes the token and the refresh token. Returns the one that is to be revoked, and the name
    /// of its type.
    pub(super) fn clear(&self) -> Option<(SecretText, &'static str)> {
        let mut state = self.lock();
        state.generation = state.generation.wrapping_add(1);
        let unsaved = state.unsaved.take().map(|it| it.kept);
        let kept = unsaved.or_else(|| state.kept.take());
        state.kept = None;
        let renewal = state.renewal.take().map(|it| it.token);
        let newest = kept.as_ref().and_then(|it| it.token.refresh_token.clone());
        match newest.or(renewal) {
            Some(refresh) => Some((refresh, "refresh_token")),
            None => Some((kept?.token.text.clone(), "access_token")),
        }
    }

    /// Removes this token.
    pub(super) fn forget(&self, token: &Token) {
        let mut state = self.lock();
        let is_it = |kept: &Kept| std::ptr::eq(&raw const *kept.token, token);
        if state.kept.as_ref().is_some_and(is_it) {
            state.refused = Some(token.fingerprint());
            state.kept = None;
        }
    }

    /// Returns the token that its resource refused last.
    pub(super) fn refused(&self) -> Option<Fingerprint> {
        self.lock().refused
    }

    /// Returns when this slot may be removed to make room, or `None` while a request is running.
    pub(super) fn idle_until(&self) -> Option<u64> {
        let state = self.lock();
        let ends = match (&state.renewal, &state.kept) {
            // The end of the access token is not that of the grant. Its loss may need the user.
            _ if state.unsaved.is_some() => u64::MAX,
            (Some(_), _) => u64::MAX,
            (None, Some(kept)) => kept.token.expires().as_secs(),
            (None, None) => 0,
        };
        let is_idle = !state.flight.is_under_way();
        is_idle.then_some(ends)
    }

    /// Stops the running request.
    pub(super) fn abort(&self) {
        let task = self.lock().task.take();
        // Do not hold the lock here, because the end of the task takes it.
        if let Some(task) = task {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, kept: &Kept) {
        (self.failures, self.last) = (0, None);
        let token = kept.token.refresh_token.clone();
        self.renewal = token.map(|token| Renewal {
            token,
            granted: kept.token.scopes().clone(),
            user: kept.token.user.clone(),
        });
        self.kept = Some(kept.clone());
    }
}

/// Ends a request in every case: if its task panics or is dropped with its runtime, the waiting
/// callers get an error.
#[derive(Debug)]
pub(super) struct Landing {
    slot: Arc<Slot>,
    landing: aims_fetch::Landing<Outcome>,
    random: &'static dyn SecureRandom,
    landed: bool,
}

impl Landing {
    pub(super) fn new(
        slot: Arc<Slot>,
        landing: aims_fetch::Landing<Outcome>,
        random: &'static dyn SecureRandom,
    ) -> Self {
        Self {
            slot,
            landing,
            random,
            landed: false,
        }
    }

    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }

    pub(super) fn land(mut self, result: Result<Kept, Failed>) {
        self.finish(result);
    }

    fn finish(&mut self, result: Result<Kept, Failed>) {
        self.landed = true;
        let outcome = self.slot.land(result, self.random);
        self.landing.land(outcome);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.landed {
            self.finish(Err(Error::Interrupted.into()));
        }
    }
}
