//! *Record*: one typed event for each request, also for refused ones, and one for what is found out
//! after a request was accepted.

use aims_jose::digest::Fingerprint;
use aims_jose::time::UnixTime;
use aims_oauth_rs::AccessToken;
use aims_wimse_cred::Wit;
use http::request::Parts;

use super::Guard;
use super::admission::{Admission, State};
use super::evidence::{AgentCredential, ProofMethod};
use crate::decision::{Attributes, Reason};
use crate::principal::Principal;
use crate::record::{Event, Fingerprints, Outcome, Remediation};
use crate::refusal::Refusal;
use crate::trace::TraceContext;

impl<M> Guard<M> {
    /// Tells the seam *record*, and gives the verdict.
    pub(super) fn finish(
        &self,
        admission: Admission<'_>,
        now: UnixTime,
    ) -> Result<Principal, Refusal> {
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
            _ => Err(self.nothing_proven()),
        };
        let (outcome, code, reasons): (_, _, &[Reason]) = match &verdict {
            Ok((_, reasons)) => (Outcome::Accepted, None, reasons),
            Err(refused) => (
                Outcome::Refused,
                Some(refused.refusal.code()),
                &refused.reasons,
            ),
        };
        let request = received.head;
        let agent = principal.as_ref().and_then(Principal::agent);
        let shown = evidence.agent.as_ref().map(AgentCredential::id);
        let proofs = methods(principal.as_ref());
        let token = evidence.token.as_ref();
        self.inner.record.record(&Event {
            agent,
            claimed_agent: shown.filter(|_| agent.is_none()),
            proofs: &proofs,
            subject: token.map(AccessToken::subject),
            client: token.map(AccessToken::client_id),
            is_unbound: evidence.unbound,
            resource: &self.inner.resource,
            path: request.uri.path(),
            method: &request.method,
            attributes: &attributes,
            outcome,
            code,
            reasons,
            time: now,
            request_id: attributes.get(Attributes::REQUEST_ID),
            trace: TraceContext::of(&request.headers),
            posture: None,
            remediation: code.and_then(Remediation::of),
            fingerprints: evidence.fingerprints,
        });
        match verdict {
            Ok((principal, _)) => Ok(principal),
            Err(refused) => Err(refused.refusal),
        }
    }

    /// Tells the seam *record* what became of a request that was accepted.
    pub(super) fn record_later(
        &self,
        request: &Parts,
        principal: &Principal,
        reason: Reason,
        now: UnixTime,
    ) {
        let token = principal.access_token();
        let attributes = self.attributes(request);
        self.inner.record.record(&Event {
            agent: principal.agent(),
            claimed_agent: None,
            proofs: &methods(Some(principal)),
            subject: token.map(AccessToken::subject),
            client: principal.client(),
            is_unbound: principal.is_unbound(),
            resource: &self.inner.resource,
            path: request.uri.path(),
            method: &request.method,
            attributes: &attributes,
            outcome: Outcome::Refused,
            code: Some(&reason.code),
            reasons: std::slice::from_ref(&reason),
            time: now,
            request_id: attributes.get(Attributes::REQUEST_ID),
            trace: TraceContext::of(&request.headers),
            posture: None,
            remediation: None,
            fingerprints: Fingerprints {
                wit: principal.wit().map(Wit::hash).map(Fingerprint::of_sha256),
                access_token: token.map(AccessToken::hash).map(Fingerprint::of_sha256),
                ..Fingerprints::default()
            },
        });
    }
}

fn methods(principal: Option<&Principal>) -> Vec<ProofMethod> {
    principal.map_or_else(Vec::new, |it| it.proof_methods().collect())
}
