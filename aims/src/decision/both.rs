//! Decisions about the subject and about those that act for it.

use std::fmt::Debug;
use std::sync::Arc;

use aims_error::shown;
use aims_jose::time::UnixTime;
use aims_txn_token::TxnToken;

use super::{Call, Decision, Denial, Reason};
use crate::principal::Principal;

/// Tells what single parties may do, for
/// [`Requirements::subject_and_actor`](crate::Requirements::subject_and_actor).
///
/// The guard asks it about the subject of the call and about each party that acts for the subject.
/// It is synchronous, like [`Authorize`](super::Authorize).
///
/// ```
/// use aims::Requirements;
/// use aims::decision::{Call, Party, Permission, Permit, Role};
/// use aims::jose::time::UnixTime;
///
/// /// Alice may use every tool, and the assistant may only read.
/// #[derive(Debug)]
/// struct Rules;
///
/// impl Permit for Rules {
///     fn may(&self, party: &Party<'_>, call: &Call<'_>, _: UnixTime) -> Permission {
///         match (party.role, party.name) {
///             (Role::Subject, "alice") => Permission::Allowed,
///             (Role::Actor, "spiffe://example.org/assistant") if call.method == "GET" => {
///                 Permission::Allowed
///             }
///             (Role::Actor, "spiffe://example.org/assistant") => Permission::Denied,
///             _ => Permission::NoRule,
///         }
///     }
/// }
///
/// let requirements = Requirements::new().subject_and_actor(Rules);
/// # drop(requirements);
/// ```
pub trait Permit: Debug + Send + Sync {
    /// Decides whether this party may make the call at the time `now`.
    fn may(&self, party: &Party<'_>, call: &Call<'_>, now: UnixTime) -> Permission;
}

impl<T: Permit + ?Sized> Permit for Arc<T> {
    fn may(&self, party: &Party<'_>, call: &Call<'_>, now: UnixTime) -> Permission {
        (**self).may(party, call, now)
    }
}

/// One party of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Party<'a> {
    /// The part that the party has in the call.
    pub role: Role,
    /// `sub` or `client_id` of the party, or the workload identifier of the proven agent.
    pub name: &'a str,
    /// The issuer of the name; the trust domain of a transaction token without `iss`. `None` for a
    /// workload identifier that was proven by its credential.
    pub issuer: Option<&'a str>,
}

/// The part that a party has in a call.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Role {
    /// The party on whose behalf the call is made, such as a user.
    Subject,
    /// The party that makes the call, such as an agent.
    Actor,
}

/// The answer of a [`Permit`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each answer must be handled")]
pub enum Permission {
    /// The party may make the call.
    Allowed,
    /// The party must not make the call.
    Denied,
    /// There is no rule about this party. The guard refuses the call.
    NoRule,
}

/// Allows a call that is permitted to all of its parties.
pub(crate) fn decide(
    policy: &dyn Permit,
    principal: &Principal,
    call: &Call<'_>,
    now: UnixTime,
) -> Decision {
    let parties = parties(principal);
    if !parties.iter().any(|it| it.role == Role::Actor) {
        let detail = "no acting party is known: expected an access token or a proven agent";
        let reason = Reason::new("guard.actor_denied", detail);
        return Decision::Deny(Denial::Forbidden, vec![reason]);
    }
    for party in &parties {
        let (code, who) = match party.role {
            Role::Subject => ("guard.subject_denied", "the subject"),
            Role::Actor => ("guard.actor_denied", "the actor"),
        };
        let name = shown([party.name]);
        let detail = match policy.may(party, call, now) {
            Permission::Allowed => continue,
            Permission::Denied => format!("{who} {name} must not make this call"),
            Permission::NoRule => format!("no rule permits this call to {who} {name}"),
        };
        return Decision::Deny(Denial::Forbidden, vec![Reason::new(code, detail)]);
    }
    let detail = format!("permitted to each of {} parties", parties.len());
    Decision::Allow(vec![Reason::new("guard.both", detail)])
}

/// The parties of a call: the subject, unless the sender acts for itself, then the acting ones.
fn parties(principal: &Principal) -> Vec<Party<'_>> {
    let mut all = Vec::new();
    let agent = principal.agent().map(|it| it.as_str());
    let party = |role, name, issuer| Party { role, name, issuer };
    if let Some(token) = principal.access_token() {
        let issuer = Some(token.issuer());
        let acts_for_itself = token.actors().is_empty() && token.subject() == token.client_id();
        if !acts_for_itself {
            all.push(party(Role::Subject, token.subject(), issuer));
        }
        let is_agent = |name: &str| {
            let by_rules = || token.workloads().any(|it| Some(it.as_str()) == agent);
            Some(name) == agent || token.actors().is_empty() && by_rules()
        };
        let actor = token.current_actor();
        let named_by = actor.issuer.as_deref().or(issuer);
        // A party of another issuer is not the agent, whatever its name.
        if named_by != issuer || !is_agent(&actor.subject) {
            all.push(party(Role::Actor, &actor.subject, named_by));
        }
    } else if let Some(transaction) = principal.transaction() {
        let issuer = issuer_of(transaction);
        all.push(party(Role::Subject, transaction.subject(), issuer));
        // A party of another issuer is not the agent, whatever its name.
        let others = acting(transaction)
            .into_iter()
            .filter(|(name, named_by)| Some(*name) != agent || *named_by != issuer);
        all.extend(others.map(|(name, named_by)| party(Role::Actor, name, named_by)));
    }
    all.extend(agent.map(|name| party(Role::Actor, name, None)));
    all
}

/// Returns who has given the names of a transaction token. Without `iss` it is the trust domain: no
/// issuer is that of a proven agent.
fn issuer_of(transaction: &TxnToken) -> Option<&str> {
    transaction.issuer().or_else(|| Some(transaction.domain()))
}

/// The agents that act in a transaction, with the issuers of their names: the outermost `act`, and
/// the current actor of `agentic_ctx`. Those before in the chain are history (RFC 8693 §4.1).
#[cfg(feature = "txn-agents")]
fn acting(transaction: &TxnToken) -> Vec<(&str, Option<&str>)> {
    let Some(agents) = transaction.agents() else {
        return Vec::new();
    };
    let issuer = issuer_of(transaction);
    let outermost = (agents.actor(), agents.actor_issuer().or(issuer));
    let current = agents.current().map(|name| (name, issuer));
    let current = current.filter(|it| *it != outermost);
    std::iter::once(outermost).chain(current).collect()
}

/// Without the feature `txn-agents` no claim of a transaction token names an agent.
#[cfg(not(feature = "txn-agents"))]
const fn acting(_transaction: &TxnToken) -> Vec<(&'static str, Option<&'static str>)> {
    Vec::new()
}
