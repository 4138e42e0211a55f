//! The registered claims of an access token.

use aims_jose::jwt::{Audience, NumericDate, present};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

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
    #[serde(default, deserialize_with = "not_null")]
    pub(super) acr: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) amr: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) auth_time: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) may_act: Option<Box<RawValue>>,
    #[serde(default, rename = "authorization_details")]
    _authorization_details: NotNull,
    #[serde(default, rename = "azp")]
    _azp: NotNull,
    #[serde(default, rename = "entitlements")]
    _entitlements: NotNull,
    #[serde(default, rename = "groups")]
    _groups: NotNull,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) txn: Option<Box<RawValue>>,
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

/// Reads a value of any type other than `null`.
fn not_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    let value = Box::<RawValue>::deserialize(deserializer)?;
    if value.get() == "null" {
        return Err(D::Error::custom("null"));
    }
    Ok(Some(value))
}
