//! The JOSE header (RFC 7515 §4), parsed strictly.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::json::{self, Text};
use crate::jwk::{Jwk, MAX_KEY_ID_LEN};
use crate::{Algorithm, Error, jwt};

/// A parsed header. It is untrusted until the signature is verified.
#[derive(Clone, Debug)]
pub struct Header {
    alg: Algorithm,
    kid: Option<Box<str>>,
    typ: Option<Box<str>>,
    jwk: Option<Box<Jwk>>,
}

/// The treatment of `jwk`, which is a key, and of `jku`, `x5u` and `x5c`, which refer to a key or
/// certificate elsewhere. The last three are never fetched or used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeysInHeader {
    Refused,
    ReferencesIgnored,
    JwkRequired,
}

impl Header {
    /// Parses the JSON of a header.
    pub(super) fn parse(json: &[u8], keys: KeysInHeader) -> Result<Self, Error> {
        let text = json::object(json)?;
        let raw: Members<'_> = serde_json::from_str(text).or(Err(Error::Header))?;
        if raw.crit.is_some() || raw.b64.is_some() {
            return Err(Error::Crit);
        }
        let refers = raw.jku.is_some() || raw.x5u.is_some() || raw.x5c.is_some();
        if refers && keys != KeysInHeader::ReferencesIgnored {
            return Err(Error::KeyInHeader);
        }
        let jwk = match (raw.jwk, keys) {
            (None, KeysInHeader::Refused | KeysInHeader::ReferencesIgnored) => None,
            (Some(_), KeysInHeader::Refused | KeysInHeader::ReferencesIgnored) => {
                return Err(Error::KeyInHeader);
            }
            (Some(jwk), KeysInHeader::JwkRequired) => {
                Some(Box::new(Jwk::parse(jwk.get().as_bytes())?))
            }
            (None, KeysInHeader::JwkRequired) => return Err(Error::NoKeyInHeader),
        };
        if raw.zip.is_some() || raw.enc.is_some() {
            return Err(Error::Header);
        }
        let alg = raw.alg.ok_or(Error::Header)?;
        let alg = Algorithm::from_name(&alg).ok_or(Error::UnknownAlgorithm)?;
        let owned = |text: Option<Text<'_>>, most: usize| match text {
            Some(text) if text.is_empty() || text.len() > most => Err(Error::Header),
            text => Ok(text.map(|text| text.into_owned().into_boxed_str())),
        };
        Ok(Self {
            alg,
            kid: owned(raw.kid, MAX_KEY_ID_LEN)?,
            typ: owned(raw.typ, MAX_TYP)?,
            jwk,
        })
    }

    /// Returns `alg`, as the token claims it. The key decides whether it fits (RFC 8725 §3.1).
    #[must_use]
    pub const fn alg(&self) -> Algorithm {
        self.alg
    }

    /// Returns `kid`: opaque, at most 256 bytes, compared as bytes. It is untrusted text.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Returns `typ`, as written. It is untrusted text.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Returns `jwk`, if the token was parsed by
    /// [`parse_with_embedded_key`](super::Unverified::parse_with_embedded_key).
    ///
    /// The sender chose this key. A signature by it proves only that the sender holds its private
    /// key.
    #[must_use]
    pub fn embedded_key(&self) -> Option<&Jwk> {
        self.jwk.as_deref()
    }

    /// Returns whether `typ` names this media type. Case does not matter, and `application/` may be
    /// left out (RFC 7515 §4.1.9, RFC 2045 §5.1).
    #[must_use]
    pub fn is_typ(&self, expected: &str) -> bool {
        self.typ().is_some_and(|typ| {
            let short = match typ.split_at_checked(PREFIX.len()) {
                Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
                _ => typ,
            };
            short.eq_ignore_ascii_case(expected)
        })
    }

    /// Checks that `typ` names this media type (RFC 8725 §3.11).
    ///
    /// # Errors
    ///
    /// [`Error::Type`] for another `typ` or none.
    pub fn expect_typ(&self, expected: &str) -> Result<(), Error> {
        if self.is_typ(expected) {
            Ok(())
        } else {
            Err(Error::Type)
        }
    }
}

/// The members of a header. Members that are not allowed are parsed too, so that `null` does not
/// hide them.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "jwt::present")]
    alg: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "jwt::present")]
    kid: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "jwt::present")]
    typ: Option<Text<'a>>,
    #[serde(default, deserialize_with = "jwt::present")]
    b64: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "jwt::present")]
    crit: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "jwt::present")]
    enc: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "jwt::present")]
    jku: Option<IgnoredAny>,
    #[serde(borrow, default, deserialize_with = "jwt::present")]
    jwk: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "jwt::present")]
    x5c: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "jwt::present")]
    x5u: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "jwt::present")]
    zip: Option<IgnoredAny>,
}

const PREFIX: &str = "application/";
/// Maximum length of `typ` in bytes.
const MAX_TYP: usize = 128;
