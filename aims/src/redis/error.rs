//! Errors of a shared store.

use super::link::has_code;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Error returned when a shared store cannot be used, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server evicts entries when its memory is full, so it would forget used proofs.
    #[error(
        "`maxmemory-policy` of the Redis server is {found:?}, expected \"noeviction\": run `CONFIG SET maxmemory-policy noeviction`, and write it to redis.conf"
    )]
    Eviction {
        /// The policy that the server states.
        found: String,
    },
    /// The server refused the user, the password or a command.
    #[error(
        "the Redis server refused the user or a command: expected the password in the URL, and a user that may run the commands that `aims::redis` lists"
    )]
    Login(#[source] Source),
    /// The system gave no random bytes.
    #[error("no random bytes for the epoch of the shared store")]
    Random(#[source] Source),
    /// The server sent something that a Redis server does not send.
    #[error("unexpected reply of the Redis server, expected {expected}")]
    Reply {
        /// The expected content.
        expected: &'static str,
    },
    /// The server is unreachable, or did not answer in time.
    #[error("the Redis server is unavailable")]
    Unavailable(#[source] Option<Source>),
    /// The URL is not the address of a Redis server.
    #[error(
        "invalid Redis URL: expected rediss://user:password@host:port/database, redis://… or unix:///path"
    )]
    Url(#[source] Source),
}

impl Error {
    aims_error::codes! {
        Self::Eviction { .. } => Configuration "redis.eviction",
        Self::Login(_) => Configuration "redis.login",
        Self::Random(_) => Unavailable "redis.random",
        Self::Reply { .. } => Unavailable "redis.reply",
        Self::Unavailable(_) => Unavailable "redis.unavailable",
        Self::Url(_) => Configuration "redis.url",
    }
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        use redis::ErrorKind;
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Login(Box::new(error)),
            ErrorKind::InvalidClientConfig => Self::Url(Box::new(error)),
            _ if has_code(&error, &["NOAUTH", "NOPERM", "WRONGPASS"]) => {
                Self::Login(Box::new(error))
            }
            _ => Self::Unavailable(Some(Box::new(error))),
        }
    }
}
