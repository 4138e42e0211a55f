//! Calls for which a tool requires the approval of a person.

use std::fmt;
use std::sync::Arc;

use aims_oauth_client::{ApprovalRequest, Approve};
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::challenge::{Challenge, Challenges, StepUp};
use aims_oauth_wire::names::{Resource, ScopeSet};
use http::request::Parts;
use http::{Response, StatusCode};

use super::Error;
use super::access::{Authorization, Refusal};

/// How persons are asked, for each tool.
#[derive(Default)]
pub(super) struct Approvals(Vec<(Resource, Arc<dyn Approve>)>);

/// The refusal of a call that a person must approve.
pub(super) struct Required {
    pub(super) approve: Arc<dyn Approve>,
    challenge: Challenge,
}

/// The demands that a tool made of the token while one request was sent.
#[derive(Default)]
pub(super) struct Demands {
    scopes: ScopeSet,
    login: StepUp,
}

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

    /// Returns the way to ask a person, if the tool refused a call for the lack of an approval.
    pub(super) fn required<B>(&self, tool: &Resource, answer: &Response<B>) -> Option<Required> {
        if answer.status() != StatusCode::FORBIDDEN {
            return None;
        }
        let (_, approve) = self.0.iter().find(|(resource, _)| resource == tool)?;
        let challenges = Challenges::parse(answer.headers()).ok()?;
        let mut usable = challenges.iter();
        let challenge = usable.find(|it| {
            (it.is("Bearer") || it.is("DPoP"))
                && it.error() == Some("insufficient_authorization_details")
        })?;
        Some(Required {
            approve: Arc::clone(approve),
            challenge: challenge.clone(),
        })
    }
}

impl Required {
    /// Returns the request to the person: for the call that the program named, whatever the
    /// refusal says, with what the tool demands of the token.
    ///
    /// # Errors
    ///
    /// `agent.call` if the program named no call, and `oauth.scope` for too many scopes.
    pub(super) async fn request(
        &self,
        request: &Parts,
        authorization: &Authorization,
        demands: &mut Demands,
    ) -> Result<ApprovalRequest, Error> {
        let Some(call) = request.extensions.get::<ToolCall>() else {
            let tool = authorization.resource.clone();
            return Err(Error::Call { tool });
        };
        demands.add(&self.challenge)?;
        let resource = authorization.token_resource().await;
        let asked = ApprovalRequest::new(call.clone(), resource)
            .requiring(demands.scopes.clone())
            .with_login(demands.login.clone());
        Ok(match authorization.allowed_scopes() {
            Some(allowed) => asked.within(allowed.clone()),
            None => asked,
        })
    }
}

impl Demands {
    /// Notes what a refusal demands of the next token.
    pub(super) fn note(&mut self, refusal: &Refusal) {
        if let Refusal::Scope(challenge) | Refusal::Login(challenge) = refusal {
            // The code that follows the refusal reports what cannot be read.
            let _unread = self.add(challenge);
        }
    }

    fn add(&mut self, challenge: &Challenge) -> Result<(), Error> {
        let scopes = challenge.scope()?;
        for scope in scopes.iter().flat_map(ScopeSet::iter) {
            self.scopes.insert(scope.clone())?;
        }
        let login = challenge.step_up();
        if !login.is_empty() {
            self.login = login;
        }
        Ok(())
    }
}

impl fmt::Debug for Approvals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}
