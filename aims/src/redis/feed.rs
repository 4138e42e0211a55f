//! The background task: connects, follows the stream of revocations, and keeps the circuit of the
//! requests.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use aims_jose::random;
use futures_core::Stream;
use redis::aio::{MultiplexedConnection, PubSubStream};
use redis::{RedisError, Value};

use super::entry::{Entry, Placed};
use super::epoch::{Epoch, Stated, field, unexpected};
use super::link::is_full;
use super::{Adopted, Error, Shared};

/// The connections to the server.
pub(super) struct Session {
    connection: MultiplexedConnection,
    /// Each message says that the stream has grown. A lost one does no harm.
    messages: PubSubStream,
}

/// How far the stream was read.
#[derive(Debug)]
pub(super) struct Progress {
    last: String,
    /// The entries of the stream, while all of it is read.
    seen: Option<HashSet<Vec<(&'static str, String)>>>,
    /// Entries of this server's list that the stream may lack. Set once all of it was read.
    missing: Option<Vec<Entry>>,
    /// When to add again what the stream lacks. Set when the server had no memory left.
    retry_at: Option<Instant>,
}

impl Progress {
    /// Begins with the first entry of the stream.
    pub(super) fn begin() -> Self {
        Self {
            last: "0-0".to_owned(),
            seen: Some(HashSet::new()),
            missing: None,
            retry_at: None,
        }
    }
}

impl Session {
    /// Connects, and reads what this instance has missed. Only then requests use the connection.
    pub(super) async fn open(shared: &Shared, progress: &mut Progress) -> Result<Self, Error> {
        let opened = tokio::time::timeout(shared.connect_timeout, Self::connect(shared)).await;
        let mut session = opened.map_err(|_elapsed| Error::Unavailable(None))??;
        session.read(shared, progress).await?;
        shared.link.close(session.connection.clone());
        Ok(session)
    }

    async fn connect(shared: &Shared) -> Result<Self, Error> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(shared.connect_timeout))
            .set_response_timeout(Some(shared.timeout));
        let client = &shared.client;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let connection = connection.await?;
        // Subscribe before the stream is read, so that no entry falls in between.
        let mut messages = client.get_async_pubsub().await?;
        messages.subscribe(&shared.keys.channel).await?;
        Ok(Self {
            connection,
            messages: messages.into_on_message(),
        })
    }

    /// Reads the stream to its end, and checks that the server remembers and evicts nothing.
    async fn read(&mut self, shared: &Shared, progress: &mut Progress) -> Result<(), Error> {
        let is_due = progress.retry_at.is_some_and(|at| at <= Instant::now());
        if is_due || shared.unpublished.swap(false, Ordering::AcqRel) {
            *progress = Progress::begin();
        }
        let was_whole = progress.seen.is_some();
        let read = self.read_all(shared, progress).await;
        if read.is_err() && (was_whole || progress.seen.is_some()) {
            // What is missing in the stream is not known.
            *progress = Progress::begin();
        }
        read
    }

    async fn read_all(&mut self, shared: &Shared, progress: &mut Progress) -> Result<(), Error> {
        loop {
            let began = Instant::now();
            // No transaction, because a full server refuses those. The epoch is read after the
            // entries, so a loss in between is noticed.
            let mut pipeline = redis::pipe();
            let after = format!("({}", progress.last);
            let stream = &shared.keys.revocations;
            let page = pipeline.cmd("XRANGE").arg(stream).arg(after).arg("+");
            page.arg("COUNT").arg(PAGE);
            pipeline.cmd("INFO").arg("memory");
            shared.ask_state(&mut pipeline);
            let reply: Vec<Value> = pipeline.query_async(&mut self.connection).await?;
            let [page, memory, epoch, info, time] = reply.as_slice() else {
                return Err(unexpected("five results"));
            };
            check_eviction(memory)?;
            let stated = Stated::parse(epoch, info, time)?;
            match shared.adopt(&stated) {
                Adopted::Held => {}
                Adopted::New => {
                    // What the server has of the stream may be another one, or less.
                    *progress = Progress::begin();
                    continue;
                }
                Adopted::Missing => {
                    self.begin_epoch(shared, &stated).await?;
                    continue;
                }
            }
            let entries = Placed::parse_all(page)?;
            let count = entries.len();
            for Placed { id, entry, .. } in entries {
                if let Some(seen) = &mut progress.seen {
                    seen.insert(entry.fields());
                }
                shared.list.revoke(entry.by, entry.until);
                progress.last = id;
            }
            if count >= PAGE {
                continue;
            }
            // This server knows everything in the stream.
            shared.set_fresh(began);
            let Some(seen) = &progress.seen else {
                return Ok(());
            };
            let missing = progress.missing.get_or_insert_with(|| own_entries(shared));
            match self.publish_missing(shared, missing, seen).await {
                // Read what the other servers have added meanwhile, before the next ones.
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) if is_full(&error) => {
                    progress.retry_at = Some(Instant::now() + RETRY);
                }
                Err(error) => return Err(error.into()),
            }
            (progress.seen, progress.missing) = (None, None);
            return Ok(());
        }
    }

    /// Writes a new epoch to a server that has none, that of another run, or a new time.
    async fn begin_epoch(&mut self, shared: &Shared, stated: &Stated) -> Result<(), Error> {
        let random = random::id128(random::SYSTEM);
        let random = random.map_err(|error| Error::Random(Box::new(error)))?;
        // The later one of the two clocks, and a second for the time that the command takes. A
        // clock of the server that is far ahead must not refuse all proofs until then.
        let own = shared.clock.now().as_secs();
        let now = own.max(stated.time.as_secs().min(own.saturating_add(MOST_AHEAD)));
        let value = Epoch::write(&stated.run_id, &random, now.saturating_add(1));
        tracing::warn!(
            "the shared store has no epoch of this run, or its clock was set: what it knew may be lost"
        );
        let mut command = redis::cmd("SET");
        command.arg(&shared.keys.epoch).arg(value);
        let _done: Value = command.query_async(&mut self.connection).await?;
        Ok(())
    }

    /// Adds some of the entries that the stream does not have: it lost them, or never got them.
    /// Returns whether there may be more.
    async fn publish_missing(
        &mut self,
        shared: &Shared,
        missing: &mut Vec<Entry>,
        seen: &HashSet<Vec<(&'static str, String)>>,
    ) -> Result<bool, RedisError> {
        let mut pipeline = redis::pipe();
        let mut count = 0;
        while count < PAGE
            && let Some(entry) = missing.pop()
        {
            if !seen.contains(&entry.fields()) {
                pipeline.add_command(entry.add_to(&shared.keys.revocations));
                count += 1;
            }
        }
        if count == 0 {
            return Ok(false);
        }
        let channel = &shared.keys.channel;
        pipeline.cmd("PUBLISH").arg(channel).arg("");
        let _ids: Vec<Value> = pipeline.query_async(&mut self.connection).await?;
        Ok(true)
    }

    /// Waits for a message, for the next period, or to be woken. Returns `false` if the connection
    /// is lost.
    async fn wait(&mut self, shared: &Weak<Shared>) -> bool {
        let Some(link) = shared.upgrade().map(|it| Arc::clone(&it.link)) else {
            return false;
        };
        let message = poll_fn(|context| Pin::new(&mut self.messages).poll_next(context));
        tokio::select! {
            message = message => message.is_some(),
            () = tokio::time::sleep(PERIOD) => true,
            () = link.wake.notified() => link.is_closed(),
        }
    }
}

