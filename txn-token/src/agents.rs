//! Agents in transaction tokens (draft-araut-oauth-transaction-tokens-for-agents).

use aims_jose::json::{self, Text};
use aims_jose::jwt::present;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::token::malformed;

/// The revision of the agents' draft that this module implements.
pub const AGENTS_REVISION: &str = "draft-araut-oauth-transaction-tokens-for-agents-02";

/// The hops that a chain of agents may have, by default.
const MAX_HOPS: usize = 5;

/// The longest path that is read, whatever the rules allow.
const MAX_PATH: usize = 64;

/// Rules for the agents of a transaction token, set by
/// [`TxnTokenRules::with_agents`](crate::TxnTokenRules::with_agents).
///
/// ```
/// use aims_txn_token::{AgentRules, Assurance, TxnTokenRules};
///
/// let agents = AgentRules::new()
///     .with_workload("billing.example.org")
///     .with_min_assurance(Assurance::Medium);
/// let rules = TxnTokenRules::new("example.org").with_agents(agents);
/// # let _ = rules;
/// ```
#[derive(Clone, Debug)]
pub struct AgentRules {
    workload: Option<String>,
    max_hops: usize,
    min_assurance: Assurance,
    requires_agent: bool,
}

impl Default for AgentRules {
    fn default() -> Self {
        Self::new()
    }
}

impl AgentRules {
    /// Reads `act` and `agentic_ctx` where they are, and accepts chains of at most five hops, of
    /// any assurance.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            workload: None,
            max_hops: MAX_HOPS,
            min_assurance: Assurance::Unknown,
            requires_agent: false,
        }
    }

    /// Sets the workload that verifies. A token whose `txn_path` names it is refused, because the
    /// chain of agents is a loop; only as the last element it is the one that the token is for.
    #[must_use]
    pub fn with_workload(mut self, workload: impl Into<String>) -> Self {
        self.workload = Some(workload.into());
        self
    }

    /// Sets the maximum of `hop_count`, of the elements of `txn_path`, and of the actors in `act`.
    /// Defaults to 5; more than 64 elements are never read.
    #[must_use]
    pub const fn with_max_hops(mut self, most: usize) -> Self {
        self.max_hops = most;
        self
    }

    /// Requires this assurance of every agent of the chain. Defaults to none.
    #[must_use]
    pub const fn with_min_assurance(mut self, least: Assurance) -> Self {
        self.min_assurance = least;
        self
    }

    /// Requires `act`. By default, a token without it is of no agent.
    #[must_use]
    pub const fn require_agent(mut self) -> Self {
        self.requires_agent = true;
        self
    }
}

/// How far the runtime of an agent was verified (`assurance`), from the least to the most.
///
/// The draft names no complete list. A missing value, and one that is not known here, is the least.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Assurance {
    /// Missing, `none`, `unverified`, or not known.
    #[default]
    Unknown,
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
}

impl Assurance {
    fn read(text: Option<&str>) -> Self {
        match text {
            Some("low") => Self::Low,
            Some("medium") => Self::Medium,
            Some("high") => Self::High,
            _ => Self::Unknown,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// The agents of a verified transaction token.
///
/// In the draft `act` names one agent, the first, and stays when a token is replaced. A service
/// that keeps the chain of those who asked nests it in `act`, the newest outermost
/// (RFC 8693 §4.1): there the first agent is the innermost, which a replacement does not change
/// either. A policy looks at [`actor`](Self::actor) and [`current`](Self::current), and not at the
/// history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Agents {
    first: String,
    actor: Actor,
    current: Option<String>,
    originator: Option<String>,
    path: Vec<String>,
    hops: usize,
    assurance: Assurance,
}

impl Agents {
    /// Returns the agent that began the transaction: `sub` of `act`, of the innermost one in a
    /// chain.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first
    }

    /// Returns `sub` of the outermost `act`: the current actor of a chain (RFC 8693 §4.1), or the
    /// only agent that the token names there.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor.subject
    }

    /// Returns `iss` of the outermost `act`. Without it the actor is one of the token's issuer.
    #[must_use]
    pub fn actor_issuer(&self) -> Option<&str> {
        self.actor.issuer.as_deref()
    }

