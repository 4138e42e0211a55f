//! What a route asks of its callers.

use aims_oauth_wire::names::ScopeSet;
use aims_wimse_id::IdPattern;

use crate::decision::{Decision, Denial, Reason};
use crate::principal::{Principal, Proof};

/// What a tool requires. It can differ by route: [`Guard::requiring`](crate::Guard::requiring).
///
/// By default: a proof of possession, any agent that the trusted origins vouch for, no scope.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    agents: Vec<IdPattern>,
    scopes: Option<ScopeSet>,
    bearer: bool,
    proofs: Vec<Proof>,
}

impl Requirements {
    /// A proof of possession, and nothing else.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only agents that this pattern matches, or another one that was named.
    #[must_use]
    pub fn agents(mut self, pattern: IdPattern) -> Self {
        self.agents.push(pattern);
        self
    }

    /// An access token with all of these scopes.
    #[must_use]
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Only callers that were proven in this way, or in another one that was named.
    ///
    /// [`Proof::HttpSignature`] is judged by [`Guard::check_message`](crate::Guard::check_message)
    /// and the layer for messages; [`Proof::Bearer`] is let in by
    /// [`dangerous_allow_bearer`](Self::dangerous_allow_bearer) alone.
    #[must_use]
    pub fn proof(mut self, proof: Proof) -> Self {
        self.proofs.push(proof);
        self
    }

    /// Lets in access tokens without proof of possession, where they are bound to no key: whoever
    /// steals one can use it (RFC 6750 §5). With patterns of agents there is nobody whom they could
    /// match, and such a request is refused.
    #[must_use]
    pub const fn dangerous_allow_bearer(mut self) -> Self {
        self.bearer = true;
        self
    }

    pub(crate) const fn allows_bearer(&self) -> bool {
        self.bearer
    }

    pub(crate) const fn required_scopes(&self) -> Option<&ScopeSet> {
        self.scopes.as_ref()
    }

    /// The decision by the requirements alone.
    #[must_use]
    pub fn decide(&self, principal: &Principal) -> Decision {
        let reason = |code, detail: &str| vec![Reason::new(code, detail)];
        let proofs = principal.proofs();
        if proofs.contains(&Proof::Bearer) && !self.bearer {
            let why = reason("guard.proof", "a proof of possession is required");
            return Decision::Deny(Denial::Forbidden, why);
        }
        if !self.proofs.is_empty() && !self.proofs.iter().any(|proof| proofs.contains(proof)) {
            let why = reason("guard.proof", "the route requires another proof");
            return Decision::Deny(Denial::Forbidden, why);
        }
        let matches = |pattern: &IdPattern| principal.agent().is_some_and(|it| pattern.matches(it));
        if !self.agents.is_empty() && !self.agents.iter().any(matches) {
            let why = reason("guard.agent", "the agent matches no pattern of this route");
            return Decision::Deny(Denial::Forbidden, why);
        }
        if let Some(wanted) = &self.scopes {
            let granted = principal.scopes();
            if !granted.is_some_and(|granted| wanted.is_subset(granted)) {
                let wanted = wanted.clone();
                let why = reason("guard.scope", "the access token lacks a scope");
                return Decision::Deny(Denial::InsufficientScope(wanted), why);
            }
        }
        Decision::Allow(reason("guard.requirements", "the requirements are met"))
    }
}
