//! Which key a token is bound to.

use std::fmt;

use aims_jose::json::Text;
use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jwt::present;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Error;

/// `cnf` (RFC 7800 §3.1): the key whose possession makes the token usable, as a thumbprint (`jkt`,
/// RFC 9449 §6.1, or that of `jwk`).
///
/// A method that this crate cannot check, such as `x5t#S256`, is refused: a token that is bound is
/// not taken for one that is not.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Confirmation(Thumbprint);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Methods<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jkt: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    jwk: Option<&'a RawValue>,
}

impl Confirmation {
    pub(crate) fn read(json: &[u8]) -> Result<Self, Error> {
        // Serde alone would take an array for it.
        if json.first() != Some(&b'{') {
            return Err(Error::Confirmation);
        }
        let methods: Methods<'_> = serde_json::from_slice(json).or(Err(Error::Confirmation))?;
        let jkt = methods.jkt.map(|text| text.parse());
        let jkt = jkt.transpose().or(Err(Error::Confirmation))?;
        let jwk = methods.jwk.map(of_key).transpose()?;
        match (jkt, jwk) {
            (Some(one), Some(other)) if one != other => Err(Error::Confirmation),
            (Some(one), _) | (None, Some(one)) => Ok(Self(one)),
            (None, None) => Err(Error::Confirmation),
        }
    }

    /// The thumbprint of the key (RFC 7638, SHA-256).
    #[must_use]
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.0
    }
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Confirmation").field(&self.0).finish()
    }
}

fn of_key(raw: &RawValue) -> Result<Thumbprint, Error> {
    let jwk = Jwk::parse(raw.get().as_bytes()).or(Err(Error::Confirmation))?;
    Ok(jwk.thumbprint())
}
