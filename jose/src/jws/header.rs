//! The JOSE header (RFC 7515 §4), as strict as a verifier can be.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::json::{self, Text};
use crate::jwk::{Jwk, MAX_KEY_ID_LEN};
use crate::{Algorithm, Error, jwt};

/// A header that was read. It is not to be believed before the signature was verified.
#[derive(Clone, Debug)]
pub struct Header {
    alg: Algorithm,
    kid: Option<Box<str>>,
    typ: Option<Box<str>>,
    jwk: Option<Box<Jwk>>,
}

/// What becomes of `jwk`, which is a key, and of `jku`, `x5u` and `x5c`, which name a key or
/// certificate elsewhere. The last three are never fetched or used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeysInHeader {
    Refused,
    ReferencesIgnored,
    JwkRequired,
}

impl Header {
    /// Reads a header's JSON.
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

    /// `alg`: what the token claims; the key decides (RFC 8725 §3.1).
    #[must_use]
    pub const fn alg(&self) -> Algorithm {
        self.alg
    }

    /// `kid`: opaque, compared as bytes, 256 of them at most. It is foreign text.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// `typ` as it stands there. It is foreign text.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// `jwk`, where the token was parsed by
    /// [`parse_with_embedded_key`](super::Unverified::parse_with_embedded_key). It is the sender's
    /// word: a signature by it proves only that the sender holds its private part.
    #[must_use]
    pub fn embedded_key(&self) -> Option<&Jwk> {
        self.jwk.as_deref()
    }

    /// Whether `typ` names this media type: without regard to case, with or without `application/`
    /// (RFC 7515 §4.1.9, RFC 2045 §5.1).
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

    /// Refuses another `typ`, or none (RFC 8725 §3.11).
    ///
    /// # Errors
    ///
    /// [`Error::Type`].
    pub fn expect_typ(&self, expected: &str) -> Result<(), Error> {
        if self.is_typ(expected) {
            Ok(())
        } else {
            Err(Error::Type)
        }
    }
}

/// Every member that a header may not have is read as well, so that `null` does not hide it.
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
/// The longest `typ` in bytes.
const MAX_TYP: usize = 128;
