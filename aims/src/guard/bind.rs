//! *Bind*: every `cnf` is a proven key, and agent and token name one workload.

use aims_oauth_rs::{AccessToken, BindingFailure, Error, ProvenKey};
use aims_wimse_id::WorkloadId;

use super::Guard;
use super::evidence::{AgentCredential, UnspentProof};

impl<M> Guard<M> {
    /// Decides whether the token belongs to the agent that was proven: bound to its key, or issued
    /// to its identifier. Sources that name two agents are refused.
    ///
    /// Says whether the token is unbound: accepted on a route that would accept it alone, and said
    /// to be nobody's.
    pub(super) fn bind(
        &self,
        token: &AccessToken,
        agent: Option<&AgentCredential>,
        unspent: &[UnspentProof],
    ) -> Result<bool, Error> {
        if token.is_bound() {
            let thumbprint = agent.map(|it| *it.key().thumbprint());
            let proven: Vec<ProvenKey> = thumbprint
                .into_iter()
                .flat_map(|it| unspent.iter().map(move |proof| proof.key(it)))
                .collect();
            token.confirmed_by(&proven)?;
        }
        let refused = |why| Err(Error::NotBound(why));
        let requirements = &self.route.requirements;
        let Some(agent) = agent else {
            if !token.is_bound() && requirements.asks_for_actor() {
                return refused(BindingFailure::NoConfirmation);
            }
            return Ok(!token.is_bound());
        };
        if names_another(token, agent.id()) {
            return refused(BindingFailure::OtherWorkload);
        }
        if token.is_bound() || token.issued_to(agent.id()) {
            return Ok(false);
        }
        if requirements.allows_bearer() && !requirements.asks_who_calls() {
            Ok(true)
        } else {
            refused(BindingFailure::NoConfirmation)
        }
    }
}

/// Whether the token was issued to another workload than the one that was proven, by its client's
/// identifier or by the issuer's rules, or says that another one acts now (RFC 8693 §4.1). The
/// actors before that are history.
fn names_another(token: &AccessToken, agent: &WorkloadId) -> bool {
    let actor = token.actors().first().map(|it| it.subject.as_str());
    let mut named = [Some(token.client_id()), actor].into_iter().flatten();
    let is_mapped = token.workloads().next().is_some();
    named.any(|it| WorkloadId::parse(it).is_ok_and(|it| it != *agent))
        || (is_mapped && !token.issued_to(agent))
}
