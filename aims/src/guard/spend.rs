//! *Spend*: spends the proofs as the last step, so that only valid requests use the store.

use std::sync::{Arc, Mutex, PoisonError};

use aims_error::ErrorKind;
use aims_jose::time::UnixTime;
use aims_replay::{Error, ReplayKey, ReplayStore};

use super::evidence::{Evidence, Proof, UnspentProof};
use super::refused::Refused;
use crate::refusal::ErrorResponse;
use crate::resolve::{Resolve, Spending};

/// The store of spent proofs.
#[derive(Debug)]
pub(super) enum Replay {
    /// A store in this process.
    Local(Arc<dyn ReplayStore>),
    /// A store that needs I/O.
    Shared(Arc<dyn Resolve>),
}

impl Replay {
    /// Spends the proofs, and returns what a shared store must spend.
    pub(super) fn spend(
        &self,
        unspent: Vec<UnspentProof>,
        evidence: &Evidence,
        now: UnixTime,
    ) -> Result<(Vec<Proof>, Vec<Spending>), Refused> {
        let sender = evidence.agent.as_ref().map_or("", |it| it.id().as_str());
        let collected = Collected::default();
        let store: &dyn ReplayStore = match self {
            Self::Local(store) => store.as_ref(),
            Self::Shared(_) => &collected,
        };
        let mut proofs = Vec::with_capacity(unspent.len());
        for proof in unspent {
            proofs.push(proof.spend(store, sender, now)?);
        }
        Ok((proofs, collected.into_inner()))
    }
}

/// Collects what a shared store must spend. The proofs are not accepted before the store has
/// answered.
#[derive(Debug, Default)]
struct Collected(Mutex<Vec<Spending>>);

impl Collected {
    fn into_inner(self) -> Vec<Spending> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplayStore for Collected {
    fn spend(&self, key: &ReplayKey, until: UnixTime, _: UnixTime) -> Result<(), Error> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.iter().any(|it| it.key == *key) {
            return Err(Error::Replayed);
        }
        held.push(Spending::new(*key, until));
        Ok(())
    }
}

/// Returns the refusal for a shared store that did not spend the proofs.
pub(super) fn not_spent(error: Error) -> Refused {
    let answer = match error.kind() {
        ErrorKind::Unavailable => ErrorResponse::Unavailable,
        _ => ErrorResponse::Problem("the proof was not accepted"),
    };
    Refused::of(error.code(), error.kind(), answer, &error)
}