    /// Returns the agent that acts now, or `None` if the token does not tell. A policy refuses what
    /// depends on an unknown agent.
    ///
    /// It is `agentic_ctx.current_actor.identity.workload_id`, else
    /// `agentic_ctx.identity.workload_id`. Without `agentic_ctx` it is [`actor`](Self::actor) if
    /// the very agent asked for the token (`req_wl`): one of the token's issuer, by its name.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// Returns `agentic_ctx.originator.identity.workload_id`.
    #[must_use]
    pub fn originator(&self) -> Option<&str> {
        self.originator.as_deref()
    }

    /// Returns `agentic_ctx.chain_metadata.txn_path`, the agents in the order in which they acted.
    #[must_use]
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// Returns `agentic_ctx.chain_metadata.hop_count`, or the length of the path if that is more.
    #[must_use]
    pub const fn hops(&self) -> usize {
        self.hops
    }

    /// Returns the least assurance that the token tells of: of the chain, the current actor and the
    /// originator.
    #[must_use]
    pub const fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// Makes `agentic_ctx` of the token that replaces this one, when the current agent hands the
    /// transaction to another one. A transaction token service calls it.
    ///
    /// The path grows by the next agent, and the assurance never rises. The service must have
    /// verified the assurance by itself, not taken it from the agent.
    ///
    /// # Errors
    ///
    /// `txn.agent_loop` if the next agent has acted already, `txn.agent_hops` if the path gets
    /// longer than the rules allow.
    pub fn handed_to(
        &self,
        next: &str,
        assurance: Assurance,
        rules: &AgentRules,
    ) -> Result<Map<String, Value>, Error> {
        let mut path = self.path.clone();
        if path.is_empty() {
            path.extend(self.current.clone().or_else(|| Some(self.first.clone())));
        }
        if path.iter().any(|it| it == next) {
            return Err(Error::AgentLoop);
        }
        path.push(next.to_owned());
        let hops = self.hops.saturating_add(1).max(path.len());
        within(hops, rules)?;
        let originator = self.originator.as_deref().unwrap_or(&self.first);
        let context = json!({
            "current_actor": {
                "identity": {"workload_id": next},
                "posture": {"assurance": assurance.name()}
            },
            "originator": {
                "identity": {"workload_id": originator},
                "posture": {"assurance": self.assurance.name()}
            },
            "chain_metadata": {
                "hop_count": hops,
                "min_assurance_level": assurance.min(self.assurance).name(),
                "txn_path": path
            }
        });
        Ok(match context {
            Value::Object(members) => members,
            _ => Map::new(),
        })
    }
}

const fn within(hops: usize, rules: &AgentRules) -> Result<(), Error> {
    if hops > rules.max_hops || hops > MAX_PATH {
        return Err(Error::AgentHops {
            found: hops,
            most: rules.max_hops,
        });
    }
    Ok(())
}

#[derive(Deserialize)]
struct Act<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    iss: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    sub: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    act: Option<&'a RawValue>,
}

/// One `act`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Actor {
    issuer: Option<String>,
    subject: String,
}

/// Reads `act` from the outermost actor in.
fn chain(act: &RawValue, rules: &AgentRules) -> Result<Vec<Actor>, Error> {
    let text = |it: Option<Text<'_>>| it.filter(|it| !it.is_empty()).map(Text::into_owned);
    let mut all: Vec<Actor> = Vec::new();
    let mut next = Some(act);
    while let Some(raw) = next {
        let read: Act<'_> = json::from_object(raw.get().as_bytes()).or(Err(malformed("act")))?;
        let actor = Actor {
            issuer: match read.iss {
                None => None,
                named => Some(text(named).ok_or(malformed("act"))?),
            },
            subject: text(read.sub).ok_or(malformed("act"))?,
        };
        if all.contains(&actor) {
            return Err(Error::AgentLoop);
        }
        all.push(actor);
        within(all.len(), rules)?;
        next = read.act;
    }
    Ok(all)
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    identity: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    posture: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    current_actor: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    originator: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    chain_metadata: Option<&'a RawValue>,
}

/// The members that tell of one agent.
#[derive(Deserialize)]
struct One<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    identity: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    posture: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Identity<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    workload_id: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
struct Posture<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    assurance: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Chain<'a> {
    #[serde(default, deserialize_with = "present")]
    hop_count: Option<usize>,
    #[serde(borrow, default, deserialize_with = "present")]
    min_assurance_level: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    txn_path: Option<Vec<Text<'a>>>,
}

