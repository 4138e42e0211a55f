//! Revocations that all servers of the store share.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aims_jose::time::{UnixTime, at};
use redis::Value;

use super::entry::{Entry, Placed};
use super::epoch::unexpected;
use super::{Error, Shared};
use crate::revoked::{Credential, RevocationList, Revoked, RevokedBy};

/// Revocations that all servers of a shared store know, for
/// [`GuardBuilder::revoked`](crate::guard::GuardBuilder::revoked).
///
/// A revocation takes effect on this server before [`revoke`](Self::revoke) returns, and on the
/// others within milliseconds. A server that has not heard from the store for the
/// [lease](super::SharedStoreBuilder::lease) refuses every credential with 503.
#[derive(Clone, Debug)]
pub struct SharedRevocations {
    shared: Arc<Shared>,
}

impl SharedRevocations {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Revokes what was issued or begun at or before `until`, which in most cases is the current
    /// time.
    ///
    /// # Errors
    ///
    /// [`Error`] if the shared store did not confirm the revocation. It is then in effect on this
    /// server alone. The background task publishes it when the store can be reached, also if the
    /// future is dropped before it is ready.
    pub async fn revoke(&self, by: RevokedBy, until: UnixTime) -> Result<(), Error> {
        let shared = &*self.shared;
        shared.list.revoke(by.clone(), until);
        let unpublished = Unpublished(shared);
        let length = self.publish(&Entry { by, until }).await?;
        mem::forget(unpublished);
        if length > shared.capacity {
            self.coarsen(length / 2).await?;
        }
        Ok(())
    }

    /// Returns the revocations that this server knows.
    #[must_use]
    pub fn list(&self) -> &RevocationList {
        &self.shared.list
    }

    /// Appends an entry, and wakes the other servers. Returns the length of the stream.
    async fn publish(&self, entry: &Entry) -> Result<usize, Error> {
        let shared = &*self.shared;
        let mut open = shared.link.connection().ok_or(Error::Unavailable(None))?;
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        pipeline.add_command(entry.add_to(&shared.keys.revocations));
        pipeline.cmd("XLEN").arg(&shared.keys.revocations);
        pipeline.cmd("PUBLISH").arg(&shared.keys.channel).arg("");
        let reply: Result<Vec<Value>, _> = pipeline.query_async(&mut open.connection).await;
        let reply = reply.inspect_err(|error| shared.link.failed(&open, error))?;
        shared.link.answered();
        match reply.as_slice() {
            [Value::BulkString(_), Value::Int(length), _] => {
                Ok(usize::try_from(*length).unwrap_or(usize::MAX))
            }
            _ => Err(unexpected("an identifier and a length")),
        }
    }

    /// Replaces the oldest entries by one that revokes everything until the newest of them.
    async fn coarsen(&self, count: usize) -> Result<(), Error> {
        let shared = &*self.shared;
        let mut open = shared.link.connection().ok_or(Error::Unavailable(None))?;
        let stream = &shared.keys.revocations;
        let now = shared.clock.now().as_secs();
        let (mut left, mut last, mut until) = (count, "0-0".to_owned(), None);
        while left > 0 {
            let mut command = redis::cmd("XRANGE");
            command.arg(stream).arg(format!("({last}")).arg("+");
            command.arg("COUNT").arg(left.min(PAGE));
            let page: Value = command.query_async(&mut open.connection).await?;
            let entries = Placed::parse_all(&page)?;
            if entries.is_empty() {
                break;
            }
            left = left.saturating_sub(entries.len());
            for Placed { id, entry } in entries {
                if !entry.is_over(now) {
                    until = until.max(Some(entry.until.as_secs()));
                }
                last = id;
            }
        }
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        if let Some(until) = until {
            let by = RevokedBy::Everything;
            let until = at(until);
            tracing::warn!(
                until = until.as_secs(),
                "the stream of revocations is full: everything that was issued until then is revoked"
            );
            shared.list.revoke(by.clone(), until);
            pipeline.add_command(Entry { by, until }.add_to(stream));
        }
        let least = next(&last).ok_or(unexpected("an identifier of a stream"))?;
        pipeline.cmd("XTRIM").arg(stream).arg("MINID").arg(least);
        pipeline.cmd("PUBLISH").arg(&shared.keys.channel).arg("");
        let _done: Vec<Value> = pipeline.query_async(&mut open.connection).await?;
        Ok(())
    }
}

/// A revocation that the store has not confirmed. When it is dropped, the background task publishes
/// it.
struct Unpublished<'a>(&'a Shared);

impl Drop for Unpublished<'_> {
    fn drop(&mut self) {
        self.0.unpublished.store(true, Ordering::Release);
        self.0.link.wake.notify_one();
    }
}

/// Returns the identifier after this one.
fn next(id: &str) -> Option<String> {
    let (time, number) = id.split_once('-')?;
    let number = number.parse::<u64>().ok()?.checked_add(1)?;
    Some(format!("{time}-{number}"))
}

impl Revoked for SharedRevocations {
    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool {
        self.shared.list.is_revoked(credential, now)
    }

    fn is_current(&self) -> bool {
        self.shared.is_fresh()
    }
}

const PAGE: usize = 1_000;
