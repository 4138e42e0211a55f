//! Revocations that all servers of the store share.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aims_jose::time::UnixTime;
use redis::Value;

use super::entry::Entry;
use super::epoch::unexpected;
use super::{Error, Shared, room};
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
            room::make(shared).await?;
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

impl Revoked for SharedRevocations {
    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool {
        self.shared.list.is_revoked(credential, now)
    }

    fn is_current(&self) -> bool {
        self.shared.is_fresh()
    }
}
