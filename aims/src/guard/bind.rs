//! *Bind*: checks that every `cnf` is a proven key, and that agent and token name one workload.

use aims_error::shown;
use aims_oauth_rs::{AccessToken, BindingFailure, Confirmation, Error, ProvenKey};
use aims_wimse_id::WorkloadId;

use super::Guard;
use super::evidence::{AgentCredential, UnspentProof};

impl<M> Guard<M> {
    /// Checks whether the token belongs to the proven agent: it is bound to the agent's key, or was
    /// issued to the agent's identifier. Refuses the request if two sources name different agents,
    /// and if the token is bound to another proven key and was not issued to the agent.
    ///
    /// Returns whether the token is unbound: it is bound to no key, and its client is not the
    /// proven agent. Refuses such a token unless the route accepts bearer tokens.
    pub(super) fn bind(
        &self,
        token: &AccessToken,
        agent: Option<&AgentCredential>,
        unspent: &[UnspentProof],
    ) -> Result<bool, Error> {
        let agents_key = agent.map(|it| it.key().thumbprint());
        if token.is_bound() {
            let proven = unspent.iter().filter_map(|proof| proof.key(agents_key));
            let proven: Vec<ProvenKey> = proven.collect();
            token.confirmed_by(&proven)?;
        }
        let names_another = names_another(token, agent.map(AgentCredential::id))?;
        let refused = |why| Err(Error::NotBound(why));
        let requirements = &self.route.requirements;
        let Some(agent) = agent else {
            let needs_binding = requirements.asks_who_acts() || !requirements.allows_bearer();
            if !token.is_bound() && needs_binding {
                return refused(BindingFailure::NoConfirmation);
            }
            return Ok(!token.is_bound());
        };
        if names_another {
            return refused(BindingFailure::OtherWorkload);
        }
        let by_agents_key = |it: &Confirmation| match it {
            Confirmation::DpopJkt(key) | Confirmation::Jwk(key) => Some(key) == agents_key,
            Confirmation::CertificateS256(_) => false,
        };
        if token.issued_to(agent.id()) || token.confirmations().iter().any(by_agents_key) {
            return Ok(false);
        }
        if token.is_bound() {
            // Two keys of one sender, and nothing says that they are one workload's.
            return refused(BindingFailure::OtherWorkload);
        }
        if requirements.allows_bearer() && !requirements.asks_who_calls() {
            Ok(true)
        } else {
            refused(BindingFailure::NoConfirmation)
        }
    }
}

/// Returns whether the token names another workload than the proven one: by the identifier of its
/// client, by the issuer's rules, or as the current actor (RFC 8693 §4.1). Earlier actors do not
/// count.
fn names_another(token: &AccessToken, agent: Option<&WorkloadId>) -> Result<bool, Error> {
    let actor = token.actors().first().map(|it| it.subject.as_str());
    let client = is_another("client_id", token.client_id(), agent)?;
    let actor = actor.map_or(Ok(false), |it| is_another("act.sub", it, agent))?;
    let is_mapped = token.workloads().next().is_some();
    let mapped = is_mapped && !agent.is_some_and(|it| token.issued_to(it));
    Ok(client || actor || mapped)
}

/// Returns whether a name is that of another workload. A name that has the scheme of a workload
/// identifier and cannot be parsed is refused, because another reader may accept it.
fn is_another(claim: &str, name: &str, agent: Option<&WorkloadId>) -> Result<bool, Error> {
    if agent.is_some_and(|it| it.as_str() == name) || !begins_as_workload(name) {
        return Ok(false);
    }
    let parsed = WorkloadId::parse(name).map(|_another| true);
    parsed.map_err(|error| Error::Claim {
        claim: claim.to_owned(),
        expected: format!("a workload identifier, as its scheme says: {error}"),
        found: Some(shown([name])),
    })
}

/// Returns whether the text has the scheme of workload identifiers, in any case (RFC 3986 §3.1).
fn begins_as_workload(text: &str) -> bool {
    ["spiffe:", "wimse:"].iter().any(|scheme| {
        let start = text.get(..scheme.len());
        start.is_some_and(|it| it.eq_ignore_ascii_case(scheme))
    })
}
