//! A store on a Redis or Valkey server that several servers of one tool share: used proofs, and
//! revocations.
//!
//! A proof that one server has accepted is refused by all of them. A revocation takes effect on all
//! of them. If the Redis server is away, does not answer in time or cannot tell, guards refuse
//! with 503.
//!
//! ```no_run
//! # async fn example(trust: std::sync::Arc<aims::cred::TrustStore>)
//! #     -> Result<(), Box<dyn std::error::Error>> {
//! use aims::Guard;
//! use aims::jose::time::UnixTime;
//! use aims::redis::SharedStore;
//! use aims::revoked::RevokedBy;
//!
//! let store = SharedStore::builder("rediss://tools:secret@redis.example:6379")?;
//! let store = store.connect().await?;
//! let guard = Guard::builder("https://tools.example/mcp")
//!     .trust(trust)
//!     .shared_replay(store.replay())
//!     .revoked(store.revocations())
//!     .build()?;
//! // On any of the servers:
//! let agent = "spiffe://example.org/agent".parse()?;
//! let revoked = store.revocations().revoke(RevokedBy::Agent(agent), UnixTime::now()).await;
//! # drop((guard, revoked));
//! # Ok(())
//! # }
//! ```
//!
//! # What the server must do
//!
//! - Redis 6.2 or Valkey 7.2 or later: one primary server, with replicas or without. A cluster of
//!   several primary servers is not supported.
//! - `maxmemory-policy noeviction`, which is the default. [`connect`](SharedStoreBuilder::connect)
//!   refuses any other, because such a server forgets proofs when its memory is full. A full
//!   server refuses new proofs instead (`replay.full`).
//! - A user of its own, with a password, for the keys `{aims}:*` and the channel
//!   `{aims}:revocations`, and TLS (`rediss`) unless it is on the same machine. A program that can
//!   write these keys can let proofs be used twice.
//! - The commands `SET`, `GET`, `INFO`, `TIME`, `XADD`, `XRANGE`, `XLEN`, `XDEL`, `PUBLISH`,
//!   `SUBSCRIBE`, `MULTI`, `EXEC`, `PING`, `HELLO`, `AUTH`, `SELECT`, `CLIENT`.
//!
//! # When the server loses its memory
//!
//! The store proves with every answer that it remembers. Its *epoch* is the run of the Redis server
//! (`run_id`) and a random key in it. After a restart, a failover, `FLUSHALL` or a change of the
//! server's clock, one of them is missing or another. Then the guards refuse proofs that may have
//! been accepted before, with `replay.before_start` and 503, for about the clock skew of the guard
//! (30 s). Each server adds the revocations that it knows to a stream that lost them.
//! Entries that several servers add count once.
//!
//! A failover to a replica loses what was not replicated yet. While an old primary server still
//! accepts writes, both accept the same proof once: set `min-replicas-to-write`. If all servers of
//! the tool and the Redis server are started anew at once, and Redis has no persistence, its
//! revocations are lost: use `appendonly yes`.

mod entry;
mod epoch;
mod error;
mod feed;
mod link;
mod replay;
mod revocations;
mod room;
#[cfg(feature = "redis-tokens")]
mod tokens;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aims_jose::time::{Clock, SystemClock};
pub use error::Error;
use redis::{ConnectionAddr, IntoConnectionInfo, Pipeline};
pub use replay::SharedReplay;
pub use revocations::SharedRevocations;
#[cfg(feature = "redis-tokens")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis-tokens")))]
pub use tokens::SharedTokens;
use tokio::task::AbortHandle;

use self::epoch::{Epoch, Stated};
use self::feed::{Progress, Session};
use self::link::Link;
use crate::revoked::RevocationList;

/// A connection to the shared store. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedStore {
    shared: Arc<Shared>,
}

impl SharedStore {
    /// Creates a builder for the store on this server: `rediss://user:password@host:port/database`,
    /// `redis://…` without TLS, or `unix:///path`.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] if the URL is none of these.
    pub fn builder(url: &str) -> Result<SharedStoreBuilder, Error> {
        let info = url.into_connection_info();
        let info = info.map_err(|error| Error::Url(Box::new(error)))?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            let tls = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
            // The program may have chosen another one before.
            let _before = tls.install_default();
        }
        let client = redis::Client::open(info).map_err(|error| Error::Url(Box::new(error)))?;
        Ok(SharedStoreBuilder {
            client,
            prefix: "aims".to_owned(),
            capacity: 1_000_000,
            timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(2),
            lease: Duration::from_secs(5),
            clock: Arc::new(SystemClock::new()),
        })
    }

    /// Returns the store of used proofs.
    #[must_use]
    pub fn replay(&self) -> SharedReplay {
        SharedReplay::new(Arc::clone(&self.shared))
    }

    /// Returns the revocations.
    #[must_use]
    pub fn revocations(&self) -> SharedRevocations {
        SharedRevocations::new(Arc::clone(&self.shared))
    }

    /// Returns whether requests can be judged: the server answers, and no revocation is missing.
    /// It suits a readiness check.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.link.is_closed() && self.shared.is_fresh()
    }
}

