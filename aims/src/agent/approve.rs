//! Calls for which a tool requires the approval of a person.

use std::fmt;
use std::sync::Arc;

use aims_oauth_client::Approve;
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::names::Resource;
use http::request::Parts;
use http::{Response, StatusCode};

use super::Error;
use super::access::Authorization;

/// How persons are asked, for each tool.
#[derive(Default)]
pub(super) struct Approvals(Vec<(Resource, Arc<dyn Approve>)>);

impl Approvals {
    /// Sets the way to ask for a tool, in place of an earlier one.
    pub(super) fn set(&mut self, tool: Resource, approve: Arc<dyn Approve>) {
        self.0.retain(|(earlier, _)| *earlier != tool);
        self.0.push((tool, approve));
    }

    /// Checks that each way to ask is for a tool of the agent.
    ///
    /// # Errors
    ///
    /// `agent.approval`.
    pub(super) fn check(&self, tools: &[Authorization]) -> Result<(), Error> {
        let is_tool = |asked: &Resource| tools.iter().any(|it| it.resource == *asked);
        match self.0.iter().find(|(asked, _)| !is_tool(asked)) {
            Some((tool, _)) => Err(Error::Approval { tool: tool.clone() }),
            None => Ok(()),
        }
    }

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
