//! Calls for which a tool requires the approval of a person.

use std::fmt;
use std::sync::Arc;

use aims_oauth_client::Approve;
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::names::Resource;
use http::request::Parts;
use http::{Response, StatusCode};

/// How persons are asked, for each tool.
#[derive(Default)]
pub(super) struct Approvals(pub(super) Vec<(Resource, Arc<dyn Approve>)>);

impl Approvals {
    /// Returns the way to ask a person, and the call, if the tool refused a call for the lack of an
    /// approval.
    pub(super) fn required<'a, B>(
        &self,
        tool: &Resource,
        request: &'a Parts,
        answer: &Response<B>,
    ) -> Option<(Arc<dyn Approve>, &'a ToolCall)> {
        if answer.status() != StatusCode::FORBIDDEN {
            return None;
        }
        let (_, approve) = self.0.iter().find(|(resource, _)| resource == tool)?;
        let call = request.extensions.get::<ToolCall>()?;
        let challenges = Challenges::parse(answer.headers()).ok()?;
        let mut usable = challenges.iter();
        let is_refused = usable.any(|it| {
            (it.is("Bearer") || it.is("DPoP"))
                && it.error() == Some("insufficient_authorization_details")
        });
        is_refused.then(|| (Arc::clone(approve), call))
    }
}

impl fmt::Debug for Approvals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}
