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
use super::refused::Refused;
use super::spend::{Collected, Replay};
use crate::decision::Attributes;
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
        let is_required = self.route.requirements.asks_for_approval();
        let call = attributes.get(Attributes::CALL_DIGEST);
        if is_required && call.is_none() {
            // No approval helps here, so no person is asked for one.
            return Err(no_call(
                "the route requires the approval of a person for its call, and the application names no call: expected a `ToolCall` in the extensions of the request, from a layer outside the guard's, or the attribute `call_digest`",
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
            let found = ("guard.approval", ErrorKind::Forbidden);
            return Err(self.not_approved(principal, request, found, detail));
        };
        let Some(call) = call else {
            return Err(no_call(
                "the access token is for one call, and the application names no call: expected a `ToolCall` in the extensions of the request, or the attribute `call_digest`",
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
        let answer = self.insufficient_details(principal.token_scheme(), &wanted);
        Refused::new(code, kind, answer, detail)
    }
}

/// Returns the refusal of an application that names no call.
fn no_call(detail: &'static str) -> Refused {
    Refused::new(
        "guard.call",
        ErrorKind::Configuration,
        ErrorResponse::Forbidden,
        detail,
    )
}
