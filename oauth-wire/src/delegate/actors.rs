//! The chain of those who act for the subject (RFC 8693 §4.1).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::claim::{Claim, Members, canonical_value, members, text};
use super::compare::same;
use super::rights::Value;
use super::verdict::Finding;

/// The most actors that a chain may have.
pub const MAX_ACTORS: usize = 5;

/// `act` and `client_id`.
#[derive(Clone, Debug)]
pub(super) struct Actors {
    /// The chain, the current actor first. Without `act` it is `client_id` alone.
    pub(super) chain: Claim<Vec<Actor>>,
    has_act: bool,
    client_id: Claim<Box<str>>,
    /// `client_id` is malformed, or missing although the kind of token requires it.
    lacks_client: bool,
}

/// An actor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Actor {
    /// `iss` of the actor, else of its token.
    pub(super) issuer: Option<Box<str>>,
    pub(super) subject: Box<str>,
    /// The other members of its `act`, which stay as they are.
    further: BTreeMap<Box<str>, Value>,
}

impl Actor {
    /// Returns whether both are one party, whatever else is said of them.
    fn is(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.subject == other.subject
    }
}

impl Actors {
    pub(super) fn read(
        act: Option<&RawValue>,
        client_id: Option<&RawValue>,
        issuer: Option<&RawValue>,
        requires_client: bool,
    ) -> Self {
        let issuer = issuer.and_then(|raw| text(raw.get()));
        let client_id = Claim::of(client_id, text);
        let chain = match (act, &client_id) {
            (Some(act), _) => chain(act, issuer.as_deref()).map_or(Claim::Unreadable, Claim::Read),
            (None, Claim::Read(client)) => Claim::Read(vec![Actor {
                issuer,
                subject: client.clone(),
                further: BTreeMap::new(),
            }]),
            (None, Claim::Absent) => Claim::Read(Vec::new()),
            (None, Claim::Unreadable) => Claim::Unreadable,
        };
        Self {
            chain,
            has_act: act.is_some(),
            lacks_client: match client_id {
                Claim::Unreadable => true,
                Claim::Absent => requires_client,
                Claim::Read(_) => false,
            },
            client_id,
        }
    }

    /// No actor.
    pub(super) const fn none() -> Self {
        Self {
            chain: Claim::Read(Vec::new()),
            has_act: false,
            client_id: Claim::Absent,
            lacks_client: false,
        }
    }

    /// Whether the child has a chain that can be read and is no shorter than this one.
    pub(super) fn is_within(&self, child: &Self) -> bool {
        let length = |it: &Self| it.chain.read().map_or(0, Vec::len);
        length(child) >= length(self)
    }

    /// How the child's chain compares with this one.
    pub(super) fn compare(&self, child: &Self) -> Finding {
        if self.lacks_client || child.lacks_client {
            return Finding::undecidable("`client_id` is missing or malformed");
        }
        let (Claim::Read(parent), Claim::Read(chain)) = (&self.chain, &child.chain) else {
            return Finding::undecidable("`act` is malformed");
        };
        let kept = chain.len().checked_sub(parent.len());
        let kept = kept.and_then(|appended| chain.get(appended..));
        let Some(kept) = kept.filter(|kept| kept.iter().zip(parent).all(|(it, own)| it.is(own)))
        else {
            return Finding::wider("the parent's actors are not the last ones of the child");
        };
        if !is_permitted(parent) {
            return Finding::undecidable("the parent's chain is too long or has an actor twice");
        }
        if !is_permitted(chain) {
            return Finding::wider("the chain has more than five actors, or one of them twice");
        }
        if !kept
            .iter()
            .zip(parent)
            .all(|(it, own)| same(&own.further, &it.further))
        {
            return Finding::undecidable("a member of an actor that is not compared differs");
        }
        if child.has_act && !child.client_fits(chain, self) {
            return Finding::undecidable(
                "`client_id` is neither the current actor nor the parent's `client_id`",
            );
        }
        if chain.len() == parent.len() {
            Finding::EQUAL
        } else {
            Finding::NARROWER
        }
    }

    /// Beside `act`, `client_id` is the current actor, or still the parent's client.
    fn client_fits(&self, chain: &[Actor], parent: &Self) -> bool {
        let Some(client) = self.client_id.read() else {
            return true;
        };
        chain.first().is_some_and(|actor| actor.subject == *client)
            || parent.client_id.read() == Some(client)
    }
}

fn is_permitted(chain: &[Actor]) -> bool {
    let is_twice =
        |(index, actor): (usize, &Actor)| chain.iter().take(index).any(|it| it.is(actor));
    chain.len() <= MAX_ACTORS && !chain.iter().enumerate().any(is_twice)
}

/// Returns the chain from the outermost actor in. The depth of JSON bounds it.
fn chain(act: &RawValue, issuer: Option<&str>) -> Option<Vec<Actor>> {
    let mut chain = Vec::new();
    let mut next = Some(act);
    while let Some(raw) = next {
        let act = members(raw.get())?;
        let own = match act.get("iss") {
            Some(raw) => Some(text(raw.get())?),
            None => issuer.map(Into::into),
        };
        chain.push(Actor {
            issuer: own,
            subject: text(act.get("sub")?.get())?,
            further: further(&act),
        });
        next = act.get("act").copied();
    }
    Some(chain)
}

/// The members of an `act` other than those that name the actor and the one before it.
fn further(act: &Members<'_>) -> BTreeMap<Box<str>, Value> {
    let others = act
        .iter()
        .filter(|(name, _)| !["iss", "sub", "act"].contains(&name.as_str()));
    others
        .map(|(name, raw)| (name.as_str().into(), canonical_value(raw.get())))
        .collect()
}
