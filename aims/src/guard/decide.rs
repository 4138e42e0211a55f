//! *Decide*: applies the requirements of the route, then the policy.

use std::sync::Arc;

use aims_error::ErrorKind;
use aims_jose::time::UnixTime;
use aims_oauth_rs::TokenScheme;
use aims_oauth_wire::call::ToolCall;
use http::request::Parts;

use super::Guard;
use super::approved::UnusedApproval;
use super::refused::Refused;
use crate::decision::{Attributes, Authorize, Call, Decision, Denial, Reason};
use crate::principal::Principal;
use crate::refusal::{ErrorResponse, Refusal};
use crate::resolve::{DecisionRequest, Resolve};
use crate::trace::TraceContext;

/// The policy that decides after the requirements.
#[derive(Debug)]
pub(super) enum Decides {
    /// A policy that answers at once.
    Local(Arc<dyn Authorize>),
    /// A policy that needs I/O.
    Elsewhere(Arc<dyn Resolve>),
}

impl<M> Guard<M> {
    /// Returns the attributes that an outer layer inserted and those that the guard's extractors
    /// add.
    pub(super) fn attributes(&self, request: &Parts) -> Attributes {
        let mut attributes = request.extensions.get::<Attributes>().cloned();
        for extract in &self.inner.extract {
            extract.extract(request, attributes.get_or_insert_default());
        }
        // The call that was read from the content counts, whatever a header field says.
        if let Some(call) = request.extensions.get::<ToolCall>() {
            let attributes = attributes.get_or_insert_default();
            attributes.insert(Attributes::TOOL, call.tool());
            attributes.insert(Attributes::CALL_DIGEST, call.digest().to_string());
        }
        attributes.unwrap_or_default()
    }

    /// Decides, or returns what must be asked elsewhere.
    pub(super) fn decide(
        &self,
        principal: &Principal,
        request: &Parts,
        attributes: &Attributes,
        now: UnixTime,
    ) -> Result<(Decided, Option<UnusedApproval>), Refused> {
        let call = Call {
            resource: &self.inner.resource,
            method: &request.method,
            path: request.uri.path(),
            attributes,
            trace: TraceContext::of(&request.headers),
        };
        let scheme = principal.token_scheme();
        self.check_call(principal, attributes)?;
        let requirements = &self.route.requirements;
        let caller = requirements.decide_caller(principal, now);
        self.approval_first(&caller, principal, request, attributes)?;
        let mut reasons = self.reasons(caller, scheme)?;
        reasons.extend(self.reasons(requirements.decide_both(principal, &call, now), scheme)?);
        let approval = self.check_approved(principal, request, attributes)?;
        let decided = match &self.inner.decides {
            Decides::Local(policy) => {
                reasons.extend(self.reasons(policy.authorize(principal, &call, now), scheme)?);
                Decided::Allowed(reasons)
            }
            Decides::Elsewhere(_) => {
                let request = DecisionRequest::new(principal, &call);
                Decided::Asked(reasons, Box::new(request))
            }
        };
        Ok((decided, approval))
    }

    /// `scheme` is the one with which the access token was sent.
    pub(super) fn reasons(
        &self,
        decision: Decision,
        scheme: TokenScheme,
    ) -> Result<Vec<Reason>, Refused> {
        let (denial, reasons) = match decision {
            Decision::Allow(reasons) => return Ok(reasons),
            Decision::Deny(denial, reasons) => (denial, reasons),
        };
        let (code, kind, answer) = match denial {
            Denial::Forbidden => (
                "guard.forbidden",
                ErrorKind::Forbidden,
                ErrorResponse::Forbidden,
            ),
            Denial::Unavailable => (
                "guard.unavailable",
                ErrorKind::Unavailable,
                ErrorResponse::Unavailable,
            ),
            Denial::InsufficientScope(scopes) => {
                let answer = self.insufficient_scope(scheme, &scopes);
                ("guard.scope", ErrorKind::Forbidden, answer)
            }
            Denial::InsufficientAuthentication(step_up) => {
                let answer = self.insufficient_authentication(scheme, &step_up);
                ("guard.authentication", ErrorKind::Forbidden, answer)
            }
            Denial::InsufficientDetails(details) => {
                let answer = self.insufficient_details(scheme, &details);
                ("guard.details", ErrorKind::Forbidden, answer)
            }
        };
        let detail = reasons.first().map_or_else(String::new, |reason| {
            if reason.code == code {
                reason.detail.clone()
            } else {
                reason.to_string()
            }
        });
        let refusal = Refusal::new(code, kind, answer, detail);
        Err(Refused::decided(refusal, reasons))
    }
}

/// The result of the requirements and of a policy that answers at once.
pub(super) enum Decided {
    Allowed(Vec<Reason>),
    Asked(Vec<Reason>, Box<DecisionRequest>),
}
