//! *Spend*: spends the proofs as the last step, so that only valid requests use the store.

use std::sync::{Arc, Mutex, PoisonError};

use aims_error::ErrorKind;
use aims_jose::time::{UnixTime, at};
use aims_oauth_wire::dpop;
use aims_replay::{Error, ReplayKey, ReplayStore, Validity};

use super::Guard;
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

impl<M> Guard<M> {
    /// Spends the proofs, and returns what a shared store must spend.
    pub(super) fn spend(
        &self,
        unspent: Vec<UnspentProof>,
        evidence: &Evidence,
        now: UnixTime,
    ) -> Result<(Vec<Proof>, Vec<Spending>), Refused> {
        let collected = Collected::default();
        let store: &dyn ReplayStore = match &self.inner.replay {
            Replay::Local(store) => store.as_ref(),
            Replay::Shared(_) => &collected,
        };
        let mut proofs = Vec::with_capacity(unspent.len());
        for proof in unspent {
            proofs.push(proof.spend(self, evidence, store, now)?);
        }
        Ok((proofs, collected.into_inner()))
    }

    /// Returns the refusal for a shared store that did not spend these proofs.
    pub(super) fn not_spent(&self, proofs: &[Proof], error: Error) -> Refused {
        // A certificate is not spent.
        let mut spent = proofs.iter();
        if spent.all(|it| matches!(it, Proof::Dpop(_) | Proof::Certificate(_))) {
            return self.dpop_refused(&dpop::Error::Replay(error), None);
        }
        let answer = match error.kind() {
            ErrorKind::Unavailable => ErrorResponse::Unavailable,
            _ => ErrorResponse::Problem("the proof was not accepted"),
        };
        Refused::of(error.code(), error.kind(), answer, &error)
    }
}

/// Collects what a shared store must spend. The proofs are not accepted before the store has
/// answered.
#[derive(Debug, Default)]
pub(super) struct Collected(Mutex<Vec<Spending>>);

impl Collected {
    pub(super) fn into_inner(self) -> Vec<Spending> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplayStore for Collected {
    fn spend(&self, key: &ReplayKey, until: UnixTime, now: UnixTime) -> Result<(), Error> {
        // Nothing tells when it was made: it may be as old as can be.
        self.spend_proof(key, Validity::new(at(0), until), now)
    }

    fn spend_proof(&self, key: &ReplayKey, valid: Validity, _: UnixTime) -> Result<(), Error> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.iter().any(|it| it.key == *key) {
            return Err(Error::Replayed);
        }
        held.push(Spending::new(*key, valid));
        Ok(())
    }
}
