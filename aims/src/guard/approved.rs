//! Access tokens for one call that a person approved: the comparison with the call, and the use.

use aims_error::ErrorKind;
use aims_jose::base64url;
use aims_jose::time::{UnixTime, at};
use aims_oauth_rs::AccessToken;
use aims_oauth_wire::authorization_details::{AuthorizationDetails, ToolDetail};
use aims_oauth_wire::call::{CallDigest, ToolCall};
use aims_replay::{Error, ReplayKey, ReplayStore as _, Validity};
use http::request::Parts;

use super::Guard;
use super::calls::CallReader;
use super::refused::Refused;
use super::spend::{Collected, Replay};
use crate::decision::{Attributes, Decision, Denial};
use crate::principal::Principal;
use crate::refusal::ErrorResponse;
use crate::resolve::Spending;

/// An approval that was compared with the call and not used yet.
#[derive(Debug)]
pub(super) struct UnusedApproval {
    key: ReplayKey,
    valid: Validity,
}

impl<M> Guard<M> {
    /// Compares the call of the request with the one that the access token is for.
    ///
    /// A token for one call permits nothing else, on any route. A route may require such a token.
    pub(super) fn check_approved(
        &self,
        principal: &Principal,
        request: &Parts,
        attributes: &Attributes,
    ) -> Result<Option<UnusedApproval>, Refused> {
        let is_required = self.asks_for_approval(request);
        let call = attributes.get(Attributes::CALL_DIGEST);
        if is_required && call.is_none() {
            // No approval helps here, so no person is asked for one.
            return Err(no_call(
                "this resource requires the approval of one call, and the request names no call",
                "the route requires the approval of a person for its call, and the application names no call: expected a `ToolCall` in the extensions of the request, from `Guard::call_layer` or a layer outside the guard's, or the attribute `call_digest`",
            ));
        }
        let token = principal.access_token();
        let granted = token.map(AccessToken::authorization_details);
        let granted = granted.and_then(Result::ok).unwrap_or_default();
        let entries = granted.of::<ToolDetail>(principal.resource());
        let entries: Vec<ToolDetail> = entries.filter(ToolDetail::is_for_call).collect();
        let (Some(token), false) = (token, entries.is_empty()) else {
            if !is_required {
                return Ok(None);
            }
            let detail = "the route requires the approval of a person for this call, and the access token has none: expected an entry of the type `aims_tool` with `call_digest`";
            let found = (MISSING, ErrorKind::Forbidden);
            return Err(self.not_approved(principal, request, found, detail));
        };
        let Some(call) = call else {
            return Err(no_call(
                "the access token is for one call, and the request names no call",
                "the access token is for one call, and the application names no call: expected a `ToolCall` in the extensions of the request, from `Guard::call_layer` or a layer outside the guard's, or the attribute `call_digest`",
            ));
        };
        // A text that is no digest is that of no call.
        let call: Option<CallDigest> = call.parse().ok();
        let is_this = |entry: &ToolDetail| {
            let approved = entry.call().ok().flatten();
            approved.is_some_and(|it| Some(it.digest()) == call.as_ref())
        };
        let (Some(call), true) = (&call, entries.iter().any(is_this)) else {
            let detail = "the access token is for another call: expected `tool`, `arguments` and `call_digest` of this one";
            let found = ("guard.approval_call", ErrorKind::Mismatch);
            return Err(self.not_approved(principal, request, found, detail));
        };
        let (id, call) = (base64url::encode(token.signed_hash()), call.to_string());
        let skew = self.inner.skew;
        let from = token.issued_at().map_or(0, |it| it.as_secs());
        let from = at(from.saturating_sub(skew.as_secs()));
        let until = skew.remember_until(token.expires().as_secs());
        Ok(Some(UnusedApproval {
            key: ReplayKey::new("approved-call", token.issuer(), &[&id, &call]),
            valid: Validity::new(from, until),
        }))
    }

    /// Uses an approval up, or returns what a shared store must spend.
    pub(super) fn use_approval(
        &self,
        approval: &UnusedApproval,
        principal: &Principal,
        request: &Parts,
        now: UnixTime,
    ) -> Result<Vec<Spending>, Refused> {
        let UnusedApproval { key, valid } = approval;
        let spent = match &self.inner.replay {
            Replay::Local(store) => aims_replay::spend_proof(store, key, *valid, now),
            Replay::Shared(_) => {
                let collected = Collected::default();
                return match collected.spend_proof(key, *valid, now) {
                    Ok(()) => Ok(collected.into_inner()),
                    Err(error) => Err(self.approval_not_used(error, principal, request)),
                };
            }
        };
        spent.map_err(|error| self.approval_not_used(error, principal, request))?;
        Ok(Vec::new())
    }

    /// Returns the refusal for a store that did not spend the approval.
    pub(super) fn approval_not_used(
        &self,
        error: Error,
        principal: &Principal,
        request: &Parts,
    ) -> Refused {
        if matches!(error, Error::Replayed) {
            let detail =
                "the approval of this call was used before: expected one call for each approval";
            let found = ("guard.approval_used", ErrorKind::Replayed);
            return self.not_approved(principal, request, found, detail);
        }
        let answer = match error.kind() {
            ErrorKind::Unavailable => ErrorResponse::Unavailable,
            _ => ErrorResponse::Forbidden,
        };
        Refused::of(error.code(), error.kind(), answer, &error)
    }

    /// Returns whether the request needs an approval. Where some tools alone do, only what was read
    /// from the content tells which tool is called.
    fn asks_for_approval(&self, request: &Parts) -> bool {
        let requirements = &self.route.requirements;
        match request.extensions.get::<ToolCall>() {
            Some(call) => requirements.asks_for_approval_of(call.tool()),
            None if CallReader::has_read(request) => requirements.asks_for_every_approval(),
            None => requirements.asks_for_approval(),
        }
    }

    /// Returns the demand for an approval in place of a denial that is about the token, if the
    /// token is not that of an approval. The token of the approval must meet the denial as well, so
    /// the challenge names everything, and the person is asked once.
    pub(super) fn approval_first(
        &self,
        denial: &Decision,
        principal: &Principal,
        request: &Parts,
        attributes: &Attributes,
    ) -> Result<(), Refused> {
        let Decision::Deny(denial, _) = denial else {
            return Ok(());
        };
        let is_about_token = matches!(
            denial,
            Denial::InsufficientScope(_) | Denial::InsufficientAuthentication(_)
        );
        if !is_about_token || !self.asks_for_approval(request) {
            return Ok(());
        }
        match self.check_approved(principal, request, attributes) {
            Err(refused) if refused.refusal.code() == MISSING => Err(refused),
            _ => Ok(()),
        }
    }

    /// Returns 403 with the authorization details that a client must ask for.
    fn not_approved(
        &self,
        principal: &Principal,
        request: &Parts,
        (code, kind): (&'static str, ErrorKind),
        detail: &'static str,
    ) -> Refused {
        let call = request.extensions.get::<ToolCall>();
        let wanted = call.map(|it| it.details(principal.resource()));
        let wanted: AuthorizationDetails = wanted.unwrap_or_default();
        let answer = self.approval_required(principal.token_scheme(), &wanted);
        Refused::new(code, kind, answer, detail)
    }
}

/// The code of a token that is not that of an approval.
const MISSING: &str = "guard.approval";

/// Returns the refusal of an application that names no call. `told` is for the caller, whose
/// request may lack the call.
fn no_call(told: &'static str, detail: &'static str) -> Refused {
    let answer = ErrorResponse::Incomplete(told);
    Refused::new("guard.call", ErrorKind::Configuration, answer, detail)
}
