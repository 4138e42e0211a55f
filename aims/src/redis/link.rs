//! The connection that requests use, with a circuit breaker: after failures, requests are refused
//! at once until the background task has connected anew.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};
use tokio::sync::Notify;

/// The connection of the requests.
#[derive(Default)]
pub(super) struct Link {
    state: Mutex<State>,
    /// Time-outs since the last answer.
    timeouts: AtomicU32,
    /// Wakes the background task.
    pub(super) wake: Notify,
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Counts the connections, so that a late failure of one does not close the next.
    number: u64,
}

/// A connection, and its number.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) connection: MultiplexedConnection,
    number: u64,
}

impl Link {
    /// Returns the connection, or `None` while the circuit is open.
    pub(super) fn connection(&self) -> Option<Open> {
        let state = self.state();
        Some(Open {
            connection: state.connection.clone()?,
            number: state.number,
        })
    }

    /// Closes the circuit: requests use this connection from now on.
    pub(super) fn close(&self, connection: MultiplexedConnection) {
        let mut state = self.state();
        state.connection = Some(connection);
        state.number = state.number.wrapping_add(1);
        self.timeouts.store(0, Ordering::Relaxed);
    }

    /// Opens the circuit: requests are refused from now on.
    pub(super) fn open(&self) {
        self.state().connection = None;
    }

    /// Returns whether requests have a connection.
    pub(super) fn is_closed(&self) -> bool {
        self.state().connection.is_some()
    }

    /// Notes that the server has answered.
    pub(super) fn answered(&self) {
        self.timeouts.store(0, Ordering::Relaxed);
    }

    /// Notes a failure. Opens the circuit if the connection is of no more use.
    pub(super) fn failed(&self, of: &Open, error: &RedisError) {
        let is_lost = if error.is_timeout() {
            self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_TIMEOUTS
        } else {
            is_lost(error)
        };
        if !is_lost {
            return;
        }
        let mut state = self.state();
        if state.number == of.number && state.connection.take().is_some() {
            tracing::warn!(%error, "the shared store is unavailable");
            self.wake.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether another connection may lead to a server that can do better.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error()
        || error.kind() == ErrorKind::Parse
        || has_code(error, &["READONLY", "MASTERDOWN", "LOADING", "NOAUTH"])
}

/// Returns whether the server has no memory left.
pub(super) fn is_full(error: &RedisError) -> bool {
    has_code(error, &["OOM"])
}

/// Returns whether the server answered a command with one of these codes.
pub(super) fn has_code(error: &RedisError, codes: &[&str]) -> bool {
    let errors = error.clone().into_server_errors();
    errors.is_some_and(|all| all.iter().any(|(_, it)| codes.contains(&it.code())))
}

/// The number of time-outs in a row that open the circuit.
const MOST_TIMEOUTS: u32 = 3;

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