/// Builds a [`SharedStore`].
#[must_use = "a store is made by `connect`"]
pub struct SharedStoreBuilder {
    client: redis::Client,
    prefix: String,
    capacity: usize,
    timeout: Duration,
    connect_timeout: Duration,
    lease: Duration,
    clock: Arc<dyn Clock>,
}

impl SharedStoreBuilder {
    /// Sets the first part of all keys, which the store puts in braces. Defaults to `aims`. Tools
    /// with the same prefix share proofs and revocations.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the maximum number of revocations, in the memory of each server and in the stream.
    /// Defaults to 1,000,000. Of a stream with more entries, the store first removes those that say
    /// nothing new. It replaces more revocations by one that revokes everything until the newest of
    /// the oldest half.
    pub const fn revocations(mut self, most: usize) -> Self {
        self.capacity = most;
        self
    }

    /// Sets how long a request waits for the server. Defaults to 500 ms.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long an attempt to connect may take. Defaults to two seconds.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long this server goes on without news from the stream of revocations. Defaults to
    /// five seconds. It asks every second.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Connects, reads all revocations, and starts a background task that follows them. It needs a
    /// tokio runtime. The task ends with the last clone of the store and of what it returned.
    ///
    /// # Errors
    ///
    /// [`Error`] if the server is unreachable, refuses the password or a command, or evicts
    /// entries. Later the task connects again by itself.
    pub async fn connect(self) -> Result<SharedStore, Error> {
        let name = |name: &str| format!("{{{}}}:{name}", self.prefix);
        let list = RevocationList::new(self.capacity).with_clock(Arc::clone(&self.clock));
        let shared = Arc::new(Shared {
            keys: Keys {
                epoch: name("epoch"),
                revocations: name("revocations"),
                channel: name("revocations"),
                replay: name("replay"),
            },
            client: self.client,
            capacity: self.capacity.max(1),
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            lease: self.lease,
            clock: self.clock,
            link: Arc::default(),
            epoch: Mutex::default(),
            list,
            unpublished: AtomicBool::new(false),
            base: Instant::now(),
            fresh: AtomicU64::new(NEVER),
            task: OnceLock::new(),
        });
        let mut progress = Progress::begin();
        let session = Session::open(&shared, &mut progress).await?;
        let task = tokio::spawn(feed::follow(Arc::downgrade(&shared), session, progress));
        let _first = shared.task.set(task.abort_handle());
        Ok(SharedStore { shared })
    }
}

impl fmt::Debug for SharedStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStoreBuilder")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The state of the store, its parts and its background task.
struct Shared {
    client: redis::Client,
    keys: Keys,
    capacity: usize,
    timeout: Duration,
    connect_timeout: Duration,
    lease: Duration,
    clock: Arc<dyn Clock>,
    link: Arc<Link>,
    epoch: Mutex<Option<Epoch>>,
    list: RevocationList,
    /// Whether the stream may lack revocations of this server.
    unpublished: AtomicBool,
    base: Instant,
    /// When the last complete reading of the stream began, in milliseconds since `base`.
    fresh: AtomicU64,
    task: OnceLock<AbortHandle>,
}

/// The names of keys and channel.
struct Keys {
    epoch: String,
    revocations: String,
    channel: String,
    replay: String,
}

/// How the server's epoch compares with the one that this server trusts.
enum Adopted {
    Held,
    New,
    Missing,
}

impl Shared {
    /// Adds the commands whose replies [`Stated::parse`] reads.
    fn ask_state(&self, pipeline: &mut Pipeline) {
        pipeline.cmd("GET").arg(&self.keys.epoch);
        pipeline.cmd("INFO").arg("server");
        pipeline.cmd("TIME");
    }

    /// Returns since when the server remembers, or `None` if it states another epoch.
    fn remembers_since(&self, stated: &Stated) -> Option<u64> {
        let epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = epoch.as_ref().filter(|it| it.holds(stated))?;
        Some(epoch.since)
    }

    fn adopt(&self, stated: &Stated) -> Adopted {
        let mut epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if epoch.as_ref().is_some_and(|it| it.holds(stated)) {
            return Adopted::Held;
        }
        let now = self.clock.now().as_secs();
        match Epoch::adopt(stated, epoch.as_ref(), now) {
            Some(new) => {
                *epoch = Some(new);
                Adopted::New
            }
            None => Adopted::Missing,
        }
    }

    fn set_fresh(&self, began: Instant) {
        let since = began.saturating_duration_since(self.base);
        self.fresh.store(millis(since), Ordering::Release);
    }

    fn is_fresh(&self) -> bool {
        let fresh = self.fresh.load(Ordering::Acquire);
        let age = millis(self.base.elapsed()).saturating_sub(fresh);
        fresh != NEVER && age <= millis(self.lease)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("link", &self.link)
            .field("is_fresh", &self.is_fresh())
            .finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The stream was never read.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests;
