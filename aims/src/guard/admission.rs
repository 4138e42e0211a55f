//! The admission of one request as a state machine: verified, spent, decided.
//!
//! The pure part advances the state as far as it can and returns the [`Need`] that it cannot
//! answer. The asynchronous part gets the answer.

use std::sync::Arc;
use std::time::Duration;

use aims_error::ErrorKind;
use aims_jose::time::UnixTime;
use aims_oauth_wire::introspection::Introspection;
use aims_replay::Error as ReplayError;

use super::Guard;
use super::approved::UnusedApproval;
use super::decide::{Decided, Decides};
use super::evidence::{Evidence, Proof, UnspentProof};
use super::received::ReceivedRequest;
use super::record::Admitted;
use super::refused::Refused;
use super::spend::Replay;
use crate::decision::{Attributes, Reason};
use crate::principal::{Principal, Proven};
use crate::refusal::{ErrorResponse, Refusal};
use crate::resolve::{Keys, Need, Resolved};

/// One request during its admission.
pub(super) struct Admission<'a> {
    pub(super) received: ReceivedRequest<'a>,
    pub(super) evidence: Evidence,
    pub(super) attributes: Attributes,
    pub(super) state: State,
    /// The proven caller. Set when the proofs are spent.
    pub(super) principal: Option<Principal>,
    /// The owners whose keys were requested already. Each is requested once.
    asked: Vec<Keys>,
    /// The approval of the call that the decision found. It is used up last.
    approval: Option<UnusedApproval>,
    /// Whether an issuer was asked about the token.
    introspecting: bool,
    /// The answer of the issuer.
    pub(super) introspected: Option<Introspection>,
}

/// The state of an admission. A spent proof is never checked for replay again, because no
/// transition leads back to `Verified`.
pub(super) enum State {
    /// Nothing is verified yet, or the request must be verified again with other keys.
    Fresh,
    /// Everything is valid, provided that the proofs were not used before.
    Verified(Vec<UnspentProof>),
    /// A shared store is spending the proofs.
    Spending(Vec<Proof>, UnixTime),
    /// The proofs are spent.
    Spent(Vec<Proof>),
    /// A decision is requested from outside the guard.
    Deciding(Principal, Vec<Reason>),
    /// The call is allowed, provided that the approval of a person was not used before.
    Allowed(Principal, Vec<Reason>),
    /// A shared store is using the approval up.
    Using(Principal, Vec<Reason>, UnixTime),
    Accepted(Principal, Vec<Reason>),
    Refused(Box<Refused>),
}

/// The maximum number of key requests in one admission: for a bundle, for an issuer, and one more
/// for what the first answer reveals.
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
            approval: None,
            introspecting: false,
            introspected: None,
        }
    }

    pub(super) fn refuse(&mut self, refused: Refused) {
        self.state = State::Refused(Box::new(refused));
    }

    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(_))
    }

    /// Returns the proofs that were verified and not yet spent.
    pub(super) fn unspent(&self) -> &[UnspentProof] {
        match &self.state {
            State::Verified(unspent) => unspent,
            _ => &[],
        }
    }

    /// Returns the question whose answer could change the refusal, unless it was asked before.
    fn missing(&mut self) -> Option<Need> {
        let State::Refused(refused) = &self.state else {
            return None;
        };
        let need = refused.need()?;
        if matches!(need, Need::Introspection(_)) {
            let is_first = !std::mem::replace(&mut self.introspecting, true);
            return is_first.then(|| need.clone());
        }
        let keys = need.keys()?;
        if self.asked.len() >= MOST_KEYS || self.asked.contains(&keys) {
            return None;
        }
        self.asked.push(keys);
        Some(need.clone())
    }
}

impl<M> Guard<M> {
    /// Verifies the request if that was not done. Returns the keys, or the question about a token,
    /// that could change a refusal.
    pub(super) fn verify_step(&self, admission: &mut Admission<'_>, now: UnixTime) -> Option<Need> {
        if matches!(admission.state, State::Fresh) {
            admission.evidence = Evidence::default();
            let examined = self.examine(
                admission.received,
                admission.introspected.as_ref(),
                &mut admission.evidence,
                now,
            );
            match examined {
                Ok(unspent) => admission.state = State::Verified(unspent),
                Err(refused) => admission.refuse(refused),
            }
        }
        admission.missing()
    }

    /// Spends the proofs and decides, as far as the guard can without waiting.
    pub(super) fn conclude_step(
        &self,
        admission: &mut Admission<'_>,
        now: UnixTime,
    ) -> Option<Need> {
        loop {
            match std::mem::replace(&mut admission.state, State::Fresh) {
                State::Verified(unspent) => match self.spend(unspent, &admission.evidence, now) {
                    Ok((proofs, asked)) if asked.is_empty() => {
                        admission.state = State::Spent(proofs);
                    }
                    Ok((proofs, asked)) => {
                        let ends = asked.iter().map(|it| it.until).min();
                        admission.state = State::Spending(proofs, ends.unwrap_or(now));
                        return Some(Need::SharedReplay(asked));
                    }
                    Err(refused) => admission.refuse(refused),
                },
                State::Spent(proofs) => match self.decide_step(admission, proofs, now) {
                    Ok((state, need)) => {
                        admission.state = state;
                        if need.is_some() {
                            return need;
                        }
                    }
                    Err(refused) => admission.refuse(refused),
                },
                State::Allowed(principal, reasons) => {
                    match self.use_step(admission, principal, reasons, now) {
                        Ok((state, need)) => {
                            admission.state = state;
                            if need.is_some() {
                                return need;
                            }
                        }
                        Err(refused) => admission.refuse(refused),
                    }
                }
                state => {
                    admission.state = state;
                    return None;
                }
            }
        }
    }

