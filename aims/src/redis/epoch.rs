//! How the store proves that it remembers: its *epoch* is the run of the server and a random key
//! that the server keeps. When one of them is missing or another, the server may have lost
//! entries.

use std::time::{Duration, Instant};

use redis::Value;

use super::Error;

/// The server's statements about itself, in the same transaction as an answer.
#[derive(Clone, Debug)]
pub(super) struct Stated {
    /// The stored epoch.
    pub(super) epoch: Option<Vec<u8>>,
    /// `run_id`: changes whenever the server is started.
    pub(super) run_id: String,
    /// The clock of the server, since 1970.
    pub(super) time: Duration,
}

impl Stated {
    /// Reads the replies to `GET` of the epoch, `INFO server` and `TIME`.
    pub(super) fn parse(epoch: &Value, info: &Value, time: &Value) -> Result<Self, Error> {
        let epoch = match epoch {
            Value::Nil => None,
            Value::BulkString(value) => Some(value.clone()),
            _ => return Err(unexpected("the epoch")),
        };
        let run_id = field(info, "run_id").filter(|id| !id.is_empty());
        let run_id = run_id.ok_or(unexpected("`run_id` in `INFO server`"))?;
        let Value::Array(parts) = time else {
            return Err(unexpected("`TIME`"));
        };
        let number = |value: &Value| match value {
            Value::BulkString(text) => std::str::from_utf8(text).ok()?.parse::<u64>().ok(),
            _ => None,
        };
        let mut parts = parts.iter().map(number);
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(seconds), Some(micros)) => Ok(Self {
                epoch,
                run_id,
                time: Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros)),
            }),
            _ => Err(unexpected("`TIME`")),
        }
    }
}

pub(super) const fn unexpected(expected: &'static str) -> Error {
    Error::Reply { expected }
}

/// Returns a field of a reply to `INFO`.
pub(super) fn field(info: &Value, name: &str) -> Option<String> {
    let text = match info {
        Value::BulkString(text) => std::str::from_utf8(text).ok()?,
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text,
        _ => return None,
    };
    let mut lines = text.lines();
    lines.find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found == name).then(|| value.trim().to_owned())
    })
}

/// An epoch that this instance trusts.
#[derive(Clone, Debug)]
pub(super) struct Epoch {
    value: Vec<u8>,
    run_id: String,
    /// Unix seconds. Entries of this time and before may be missing.
    pub(super) since: u64,
    /// The clock of the server and the steady clock of this process, at the same moment.
    clocks: (Duration, Instant),
}

impl Epoch {
    /// Writes the value of a new epoch.
    pub(super) fn write(run_id: &str, random: &str, since: u64) -> String {
        format!("{run_id}:{random}:{since}")
    }

    /// Takes the epoch that a server states, or returns `None` if it needs a new one.
    ///
    /// An instance that trusted another epoch before does not know when that one ended, so it
    /// trusts the new one from `now` on. `before` does not [hold](Self::holds).
    pub(super) fn adopt(stated: &Stated, before: Option<&Self>, now: u64) -> Option<Self> {
        let value = stated.epoch.as_ref()?;
        let text = std::str::from_utf8(value).ok()?;
        let (run_id, rest) = text.split_once(':')?;
        let (random, since) = rest.split_once(':')?;
        let since = since.parse::<u64>().ok()?;
        if run_id != stated.run_id || random.is_empty() {
            return None;
        }
        // The clock of the server was set. A server that starts next would trust the stored time.
        if before.is_some_and(|it| it.value == *value && it.run_id == run_id) {
            return None;
        }
        Some(Self {
            value: value.clone(),
            run_id: run_id.to_owned(),
            since: before.map_or(since, |_| since.max(now)),
            clocks: (stated.time, Instant::now()),
        })
    }

    /// Returns whether the server still remembers everything since this epoch began.
    ///
    /// Entries end by the clock of the server. If that clock was set, they may have ended too
    /// early.
    pub(super) fn holds(&self, stated: &Stated) -> bool {
        let (server, local) = self.clocks;
        let expected = server.saturating_add(local.elapsed());
        stated.epoch.as_ref() == Some(&self.value)
            && stated.run_id == self.run_id
            && expected.abs_diff(stated.time) <= MOST_DRIFT
    }
}

/// How far the clock of the server and the steady clock of this process may drift apart. Entries
/// are kept for longer than that after their end.
const MOST_DRIFT: Duration = Duration::from_secs(10);
