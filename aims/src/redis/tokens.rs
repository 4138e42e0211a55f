//! Sealed tokens of agents in Redis.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::random;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, SystemClock};
use aims_oauth_client::{
    Error as OAuthError, SealingKey, StoreFuture, StoreKey, StoredValue, TokenStore,
};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use tokio::sync::Mutex;

use super::link::is_full;
use super::{Error, SharedStore};

/// The length of the version before a sealed value.
const VERSION: usize = 8;
/// The time for one change or look, with a new connection if necessary.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps tokens on a Redis or Valkey server, each sealed with a key that the server does not have.
/// Needs the features `redis` and `redis-tokens`.
///
/// It has a connection of its own, and makes one change at a time, as a transaction that fails if
/// another client changed the value (`WATCH`). The server must keep what it has accepted: use
/// `appendonly yes` with `appendfsync always`, because a lost refresh token needs the user. A full
/// server refuses new values (`store.full`).
///
/// The commands are `GET`, `SET`, `DEL`, `WATCH`, `UNWATCH`, `MULTI`, `EXEC`, `ZADD`, `ZREM`,
/// `ZREMRANGEBYSCORE`, `ZRANGEBYSCORE`, `HELLO`, `AUTH`, `SELECT` and `CLIENT`, on keys that begin
/// with `{aims}:tokens:`.
///
/// ```no_run
/// use aims::oauth_client::SealingKey;
/// use aims::redis::SharedTokens;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let key = SealingKey::from_file("/etc/agent/tokens.key")?;
/// let store = SharedTokens::new("rediss://agent:secret@redis.example:6379", key)?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedTokens(Arc<Inner>);

struct Inner {
    client: redis::Client,
    prefix: String,
    key: SealingKey,
    clock: Arc<dyn Clock>,
    /// One user at a time, because `WATCH` belongs to the connection.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl SharedTokens {
    /// Creates a store on this server. It connects when it is used first, and again after each
    /// failure.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] if the URL is not that of a Redis server.
    pub fn new(url: &str, key: SealingKey) -> Result<Self, Error> {
        let client = SharedStore::builder(url)?.client;
        Ok(Self(Arc::new(Inner {
            client,
            prefix: "{aims}:tokens:".to_owned(),
            key,
            clock: Arc::new(SystemClock::new()),
            connection: Mutex::default(),
        })))
    }

    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, OAuthError> {
        let inner = &*self.0;
        let done = tokio::time::timeout(TIMEOUT, async {
            let mut held = inner.connection.lock().await;
            // It stays away unless the work ends well, so that no `WATCH` is left over.
            let mut connection = match held.take() {
                Some(connection) => connection,
                None => {
                    let config = redis::AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(TIMEOUT))
                        .set_response_timeout(Some(TIMEOUT));
                    let client = &inner.client;
                    client
                        .get_multiplexed_async_connection_with_config(&config)
                        .await?
                }
            };
            let done = work(&mut connection).await?;
            *held = Some(connection);
            Ok(done)
        });
        match done.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if is_full(&error) => Err(OAuthError::StoreFull),
            Ok(Err(error)) => Err(unavailable(error)),
            Err(elapsed) => Err(unavailable(elapsed)),
        }
    }

    fn name(&self, key: &str) -> String {
        [&self.0.prefix, key].concat()
    }
}

impl TokenStore for SharedTokens {
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>> {
        Box::pin(async move {
            let name = self.name(key.as_str());
            let found: Option<Vec<u8>> = self
                .run(async |redis| redis::cmd("GET").arg(&name).query_async(redis).await)
                .await?;
            let Some(found) = found else {
                return Ok(None);
            };
            let (version, sealed) = split(&found).ok_or(OAuthError::StoreContent)?;
            Ok(Some((
                self.0.key.open(&place(key, version), sealed)?,
                version,
            )))
        })
    }

    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<StoredValue>,
    ) -> StoreFuture<'a, Option<u64>> {
        Box::pin(async move {
            let mut bytes = [0; VERSION];
            random::SYSTEM
                .fill(&mut bytes)
                .map_err(OAuthError::Random)?;
            let new = u64::from_be_bytes(bytes);
            let sealed = value.as_ref().map(|it| {
                let sealed = self.0.key.seal(&place(key, new), it.text())?;
                Ok::<_, OAuthError>([&bytes[..], &sealed].concat())
            });
            let sealed = sealed.transpose()?;
            let until = value.and_then(|it| it.until()).map(|it| it.as_secs());
            let (name, group) = (self.name(key.as_str()), self.name(key.group()));
            let now = self.0.clock.now().as_secs();
            let swapped = self.run(async |redis| {
                redis::cmd("WATCH").arg(&name).exec_async(redis).await?;
                let own: Option<Vec<u8>> = redis::cmd("GET").arg(&name).query_async(redis).await?;
                let own = own.as_deref().map(|it| split(it).map(|(own, _)| own));
                // A value without a version is none that this store wrote.
                if own.map(|own| own.unwrap_or(0)) != version {
                    redis::cmd("UNWATCH").exec_async(redis).await?;
                    return Ok(None);
                }
                let mut change = redis::pipe();
                change.atomic();
                match sealed {
                    Some(sealed) => {
                        let set = change.cmd("SET").arg(&name).arg(sealed);
                        if let Some(until) = until {
                            set.arg("EXAT").arg(until.max(1));
                        }
                        let score = until.map_or_else(|| "+inf".to_owned(), |it| it.to_string());
                        change.cmd("ZADD").arg(&group).arg(score).arg(key.as_str());
                    }
                    None => {
                        change.cmd("DEL").arg(&name);
                        change.cmd("ZREM").arg(&group).arg(key.as_str());
                    }
                }
                let ended = change.cmd("ZREMRANGEBYSCORE").arg(&group);
                ended.arg("-inf").arg(now);
                let changed: Value = change.query_async(redis).await?;
                Ok((changed != Value::Nil).then_some(new))
            });
            swapped.await
        })
    }

    fn keys<'a>(&'a self, group: &'a str) -> StoreFuture<'a, Vec<StoreKey>> {
        Box::pin(async move {
            let (group, now) = (self.name(group), self.0.clock.now().as_secs());
            let mut asked = redis::cmd("ZRANGEBYSCORE");
            asked.arg(group).arg(format!("({now}")).arg("+inf");
            let keys: Vec<String> = self
                .run(async |redis| asked.query_async(redis).await)
                .await?;
            keys.iter().map(|it| it.parse()).collect()
        })
    }

    fn is_sealed(&self) -> bool {
        true
    }
}

/// Returns the version and the sealed text of a value.
fn split(value: &[u8]) -> Option<(u64, &[u8])> {
    let (version, sealed) = value.split_first_chunk::<VERSION>()?;
    Some((u64::from_be_bytes(*version), sealed))
}

/// Returns the place that a value is sealed for: its key and its version.
fn place(key: &StoreKey, version: u64) -> Vec<u8> {
    [key.as_str().as_bytes(), &version.to_be_bytes()].concat()
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> OAuthError {
    OAuthError::Store(Arc::new(io::Error::other(error)))
}

impl fmt::Debug for SharedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTokens").finish_non_exhaustive()
    }
}