    /// Uses the approval of the call up, if the access token is for one call.
    fn use_step(
        &self,
        admission: &mut Admission<'_>,
        principal: Principal,
        reasons: Vec<Reason>,
        now: UnixTime,
    ) -> Result<(State, Option<Need>), Refused> {
        let Some(approval) = admission.approval.take() else {
            return Ok((State::Accepted(principal, reasons), None));
        };
        let request = admission.received.head;
        let asked = self.use_approval(&approval, &principal, request, now)?;
        match asked.iter().map(|it| it.until).min() {
            None => Ok((State::Accepted(principal, reasons), None)),
            Some(ends) => {
                let state = State::Using(principal, reasons, ends);
                Ok((state, Some(Need::SharedReplay(asked))))
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
        let is_proven =
            evidence.agent.is_some() || evidence.token.is_some() || evidence.transaction.is_some();
        if !is_proven {
            return Err(self.nothing_proven(false));
        }
        let principal = Principal::new(Proven {
            agent: evidence.agent.clone(),
            proofs,
            token: evidence.token.clone(),
            transaction: evidence.transaction.clone(),
            unbound: evidence.unbound,
            inbound: evidence.inbound.clone(),
            resource: Arc::clone(&self.inner.resource),
        });
        admission.principal = Some(principal.clone());
        let request = admission.received.head;
        admission.attributes = self.attributes(request);
        let (decided, approval) = self.decide(&principal, request, &admission.attributes, now)?;
        admission.approval = approval;
        match decided {
            Decided::Allowed(reasons) => Ok((State::Allowed(principal, reasons), None)),
            Decided::Asked(reasons, request) => {
                let state = State::Deciding(principal, reasons);
                Ok((state, Some(Need::Decision(request))))
            }
        }
    }

    /// Takes the answer to a need. It checks the credentials again, because time has passed.
    pub(super) fn answer(&self, admission: &mut Admission<'_>, answer: Resolved, now: UnixTime) {
        let state = std::mem::replace(&mut admission.state, State::Fresh);
        let next = match (state, answer) {
            // The request is verified again from the start, because nothing was spent.
            (State::Refused(_), Resolved::Changed) => return,
            (State::Refused(refused), Resolved::Introspected(answer))
                if matches!(refused.need(), Some(Need::Introspection(_))) =>
            {
                admission.introspected = Some(*answer);
                return;
            }
            (State::Refused(refused), _) => Err(*refused),
            // The store may have forgotten proofs that had expired when it answered.
            (State::Spending(proofs, ends), Resolved::Spent(Ok(()))) if now > ends => {
                Err(self.not_spent(&proofs, ReplayError::Expired))
            }
            (State::Spending(proofs, _), Resolved::Spent(Ok(()))) => Ok(State::Spent(proofs)),
            (State::Spending(proofs, _), Resolved::Spent(Err(error))) => {
                Err(self.not_spent(&proofs, error))
            }
            (State::Spending(proofs, _), _) => {
                Err(self.not_spent(&proofs, ReplayError::Unavailable))
            }
            (State::Deciding(principal, mut reasons), Resolved::Decided(decision)) => {
                let scheme = principal.token_scheme();
                self.reasons(decision, scheme).map(|further| {
                    reasons.extend(further);
                    State::Allowed(principal, reasons)
                })
            }
            (State::Using(principal, _, ends), Resolved::Spent(Ok(()))) if now > ends => {
                let request = admission.received.head;
                Err(self.approval_not_used(ReplayError::Expired, &principal, request))
            }
            (State::Using(principal, reasons, _), Resolved::Spent(Ok(()))) => {
                Ok(State::Accepted(principal, reasons))
            }
            (State::Using(principal, ..), Resolved::Spent(Err(error))) => {
                let request = admission.received.head;
                Err(self.approval_not_used(error, &principal, request))
            }
            (State::Using(..), _) => Err(unavailable()),
            (State::Deciding(..), _) => Err(unavailable()),
            (state, _) => Ok(state),
        };
        let waited = matches!(
            next,
            Ok(State::Spent(_) | State::Allowed(..) | State::Accepted(..))
        );
        let next = match next {
            Ok(state) if waited => self.still_good(admission, now).map(|()| state),
            next => next,
        };
        match next {
            Ok(state) => admission.state = state,
            Err(refused) => admission.refuse(refused),
        }
    }

    /// Verifies the request, and fetches missing keys.
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

    /// Spends and decides, and waits for shared stores and remote decisions.
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

    /// Asks the resolver, and waits for at most the deadline.
    pub(super) async fn resolve(&self, need: Need) -> Resolved {
        let inner = &*self.inner;
        let keys = need.keys().is_some();
        let asked = match (&need, &inner.replay, &inner.decides) {
            (Need::Bundle(_) | Need::IssuerKeys(_), ..) => &inner.resolve,
            (Need::TransactionKeys(_), ..) => match &inner.transactions {
                Some(transactions) => return transactions.resolve(need, inner.deadline).await,
                None => return Resolved::Unchanged,
            },
            (Need::SharedReplay(_), Replay::Shared(store), _) => store,
            (Need::Decision(_), _, Decides::Elsewhere(decides)) => decides,
            (Need::Introspection(request), ..) => match inner.asked_about(request.token.expose()) {
                Some(opaque) => opaque.asked(),
                None => return Resolved::Unavailable,
            },
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

/// Waits for the future for at most `deadline`. Without a tokio runtime there is no timer, so it
/// waits until the future ends.
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