/// Reads a member of `agentic_ctx`, which is an object.
fn member<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Error> {
    json::from_object(raw.get().as_bytes()).or(Err(malformed("agentic_ctx")))
}

/// One agent: its identifier and the assurance of its runtime.
struct Known {
    name: Option<String>,
    assurance: Assurance,
}

impl One<'_> {
    fn read(&self) -> Result<Known, Error> {
        let identity: Option<Identity<'_>> = self.identity.map(member).transpose()?;
        let posture: Option<Posture<'_>> = self.posture.map(member).transpose()?;
        let name = identity.unwrap_or_default().workload_id;
        Ok(Known {
            name: name.filter(|it| !it.is_empty()).map(Text::into_owned),
            assurance: Assurance::read(posture.unwrap_or_default().assurance.as_deref()),
        })
    }
}

fn agent(raw: &RawValue) -> Result<Known, Error> {
    member::<One<'_>>(raw)?.read()
}

/// Reads and judges the agents of a token, which is of no agent without `act`.
pub(crate) fn read(
    act: Option<&RawValue>,
    context: Option<&RawValue>,
    (requester, issuer): (&str, Option<&str>),
    rules: &AgentRules,
) -> Result<Option<Agents>, Error> {
    let Some(act) = act else {
        // Without `act`, `agentic_ctx` tells of no agent.
        return if rules.requires_agent || context.is_some() {
            Err(malformed("act"))
        } else {
            Ok(None)
        };
    };
    let chain = chain(act, rules)?;
    let (Some(actor), Some(first)) = (chain.first().cloned(), chain.last()) else {
        return Err(malformed("act"));
    };
    let first = first.subject.clone();
    // An agent of another issuer can have the name of the requester.
    let is_own = actor.issuer.is_none() || actor.issuer.as_deref() == issuer;
    let agents = match context {
        Some(context) => in_context((first, actor), &member(context)?, rules)?,
        None => Agents {
            current: Some(actor.subject.clone()).filter(|it| is_own && it == requester),
            first,
            actor,
            originator: None,
            path: Vec::new(),
            hops: 0,
            assurance: Assurance::Unknown,
        },
    };
    if agents.assurance < rules.min_assurance {
        return Err(Error::AgentAssurance {
            found: agents.assurance.name(),
            least: rules.min_assurance.name(),
        });
    }
    Ok(Some(agents))
}

fn in_context(
    (first, actor): (String, Actor),
    context: &Context<'_>,
    rules: &AgentRules,
) -> Result<Agents, Error> {
    let current = match context.current_actor {
        Some(raw) => agent(raw)?,
        None => One {
            identity: context.identity,
            posture: context.posture,
        }
        .read()?,
    };
    let originator = context.originator.map(agent).transpose()?;
    let mut agents = Agents {
        first,
        actor,
        current: current.name,
        originator: None,
        path: Vec::new(),
        hops: 0,
        assurance: current.assurance,
    };
    if let Some(originator) = originator {
        agents.originator = originator.name;
        agents.assurance = agents.assurance.min(originator.assurance);
    }
    if let Some(chain) = context.chain_metadata {
        let chain: Chain<'_> = member(chain)?;
        let least = Assurance::read(chain.min_assurance_level.as_deref());
        agents.assurance = agents.assurance.min(least);
        let path = chain.txn_path.unwrap_or_default();
        agents.hops = chain.hop_count.unwrap_or_default().max(path.len());
        within(agents.hops, rules)?;
        agents.path = path.into_iter().map(Text::into_owned).collect();
        check_path(&agents.path, rules)?;
    }
    Ok(agents)
}

/// Refuses a path in which an agent occurs twice, or in which the verifier has acted already.
fn check_path(path: &[String], rules: &AgentRules) -> Result<(), Error> {
    let mut before: Vec<&str> = Vec::with_capacity(path.len());
    for agent in path {
        if before.contains(&agent.as_str()) {
            return Err(Error::AgentLoop);
        }
        before.push(agent);
    }
    // The last element is the agent that the token was made for.
    before.pop();
    match &rules.workload {
        Some(own) if before.contains(&own.as_str()) => Err(Error::AgentLoop),
        _ => Ok(()),
    }
}
