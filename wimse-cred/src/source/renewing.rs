//! A source that renews its identity.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::Backoff;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::{Clock, SystemClock, UnixTime, after, until};
use arc_swap::ArcSwap;
use tokio::task::{JoinHandle, JoinSet};

use super::{Identity, IdentitySource, good};
use crate::Error;

/// The future that [`Issue::issue`] returns.
pub type IssueFuture<'a> = Pin<Box<dyn Future<Output = Issued> + Send + 'a>>;

/// A new identity, or the cause of the failure.
pub type Issued = Result<Identity, Arc<dyn StdError + Send + Sync>>;

/// Requests an identity with a new key from an issuer, such as an identity server, a Workload API,
/// or a file that another process renews.
pub trait Issue: fmt::Debug + Send + Sync {
    /// Requests one identity. It may take time; the caller sets the limit.
    fn issue(&self) -> IssueFuture<'_>;

    /// Returns the name of the issuer, such as a URL, for error messages. It must not contain a
    /// secret. Defaults to `None`.
    fn name(&self) -> Option<&str> {
        None
    }
}

/// The failure of an issuer, with its name.
#[derive(Debug)]
struct Asked {
    issuer: Box<str>,
    cause: Arc<dyn StdError + Send + Sync>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked `{}`", self.issuer)
    }
}

impl StdError for Asked {
    /// Returns the error itself and not its `Arc`, so that a caller can downcast it.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.cause)
    }
}

/// An [`IdentitySource`] that renews its identity before it expires.
///
/// It asks the issuer at two thirds of the lifetime. A random part of up to a tenth of the lifetime
/// moves this earlier, so that many agents that started together do not ask at the same moment.
///
/// If the issuer fails or panics, the source asks again after 1 s, 2 s, 4 s and so on, up to 60 s.
/// Each pause is shortened at random by up to a half. The source returns the old identity until it
/// expires, and then an error.
///
/// After the machine was suspended, or its clock was set forward, an overdue renewal starts within
/// 30 s. Dropping the last clone ends the background task.
#[derive(Clone)]
pub struct RenewingSource(Arc<Shared>);

struct Shared {
    current: Arc<ArcSwap<Identity>>,
    task: JoinHandle<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Builds a [`RenewingSource`].
#[derive(Clone)]
pub struct RenewingSourceBuilder {
    issuer: Arc<dyn Issue>,
    clock: Arc<dyn Clock>,
    random: &'static dyn SecureRandom,
    timeout: Duration,
}

impl RenewingSource {
    /// Creates a builder of a source that renews from this issuer.
    pub fn builder(issuer: impl Issue + 'static) -> RenewingSourceBuilder {
        RenewingSourceBuilder {
            issuer: Arc::new(issuer),
            clock: Arc::new(SystemClock::new()),
            random: random::SYSTEM,
            timeout: Duration::from_secs(30),
        }
    }
}

impl RenewingSourceBuilder {
    /// Sets the clock. Defaults to the system clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the source of randomness for the time of renewals. Defaults to that of the system.
    #[must_use]
    pub fn with_random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }

    /// Sets how long one call to the issuer may take. Defaults to 30 s.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Requests the first identity and starts the background task on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// `source.unavailable` if the issuer fails or takes too long; `source.expired` if the identity
    /// that it returned has expired.
    pub async fn start(self) -> Result<RenewingSource, Error> {
        let first = self.ask().await?;
        let current = Arc::new(ArcSwap::from_pointee(first));
        let task = tokio::spawn(self.renew(Arc::clone(&current)));
        Ok(RenewingSource(Arc::new(Shared { current, task })))
    }

    async fn ask(&self) -> Result<Identity, Error> {
        // The issuer runs in its own task, so a panic fails one renewal only. The task ends with
        // the set.
        let mut asking = JoinSet::new();
        let issuer = Arc::clone(&self.issuer);
        asking.spawn(async move { issuer.issue().await });
        let ended = tokio::time::timeout(self.timeout, asking.join_next()).await;
        let identity = match ended {
            Ok(Some(Ok(issued))) => issued.map_err(|source| self.unavailable(source))?,
            Ok(Some(Err(panicked))) => return Err(self.unavailable(Arc::new(panicked))),
            Ok(None) => return Err(Error::SourceExpired),
            Err(elapsed) => return Err(self.unavailable(Arc::new(elapsed))),
        };
        if self.clock.now() < identity.expires() {
            Ok(identity)
        } else {
            Err(Error::SourceExpired)
        }
    }

    fn unavailable(&self, cause: Arc<dyn StdError + Send + Sync>) -> Error {
        Error::SourceUnavailable(match self.issuer.name() {
            Some(name) => Arc::new(Asked {
                issuer: name.into(),
                cause,
            }),
            None => cause,
        })
    }

    async fn renew(self, current: Arc<ArcSwap<Identity>>) {
        loop {
            let left = until(current.load().expires(), self.clock.now());
            let latest = Duration::from_secs((left.as_secs().saturating_mul(2) / 3).max(1));
            let earlier = self.chance(left / 10);
            self.wait(latest.saturating_sub(earlier)).await;
            let mut failures = 0;
            loop {
                match self.ask().await {
                    Ok(identity) => break current.store(Arc::new(identity)),
                    Err(_kept_until_it_expires) => {
                        self.wait(PAUSES.pause(failures, self.random())).await;
                    }
                }
                failures = u32::saturating_add(failures, 1);
            }
        }
    }

    /// Waits for this time. The runtime's clock may stop while the machine is suspended, so the
    /// wall clock is read after each step.
    async fn wait(&self, time: Duration) {
        let mut left = time;
        let end = after(
            self.clock.now(),
            left.saturating_add(Duration::from_millis(999)),
        );
        while !left.is_zero() && self.clock.now() < end {
            let step = left.min(STEP);
            tokio::time::sleep(step).await;
            left = left.saturating_sub(step);
        }
    }

    /// Returns a random duration from zero to `most`, in milliseconds. Returns zero without
    /// randomness; renewals are then not spread.
    fn chance(&self, most: Duration) -> Duration {
        let number = self.random();
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(number.checked_rem(most.saturating_add(1)).unwrap_or(0))
    }

    /// Returns a random number, or 0 without randomness.
    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        let filled = self.random.fill(&mut bytes);
        filled.map_or(0, |()| u64::from_le_bytes(bytes))
    }
}

impl IdentitySource for RenewingSource {
    fn identity(&self, now: UnixTime) -> Result<Arc<Identity>, Error> {
        good(&self.0.current.load_full(), now)
    }
}

impl fmt::Debug for RenewingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewingSource")
            .field("current", &self.0.current.load())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RenewingSourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewingSourceBuilder")
            .field("issuer", &self.issuer)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Maximum time for which the runtime's clock is trusted.
const STEP: Duration = Duration::from_secs(30);
/// The pauses after failures.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
