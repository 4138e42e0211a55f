//! The state of one cached token: the token, the failures of its renewal, and the running request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aims_fetch::{SingleFlight, Waiting};
use aims_jose::digest::Fingerprint;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::{self, UnixTime};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::bound::Bound;
use super::wait;
use crate::token::User;
use crate::{Error, Target, Token};

/// A token and the time until which it is returned.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) token: Arc<Token>,
    /// The key and the certificate with which it was requested, if there is one.
    bound: Option<Arc<Bound>>,
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

/// The state of a source for one kind of grant and one target.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) cached_as: Box<str>,
    pub(super) target: Target,
    state: Mutex<State>,
}

/// A slot that only holds a token has nothing else. There may be many of them.
#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// The token whose refresh token is used next.
    renewal: Option<Arc<Token>>,
    running: Option<Box<Running>>,
    trouble: Option<Box<Trouble>>,
}

/// The running request.
#[derive(Debug)]
struct Running {
    flight: SingleFlight<Outcome>,
    /// Whether a token was stored or removed meanwhile, outside of the request.
    is_overtaken: bool,
    task: Option<AbortHandle>,
}

/// The remains of failures.
#[derive(Debug, Default)]
struct Trouble {
    unsaved: Option<Unsaved>,
    /// The token that its resource refused last.
    refused: Option<Fingerprint>,
    failures: u32,
    /// The last failure, and the time of the next attempt.
    last: Option<(Arc<Error>, Instant)>,
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
        bound: Option<Arc<Bound>>,
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

    /// Returns the key and the certificate with which it was requested.
    pub(super) fn bound(&self) -> Bound {
        self.bound.as_deref().copied().unwrap_or_default()
    }

    pub(super) fn is_good(&self, bound: Bound, now: UnixTime) -> bool {
        self.bound() == bound && now < self.token.expires() && Instant::now() < self.ends
    }
}

impl Slot {
    pub(super) fn new(cached_as: &str, target: &Target) -> Self {
        Self {
            cached_as: cached_as.into(),
            target: target.clone(),
            state: Mutex::default(),
        }
    }

    /// Returns what to do for a token that is bound to this.
    pub(super) fn next(&self, bound: Bound, now: UnixTime) -> Result<Next, Error> {
        let mut state = self.lock();
        let good = state.kept.as_ref().filter(|kept| kept.is_good(bound, now));
        let is_due = good.is_none_or(|kept| now >= kept.renew);
        let good = good.map(|kept| Arc::clone(&kept.token));
        let paused = state.trouble.as_ref().and_then(|it| it.last.as_ref());
        let paused = paused.filter(|(_, until)| Instant::now() < *until);
        if is_due && state.running.is_none() && paused.is_none() {
            let mut flight = SingleFlight::new();
            let (landing, outcome) = flight.lead();
            state.running = Some(Box::new(Running {
                flight,
                is_overtaken: false,
                task: None,
            }));
            return Ok(Next::Start(landing, outcome, good));
        }
        // A caller with a valid token does not wait for its renewal.
        match (good, state.join(), paused) {
            (Some(token), _, _) => Ok(Next::Take(token)),
            (None, Some(outcome), _) => Ok(Next::Wait(outcome)),
            (None, None, Some((last, _))) => Err(Error::BackingOff {
                last: Arc::clone(last),
            }),
            (None, None, None) => Err(Error::Interrupted),
        }
    }

    /// Stores the task of the running request, which may have ended already.
    pub(super) fn started(&self, task: AbortHandle) {
        if let Some(running) = &mut self.lock().running {
            running.task = Some(task);
        }
    }

    /// Ends the running request.
    fn land(&self, result: Result<Kept, Failed>, random: &dyn SecureRandom) -> Outcome {
        let mut state = self.lock();
        let ended = state.running.take();
        if ended.is_some_and(|it| it.is_overtaken) {
            // After a logout or a login, neither the token of an earlier grant nor its failure is
            // used.
            let newer = state.kept.clone();
            let error = result.map_or_else(|failed| failed.error, |_token| Error::Interrupted);
            return newer.ok_or_else(|| Arc::new(error));
        }
        match result {
            Ok(kept) => {
                state.keep(&kept);
                Ok(kept)
            }
            Err(failed) => {
                let Failed {
                    error, retry_after, ..
                } = failed;
                let error = Arc::new(error);
                // The next attempt asks the server nothing, and may find a login in a store.
                if matches!(*error, Error::NeedsUser { .. }) {
                    state.recovered();
                    return Err(error);
                }
                let trouble = state.trouble.get_or_insert_default();
                let pause = wait::pause(trouble.failures, retry_after, random);
                trouble.failures = trouble.failures.saturating_add(1);
                let until = Instant::now().checked_add(pause);
                trouble.last = until.map(|until| (Arc::clone(&error), until));
                Err(error)
            }
        }
    }

    /// Stores a token that was requested outside of the running request.
    pub(super) fn put(&self, kept: &Kept) {
        let mut state = self.lock();
        state.overtake();
        state.keep(kept);
    }

    /// Returns the running request.
    pub(super) fn running(&self) -> Option<Waiting<Outcome>> {
        self.lock().join()
    }

    /// Returns the token whose refresh token is used next.
    pub(super) fn renewal(&self) -> Option<Arc<Token>> {
        self.lock().renewal.clone()
    }

