//! The admission of one request, as a state: what was verified, what was spent, what was decided.
//! The pure part takes it as far as it can, and returns what it needs to know; the rim answers.

use std::time::Duration;

use aims_error::ErrorKind;
use aims_jose::time::UnixTime;
use aims_replay::Error as ReplayError;

use super::Guard;
use super::decide::{Decided, Decides};
use super::evidence::{Evidence, Proof, UnspentProof};
use super::received::ReceivedRequest;
use super::record::Admitted;
use super::refused::Refused;
use super::spend::{Replay, not_spent};
use crate::decision::{Attributes, Reason};
use crate::principal::{Principal, Proven};
use crate::refusal::{ErrorResponse, Refusal};
use crate::resolve::{Keys, Need, Resolved};

/// One request on its way.
pub(super) struct Admission<'a> {
    pub(super) received: ReceivedRequest<'a>,
    pub(super) evidence: Evidence,
    pub(super) attributes: Attributes,
    pub(super) state: State,
    /// Who was proven, from when the proofs were spent.
    pub(super) principal: Option<Principal>,
    /// Whose keys were asked for already: each once.
    asked: Vec<Keys>,
}

/// How far an admission is. What was spent is never judged again as a replay, because nothing leads
/// back from there.
pub(super) enum State {
    /// Nothing is verified, or it is to be verified again with other keys.
    Fresh,
    /// All of it is good, if the proofs are the first of their kind.
    Verified(Vec<UnspentProof>),
    /// A shared store is asked about the proofs.
    Spending(Vec<Proof>, UnixTime),
    /// The proofs are spent.
    Spent(Vec<Proof>),
    /// A decision is asked for elsewhere.
    Deciding(Principal, Vec<Reason>),
    Accepted(Principal, Vec<Reason>),
    Refused(Box<Refused>),
}

/// The most kinds of keys that are asked for in one admission: those of a bundle and of an issuer,
/// and each once more for what is found with the first.
const MOST_KEYS: usize = 3;

impl<'a> Admission<'a> {
    pub(super) fn new(received: ReceivedRequest<'a>) -> Self {
        Self {
            received,
            evidence: Evidence::default(),
            attributes: Attributes::new(),
            state: State::Fresh,
            principal: None,
            asked: Vec::new(),
        }
    }

    pub(super) fn refuse(&mut self, refused: Refused) {
        self.state = State::Refused(Box::new(refused));
    }

    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(_))
    }

    /// The proofs that were verified and not yet spent.
    pub(super) fn unspent(&self) -> &[UnspentProof] {
        match &self.state {
            State::Verified(unspent) => unspent,
            _ => &[],
        }
    }

    /// The keys that may change a refusal, unless they were asked for before.
    fn missing_keys(&mut self) -> Option<Need> {
        let State::Refused(refused) = &self.state else {
            return None;
        };
        let need = refused.need()?;
        let keys = need.keys()?;
        if self.asked.len() >= MOST_KEYS || self.asked.contains(&keys) {
            return None;
        }
        self.asked.push(keys);
        Some(need.clone())
    }
}

impl<M> Guard<M> {
    /// Verifies, unless that was done. Needs keys where they may change a refusal.
    pub(super) fn verify_step(&self, admission: &mut Admission<'_>, now: UnixTime) -> Option<Need> {
        if matches!(admission.state, State::Fresh) {
            admission.evidence = Evidence::default();
            let examined = self.examine(admission.received, &mut admission.evidence, now);
            match examined {
                Ok(unspent) => admission.state = State::Verified(unspent),
                Err(refused) => admission.refuse(refused),
            }
        }
        admission.missing_keys()
    }

    /// Spends and decides, as far as it can be known here.
    pub(super) fn conclude_step(
        &self,
        admission: &mut Admission<'_>,
        now: UnixTime,
    ) -> Option<Need> {
        loop {
            match std::mem::replace(&mut admission.state, State::Fresh) {
                State::Verified(unspent) => {
                    match self.inner.replay.spend(unspent, &admission.evidence, now) {
                        Ok((proofs, asked)) if asked.is_empty() => {
                            admission.state = State::Spent(proofs);
                        }
                        Ok((proofs, asked)) => {
                            let ends = asked.iter().map(|it| it.until).min();
                            admission.state = State::Spending(proofs, ends.unwrap_or(now));
                            return Some(Need::SharedReplay(asked));
                        }
                        Err(refused) => admission.refuse(refused),
                    }
                }
                State::Spent(proofs) => match self.decide_step(admission, proofs, now) {
                    Ok((state, need)) => {
                        admission.state = state;
                        if need.is_some() {
                            return need;
                        }
                    }
                    Err(refused) => admission.refuse(refused),
                },
                state => {
                    admission.state = state;
                    return None;
                }
            }
        }
    }