/// Follows the stream until the store is dropped.
pub(super) async fn follow(store: Weak<Shared>, mut session: Session, mut progress: Progress) {
    loop {
        let mut why = Error::Unavailable(None);
        while session.wait(&store).await {
            let Some(shared) = store.upgrade() else {
                return;
            };
            if let Err(error) = session.read(&shared, &mut progress).await {
                why = error;
                break;
            }
        }
        let Some(shared) = store.upgrade() else {
            return;
        };
        shared.link.open();
        tracing::warn!(error = %aims_jose::Chain(&why), "the shared store is lost; connecting anew");
        drop(shared);
        let mut pause = FIRST_PAUSE;
        session = loop {
            let Some(shared) = store.upgrade() else {
                return;
            };
            match Session::open(&shared, &mut progress).await {
                Ok(session) => break session,
                Err(error) => {
                    tracing::warn!(error = %aims_jose::Chain(&error), "no connection to the shared store");
                }
            }
            drop(shared);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        tracing::info!("the shared store is available again");
    }
}

/// Returns the revocations that this server knows.
fn own_entries(shared: &Shared) -> Vec<Entry> {
    let own = shared.list.entries().into_iter();
    own.map(|(by, until)| Entry { by, until }).collect()
}

/// Refuses a server that forgets entries when its memory is full.
fn check_eviction(memory: &Value) -> Result<(), Error> {
    let policy = field(memory, "maxmemory_policy");
    let found = policy.ok_or(unexpected("`maxmemory_policy` in `INFO memory`"))?;
    if found == "noeviction" {
        return Ok(());
    }
    Err(Error::Eviction { found })
}

/// How often the stream is read without a message.
const PERIOD: Duration = Duration::from_secs(1);
/// How many entries are read at once.
const PAGE: usize = 1_000;
/// How long after a full server the missing entries are added again.
const RETRY: Duration = Duration::from_secs(5);
/// How far the clock of the server counts as ahead of this one, in seconds.
const MOST_AHEAD: u64 = 60;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