    /// Returns the token that the store could not write yet.
    pub(super) fn unsaved(&self) -> Option<Unsaved> {
        self.lock().trouble.as_ref()?.unsaved.clone()
    }

    /// Keeps a token that the store has not written yet, unless a logout or a login came meanwhile.
    /// Returns whether it is kept.
    pub(super) fn keep_unsaved(&self, unsaved: Unsaved) -> bool {
        let mut state = self.lock();
        let is_current = state.running.as_ref().is_none_or(|it| !it.is_overtaken);
        if is_current {
            state.trouble.get_or_insert_default().unsaved = Some(unsaved);
        }
        is_current
    }

    /// Keeps a token of a login that the store has not written yet. It replaces all others.
    pub(super) fn keep_unsaved_login(&self, unsaved: Unsaved) {
        let mut state = self.lock();
        state.overtake();
        state.recovered();
        (state.kept, state.renewal) = (None, None);
        state.trouble.get_or_insert_default().unsaved = Some(unsaved);
    }

    /// Notes that this token is stored, or is of no use any more.
    pub(super) fn settled(&self, token: &Token) {
        let mut state = self.lock();
        let is_it = |it: &Unsaved| std::ptr::eq(&raw const *it.kept.token, token);
        let Some(trouble) = &mut state.trouble else {
            return;
        };
        trouble.unsaved = trouble.unsaved.take().filter(|it| !is_it(it));
        state.tidy();
    }

    /// Returns the user of the grant, if an ID token named one.
    pub(super) fn user(&self) -> Option<User> {
        let state = self.lock();
        let unsaved = state.trouble.as_ref().and_then(|it| it.unsaved.as_ref());
        let unsaved = unsaved.map(|it| &it.kept.token);
        let kept = state.kept.as_ref().map(|it| &it.token);
        let mut held = unsaved.into_iter().chain(kept).chain(&state.renewal);
        held.find_map(|token| token.user().cloned())
    }

    /// Removes a refresh token that the server refused, unless another one came meanwhile.
    pub(super) fn drop_renewal(&self, refused: &Token) {
        let renewal = &mut self.lock().renewal;
        let is_other = |it: &Arc<Token>| it.refresh_token() != refused.refresh_token();
        *renewal = renewal.take().filter(is_other);
    }

    /// Removes the token and the refresh token. Returns the one that is to be revoked, and the name
    /// of its type.
    pub(super) fn clear(&self) -> Option<(SecretText, &'static str)> {
        let mut state = self.lock();
        state.overtake();
        let unsaved = state.trouble.as_mut().and_then(|it| it.unsaved.take());
        state.tidy();
        let kept = state.kept.take();
        let newest = unsaved.map(|it| it.kept).or(kept).map(|it| it.token);
        let renewal = state.renewal.take();
        let mut held = newest.iter().chain(&renewal);
        let refresh = held.find_map(|it| it.refresh_token().cloned());
        match refresh {
            Some(refresh) => Some((refresh, "refresh_token")),
            None => Some((newest?.text.clone(), "access_token")),
        }
    }

    /// Removes this token.
    pub(super) fn forget(&self, token: &Token) {
        let mut state = self.lock();
        let is_it = |kept: &Kept| std::ptr::eq(&raw const *kept.token, token);
        if state.kept.as_ref().is_some_and(is_it) {
            state.trouble.get_or_insert_default().refused = Some(token.fingerprint());
            state.kept = None;
        }
    }

    /// Returns the token that its resource refused last.
    pub(super) fn refused(&self) -> Option<Fingerprint> {
        self.lock().trouble.as_ref()?.refused
    }

    /// Returns when this slot may be removed to make room, or `None` while a request is running.
    pub(super) fn idle_until(&self) -> Option<u64> {
        let state = self.lock();
        let is_unsaved = state
            .trouble
            .as_ref()
            .is_some_and(|it| it.unsaved.is_some());
        let ends = match (&state.renewal, &state.kept) {
            // The end of the access token is not that of the grant. Its loss may need the user.
            _ if is_unsaved => u64::MAX,
            (Some(_), _) => u64::MAX,
            (None, Some(kept)) => kept.token.expires().as_secs(),
            (None, None) => 0,
        };
        state.running.is_none().then_some(ends)
    }

    /// Stops the running request.
    pub(super) fn abort(&self) {
        let task = self.lock().running.as_mut().and_then(|it| it.task.take());
        // Do not hold the lock here, because the end of the task takes it.
        if let Some(task) = task {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join(&self) -> Option<Waiting<Outcome>> {
        self.running.as_ref()?.flight.join()
    }

    fn keep(&mut self, kept: &Kept) {
        self.recovered();
        let is_refreshable = kept.token.is_refreshable();
        self.renewal = is_refreshable.then(|| Arc::clone(&kept.token));
        self.kept = Some(kept.clone());
    }

    /// Lets the running request end without effect.
    fn overtake(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_overtaken = true;
        }
    }

    /// Ends the pauses after failures.
    fn recovered(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            (trouble.failures, trouble.last) = (0, None);
        }
        self.tidy();
    }

    fn tidy(&mut self) {
        let is_over = |it: &Trouble| {
            it.unsaved.is_none() && it.refused.is_none() && it.failures == 0 && it.last.is_none()
        };
        self.trouble = self.trouble.take().filter(|it| !is_over(it));
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
