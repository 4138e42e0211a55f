//! The parties that act for the subject of a token: `act` and `may_act` (RFC 8693 §4).

use std::collections::BTreeMap;

use aims_jose::jwt::present;
use aims_oauth_wire::delegate::MAX_ACTORS;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Error;

/// A party that acts for the subject (RFC 8693 §4.1).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Actor {
    /// The `sub` of the actor.
    pub subject: String,
    /// The `iss` of the actor, if it has one.
    pub issuer: Option<String>,
}

#[derive(Deserialize)]
struct Act<'a> {
    sub: String,
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    act: Option<&'a RawValue>,
}

/// Returns the nested actors, outermost first, up to the maximum depth, each once (RFC 8693 §4.1).
///
/// An actor without `iss` is one of the token's issuer. The chain is the one that
/// [`aims_oauth_wire::delegate`] compares.
pub(super) fn actors(mut next: Option<&RawValue>, issuer: &str) -> Result<Vec<Actor>, Error> {
    let mut actors: Vec<Actor> = Vec::new();
    while let Some(raw) = next {
        let malformed = || Error::Token(aims_jose::Error::Claim { claim: "act" });
        if actors.len() >= MAX_ACTORS {
            return Err(malformed());
        }
        // Check for an object first, because serde would also accept an array.
        let act: Act<'_> =
            aims_jose::json::from_object(raw.get().as_bytes()).or(Err(malformed()))?;
        let actor = Actor {
            subject: act.sub,
            issuer: act.iss,
        };
        let is_same = |other: &Actor| {
            let of = |it: &Actor| it.issuer.clone().unwrap_or_else(|| issuer.to_owned());
            other.subject == actor.subject && of(other) == of(&actor)
        };
        // A chain that leads back to an actor shows no order of delegation.
        if actor.subject.is_empty() || actors.iter().any(is_same) {
            return Err(malformed());
        }
        actors.push(actor);
        next = act.act;
    }
    Ok(actors)
}

/// The claim `may_act`: the party that the subject permits to act for it (RFC 8693 §4.4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct MayAct(Option<BTreeMap<String, Value>>);

impl MayAct {
    /// Reads the claim. One that is malformed permits no party, because it restricts the token.
    pub(super) fn read(raw: &RawValue) -> Self {
        Self(aims_jose::json::from_object(raw.get().as_bytes()).ok())
    }

    /// Returns whether every member of the claim is one of this party: `sub`, `iss` and
    /// `client_id`. A claim without `iss` names a party of the token's issuer, `own`. A claim
    /// without `sub` and `client_id`, or with other members, permits no party.
    pub(super) fn permits(
        &self,
        subject: &str,
        issuer: &str,
        own: &str,
        client: Option<&str>,
    ) -> bool {
        let Some(members) = &self.0 else {
            return false;
        };
        let has_name = members.contains_key("sub") || members.contains_key("client_id");
        let is_of = members.get("iss").map_or(issuer == own, |it| it == issuer);
        has_name
            && is_of
            && members.iter().all(|(name, value)| match name.as_str() {
                "sub" => value == subject,
                "iss" => true,
                "client_id" => client.is_some_and(|it| value == it),
                _ => false,
            })
    }
}
