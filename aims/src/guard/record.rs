//! *Record*: reports one event for each accepted or refused request, and one for each failure after
//! acceptance.

use aims_jose::digest::Fingerprint;
use aims_jose::time::UnixTime;
use aims_oauth_rs::AccessToken;
use aims_txn_token::TxnToken;
use aims_wimse_cred::Wit;
use http::request::Parts;

use super::Guard;
use super::admission::{Admission, State};
use super::evidence::{AgentCredential, ProofMethod};
use super::refused::Refused;
use crate::decision::{Attributes, Reason};
use crate::principal::Principal;
use crate::record::{Event, Fingerprints, Outcome, Remediation};
use crate::refusal::Refusal;
use crate::trace::TraceContext;

/// The data of an accepted request that later events need.
pub(super) struct Admitted {
    pub(super) principal: Principal,
    attributes: Attributes,
    fingerprints: Fingerprints,
}

/// The known facts about a request, accepted or refused.
struct Known<'a> {
    /// The proven caller.
    principal: Option<&'a Principal>,
    /// The agent that a credential names.
    named: Option<&'a AgentCredential>,
    token: Option<&'a AccessToken>,
    transaction: Option<&'a TxnToken>,
    is_unbound: bool,
    attributes: &'a Attributes,
    fingerprints: Fingerprints,
}

impl<M> Guard<M> {
    /// Records the result and returns it.
    pub(super) fn finish(
        &self,
        admission: Admission<'_>,
        now: UnixTime,
    ) -> Result<Admitted, Refusal> {
        let Admission {
            received,
            evidence,
            attributes,
            state,
            principal,
            ..
        } = admission;
        let verdict = match state {
            State::Accepted(principal, reasons) => Ok((principal, reasons)),
            State::Refused(refused) => Err(*refused),
            _ => Err(self.nothing_proven(false)),
        };
        let (code, reasons): (_, &[Reason]) = match &verdict {
            Ok((_, reasons)) => (None, reasons),
            Err(refused) => (Some(refused.refusal.code()), &refused.reasons),
        };
        let known = Known {
            principal: principal.as_ref(),
            named: evidence.agent.as_ref(),
            token: evidence.token.as_ref(),
            transaction: evidence.transaction.as_ref(),
            is_unbound: evidence.unbound,
            attributes: &attributes,
            fingerprints: evidence.fingerprints,
        };
        self.record(received.head, &known, code, reasons, now);
        match verdict {
            Ok((principal, _)) => Ok(Admitted {
                principal,
                attributes,
                fingerprints: evidence.fingerprints,
            }),
            Err(refused) => Err(refused.refusal),
        }
    }

    /// Records a failure of a request that was accepted.
    pub(super) fn record_later(
        &self,
        request: &Parts,
        admitted: &Admitted,
        reason: &Reason,
        now: UnixTime,
    ) {
        let principal = &admitted.principal;
        let known = Known {
            principal: Some(principal),
            named: principal.credential(),
            token: principal.access_token(),
            transaction: principal.transaction(),
            is_unbound: principal.is_unbound(),
            attributes: &admitted.attributes,
            fingerprints: admitted.fingerprints,
        };
        let reasons = std::slice::from_ref(reason);
        self.record(request, &known, Some(&reason.code), reasons, now);
    }

    /// Records the refusal of a request whose credentials were not verified, and returns it.
    pub(super) fn refuse_unverified(&self, request: &Parts, refused: Refused) -> Refusal {
        let known = Known {
            principal: None,
            named: None,
            token: None,
            transaction: None,
            is_unbound: false,
            attributes: &self.attributes(request),
            fingerprints: Fingerprints::default(),
        };
        let code = refused.refusal.code();
        let now = self.inner.clock.now();
        self.record(request, &known, Some(code), &refused.reasons, now);
        refused.refusal
    }

    /// Creates the data for later events from the head and the principal, which the caller has
    /// kept.
    pub(super) fn admitted(&self, request: &Parts, principal: &Principal) -> Admitted {
        let wit = principal.wit().map(Wit::hash);
        let token = principal.access_token().map(AccessToken::hash);
        Admitted {
            principal: principal.clone(),
            attributes: self.attributes(request),
            fingerprints: Fingerprints {
                wit: wit.map(Fingerprint::of_sha256),
                access_token: token.map(Fingerprint::of_sha256),
                ..Fingerprints::default()
            },
        }
    }

    fn record(
        &self,
        request: &Parts,
        known: &Known<'_>,
        code: Option<&str>,
        reasons: &[Reason],
        now: UnixTime,
    ) {
        let agent = known.principal.and_then(Principal::agent);
        let named = known.named.map(AgentCredential::id);
        let proofs: Vec<ProofMethod> = known
            .principal
            .map_or_else(Vec::new, |it| it.proof_methods().collect());
        self.inner.record.record(&Event {
            agent,
            claimed_agent: named.filter(|_| agent.is_none()),
            proofs: &proofs,
            subject: known
                .token
                .map(AccessToken::subject)
                .or_else(|| known.transaction.map(TxnToken::subject)),
            client: known.token.map(AccessToken::client_id),
            is_unbound: known.is_unbound,
            resource: &self.inner.resource,
            path: request.uri.path(),
            method: &request.method,
            attributes: known.attributes,
            outcome: match code {
                None => Outcome::Accepted,
                Some(_) => Outcome::Refused,
            },
            code,
            reasons,
            time: now,
            request_id: known.attributes.get(Attributes::REQUEST_ID),
            trace: TraceContext::of(&request.headers),
            posture: None,
            remediation: code.and_then(Remediation::of),
            fingerprints: known.fingerprints,
        });
    }
}
