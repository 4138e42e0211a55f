//! The comparison of a token response with the approved call.

use std::time::Duration;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::authorization_details::{AuthorizationDetails, ToolDetail};
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::token::{TokenError, TokenRequest, TokenResponse};

use crate::{Error, Grant, Target};

/// A grant whose token must be for one call.
///
/// A refresh token is dropped: an approval is used once.
#[derive(Debug)]
pub(super) struct ForCall<G> {
    pub(super) grant: G,
    pub(super) call: ToolCall,
}

impl<G: Grant> Grant for ForCall<G> {
    fn grant_type(&self) -> &str {
        self.grant.grant_type()
    }

    fn target(&self) -> &Target {
        self.grant.target()
    }

    fn write(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        self.grant.write(request, server, now)
    }

    fn poll_after(
        &self,
        refusal: &TokenError,
        last: Option<Duration>,
        now: UnixTime,
    ) -> Option<Duration> {
        self.grant.poll_after(refusal, last, now)
    }

    fn poll_unanswered(&self, last: Option<Duration>, now: UnixTime) -> Option<Duration> {
        self.grant.poll_unanswered(last, now)
    }

    fn answered_within(&self) -> Option<Duration> {
        self.grant.answered_within()
    }

    /// Judges the response as the grant does, and compares the granted details with the call (RFC
    /// 9396 §7).
    fn judge(&self, response: &TokenResponse, now: UnixTime) -> Result<(), Error> {
        self.grant.judge(response, now)?;
        let resource = self.grant.target().resource().as_str();
        let granted = response.authorization_details();
        expect(granted, &self.call, resource).map_err(|reason| Error::Approval { reason })
    }

    fn refresh_token(&self, _response: &TokenResponse) -> Option<SecretText> {
        None
    }

    fn ends_by(&self) -> Option<UnixTime> {
        self.grant.ends_by()
    }

    fn granted_before(&self) -> Option<&ScopeSet> {
        self.grant.granted_before()
    }

    fn details_granted_before(&self) -> Option<&str> {
        self.grant.details_granted_before()
    }

    fn judges_details(&self) -> bool {
        true
    }

    fn cached_as(&self) -> &str {
        self.grant.cached_as()
    }

    fn is_stored_only(&self) -> bool {
        self.grant.is_stored_only()
    }
}

/// Checks that granted details are one entry, which is for this call at this resource.
fn expect(granted: Option<&str>, call: &ToolCall, resource: &str) -> Result<(), &'static str> {
    let granted = granted.ok_or("the response has no `authorization_details`")?;
    let granted = AuthorizationDetails::parse(granted)
        .map_err(|_malformed| "`authorization_details` of the response cannot be read")?;
    if granted.types().count() != 1 {
        return Err("`authorization_details` of the response have not exactly one entry");
    }
    let entry = granted.of::<ToolDetail>(resource).next();
    let entry = entry.ok_or("the entry has another type, or is for another resource")?;
    match entry.call() {
        Ok(Some(found)) if found == *call => Ok(()),
        Ok(Some(_)) => Err("the entry is for another call"),
        Ok(None) => Err("the entry is not for one call"),
        Err(_disagreeing) => Err("the tool, arguments and digest of the entry do not agree"),
    }
}
