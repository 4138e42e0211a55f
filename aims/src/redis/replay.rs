//! Spends proofs in the shared store: one round trip for a request.

use std::sync::Arc;
use std::time::Duration;

use aims_jose::base64url;
use aims_replay::Error as ReplayError;
use redis::{Pipeline, RedisError, Value};

use super::Shared;
use super::epoch::Stated;
use super::link::is_full;
use crate::resolve::{Need, Resolve, ResolveFuture, Resolved, Spending};

/// The shared store of used proofs, for
/// [`GuardBuilder::shared_replay`](crate::guard::GuardBuilder::shared_replay).
///
/// Each request costs one round trip. If the server does not answer in time, refuses, or may have
/// lost entries, the proof is refused with 503.
#[derive(Clone, Debug)]
pub struct SharedReplay {
    shared: Arc<Shared>,
}

impl SharedReplay {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn spend(&self, proofs: &[Spending]) -> Result<(), ReplayError> {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for proof in proofs {
            if now > proof.until {
                return Err(ReplayError::Expired);
            }
            let kept = proof.until.as_secs().saturating_sub(now.as_secs());
            if kept > HORIZON {
                return Err(ReplayError::Horizon);
            }
            let (half, _) = proof.key.as_bytes().split_at(16);
            let key = format!("{}:{}", shared.keys.replay, base64url::encode(half));
            let kept = kept.saturating_add(MARGIN.as_secs());
            pipeline
                .cmd("SET")
                .arg(key)
                .arg(1)
                .arg("NX")
                .arg("EX")
                .arg(kept);
        }
        shared.ask_state(&mut pipeline);
        let open = shared.link.connection().ok_or(ReplayError::Unavailable)?;
        let reply = query(&pipeline, open.connection.clone()).await;
        let reply = reply.map_err(|error| {
            shared.link.failed(&open, &error);
            refused(&error)
        })?;
        shared.link.answered();
        let (spent, stated) = reply.split_at_checked(proofs.len()).unwrap_or_default();
        let stated = match stated {
            [epoch, info, time] => Stated::parse(epoch, info, time).ok(),
            _ => None,
        };
        let since = stated.and_then(|stated| shared.remembers_since(&stated));
        let Some(since) = since else {
            shared.link.wake.notify_one();
            return Err(ReplayError::Unavailable);
        };
        for outcome in spent {
            match outcome {
                Value::Okay => {}
                Value::Nil => return Err(ReplayError::Replayed),
                _ => return Err(ReplayError::Unavailable),
            }
        }
        // The store has spent the proof, and the guard refuses it.
        if proofs.iter().any(|it| it.from.as_secs() <= since) {
            return Err(ReplayError::BeforeStart);
        }
        Ok(())
    }
}

async fn query(
    pipeline: &Pipeline,
    mut connection: redis::aio::MultiplexedConnection,
) -> Result<Vec<Value>, RedisError> {
    pipeline.query_async(&mut connection).await
}

fn refused(error: &RedisError) -> ReplayError {
    if is_full(error) {
        tracing::warn!("the memory of the shared store is full");
        return ReplayError::Full;
    }
    tracing::debug!(%error, "the shared store did not spend a proof");
    ReplayError::Unavailable
}

impl Resolve for SharedReplay {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        Box::pin(async move {
            match need {
                Need::SharedReplay(proofs) => Resolved::Spent(self.spend(&proofs).await),
                Need::Bundle(_) | Need::IssuerKeys(_) | Need::TransactionKeys(_) => {
                    Resolved::Unchanged
                }
                Need::Introspection(_) | Need::Decision(_) => Resolved::Unavailable,
            }
        })
    }
}

/// How long an entry is kept after its end: longer than clocks may differ.
const MARGIN: Duration = Duration::from_secs(60);
/// The longest validity of a proof, in seconds: a year.
const HORIZON: u64 = 366 * 24 * 3_600;
