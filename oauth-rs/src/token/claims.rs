//! The registered claims of an access token.

use aims_jose::jwt::{Audience, NumericDate, present};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use aims_oauth_wire::delegate::MAX_ACTORS;

use crate::Error;
use crate::profile::Scopes;

/// The registered claims. They are not trusted before the signature is verified; until then `iss`
/// only selects the key.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(default, deserialize_with = "present")]
    pub(super) iss: Option<String>,
    #[serde(default, deserialize_with = "audiences")]
    pub(super) aud: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    pub(super) nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    pub(super) iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    pub(super) sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) client_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) scope: Option<Scopes>,
    /// Read only with RFC 9068. A custom profile names the claims of roles itself.
    #[serde(default, deserialize_with = "present")]
    pub(super) roles: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) cnf: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) act: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) sid: Option<String>,
    #[serde(default, rename = "acr")]
    _acr: NotNull,
    #[serde(default, rename = "amr")]
    _amr: NotNull,
    #[serde(default, rename = "auth_time")]
    _auth_time: NotNull,
    #[serde(default, rename = "authorization_details")]
    _authorization_details: NotNull,
    #[serde(default, rename = "azp")]
    _azp: NotNull,
    #[serde(default, rename = "entitlements")]
    _entitlements: NotNull,
    #[serde(default, rename = "groups")]
    _groups: NotNull,
    #[serde(default, rename = "may_act")]
    _may_act: NotNull,
    #[serde(default, rename = "txn")]
    _txn: NotNull,
}

/// A registered claim that is not read here but must not be `null`, because an application that
/// reads it later would have to guess whether it is absent.
#[derive(Default)]
struct NotNull;

impl<'de> Deserialize<'de> for NotNull {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::<IgnoredAny>::deserialize(deserializer)?;
        value.map(|_| Self).ok_or_else(|| D::Error::custom("null"))
    }
}

fn audiences<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let audience = Audience::deserialize(deserializer)?;
    Ok(Some(audience.iter().map(str::to_owned).collect()))
}

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