    fn decide_step(
        &self,
        admission: &mut Admission<'_>,
        proofs: Vec<Proof>,
        now: UnixTime,
    ) -> Result<(State, Option<Need>), Refused> {
        let evidence = &admission.evidence;
        if evidence.agent.is_none() && evidence.token.is_none() {
            return Err(self.nothing_proven(false));
        }
        let principal = Principal::new(Proven {
            agent: evidence.agent.clone(),
            proofs,
            token: evidence.token.clone(),
            unbound: evidence.unbound,
        });
        admission.principal = Some(principal.clone());
        let request = admission.received.head;
        admission.attributes = self.attributes(request);
        match self.decide(&principal, request, &admission.attributes, now)? {
            Decided::Allowed(reasons) => Ok((State::Accepted(principal, reasons), None)),
            Decided::Asked(reasons, request) => {
                let state = State::Deciding(principal, reasons);
                Ok((state, Some(Need::Decision(request))))
            }
        }
    }

    /// Takes the answer to a need. The credentials are looked at once more, because time has gone
    /// by.
    pub(super) fn answer(&self, admission: &mut Admission<'_>, answer: Resolved, now: UnixTime) {
        let state = std::mem::replace(&mut admission.state, State::Fresh);
        let next = match (state, answer) {
            // Judged again from the start: nothing was spent.
            (State::Refused(_), Resolved::Changed) => return,
            (State::Refused(refused), _) => Err(*refused),
            // The store may have forgotten what had ended when it answered.
            (State::Spending(_, ends), Resolved::Spent(Ok(()))) if now > ends => {
                Err(not_spent(ReplayError::Expired))
            }
            (State::Spending(proofs, _), Resolved::Spent(Ok(()))) => Ok(State::Spent(proofs)),
            (State::Spending(..), Resolved::Spent(Err(error))) => Err(not_spent(error)),
            (State::Spending(..), _) => Err(not_spent(ReplayError::Unavailable)),
            (State::Deciding(principal, mut reasons), Resolved::Decided(decision)) => {
                self.reasons(decision).map(|further| {
                    reasons.extend(further);
                    State::Accepted(principal, reasons)
                })
            }
            (State::Deciding(..), _) => Err(unavailable()),
            (state, _) => Ok(state),
        };
        let waited = matches!(next, Ok(State::Spent(_) | State::Accepted(..)));
        let next = match next {
            Ok(state) if waited => self.still_good(admission.received, now).map(|()| state),
            next => next,
        };
        match next {
            Ok(state) => admission.state = state,
            Err(refused) => admission.refuse(refused),
        }
    }

    /// Verifies, and asks for keys that are missing.
    pub(super) async fn verify_fresh(&self, admission: &mut Admission<'_>) -> UnixTime {
        loop {
            let now = self.inner.clock.now();
            let Some(need) = self.verify_step(admission, now) else {
                return now;
            };
            let answer = self.resolve(need).await;
            self.answer(admission, answer, self.inner.clock.now());
        }
    }

    /// Spends and decides, waiting for what is decided or remembered elsewhere.
    pub(super) async fn conclude(
        &self,
        mut admission: Admission<'_>,
        mut now: UnixTime,
    ) -> Result<Admitted, Refusal> {
        while let Some(need) = self.conclude_step(&mut admission, now) {
            let answer = self.resolve(need).await;
            now = self.inner.clock.now();
            self.answer(&mut admission, answer, now);
        }
        self.finish(admission, now)
    }

    /// Asks the one who can answer, and not for longer than the deadline.
    async fn resolve(&self, need: Need) -> Resolved {
        let inner = &*self.inner;
        let keys = need.keys().is_some();
        let asked = match (&need, &inner.replay, &inner.decides) {
            (Need::Bundle(_) | Need::IssuerKeys(_), ..) => &inner.resolve,
            (Need::SharedReplay(_), Replay::Shared(store), _) => store,
            (Need::Decision(_), _, Decides::Elsewhere(decides)) => decides,
            (Need::SharedReplay(_) | Need::Decision(_), ..) => return Resolved::Unavailable,
        };
        let answer = within(inner.deadline, asked.resolve(need)).await;
        answer.unwrap_or(if keys {
            Resolved::Unchanged
        } else {
            Resolved::Unavailable
        })
    }
}

/// Waits for at most so long. Without a tokio runtime there is no clock to wait by, and the future
/// alone decides.
pub(super) async fn within<T>(deadline: Duration, future: impl Future<Output = T>) -> Option<T> {
    if tokio::runtime::Handle::try_current().is_ok() {
        tokio::time::timeout(deadline, future).await.ok()
    } else {
        Some(future.await)
    }
}

fn unavailable() -> Refused {
    Refused::new(
        "guard.unavailable",
        ErrorKind::Unavailable,
        ErrorResponse::Unavailable,
        "no decision was given",
    )
}
