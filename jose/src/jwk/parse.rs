//! Parses one JWK.

use core::fmt;

use serde::de;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Jwk, MAX_JWK_LEN, MAX_KEY_ID_LEN};
use crate::alg::Algorithm;
use crate::json::Text;
use crate::jwt::present;
use crate::provider::{Curve, PublicKey};
use crate::{Error, base64url, json};

/// Maximum length of `use`, and maximum number of values of `key_ops` (RFC 7517 registers eight).
const MAX_USE_LEN: usize = 64;
const MAX_KEY_OPS: usize = 16;

/// The private members of a key, wiped when dropped.
pub(crate) enum PrivateMembers {
    /// EC: the scalar in full length. OKP: the seed.
    Scalar(Zeroizing<Vec<u8>>),
    /// d, p, q, dp, dq, qi.
    Rsa([Zeroizing<Vec<u8>>; 6]),
}

/// The accepted spellings of the members of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Spelling {
    /// The exact form of the standards.
    Exact,
    /// The forms in which servers publish keys: a member may be `null`, a string may be empty,
    /// numbers may have leading zeros or lack them.
    Published,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default)]
    kty: Member<Text<'a>>,
    #[serde(borrow, default)]
    crv: Member<Text<'a>>,
    #[serde(borrow, default)]
    x: Member<Text<'a>>,
    #[serde(borrow, default)]
    y: Member<Text<'a>>,
    #[serde(borrow, default)]
    n: Member<Text<'a>>,
    #[serde(borrow, default)]
    e: Member<Text<'a>>,
    #[serde(borrow, default)]
    alg: Member<Text<'a>>,
    #[serde(borrow, default)]
    kid: Member<Text<'a>>,
    #[serde(borrow, default, rename = "use")]
    key_use: Member<Text<'a>>,
    #[serde(default)]
    key_ops: Member<Vec<String>>,
    // Members that a public key must not have. Their values are not kept.
    #[serde(default)]
    d: PrivateMember,
    #[serde(default)]
    p: PrivateMember,
    #[serde(default)]
    q: PrivateMember,
    #[serde(default)]
    dp: PrivateMember,
    #[serde(default)]
    dq: PrivateMember,
    #[serde(default)]
    qi: PrivateMember,
    #[serde(default)]
    oth: PrivateMember,
    #[serde(default)]
    k: PrivateMember,
}

/// The state of a member in the JSON.
#[derive(Default)]
enum Member<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

impl<T> Member<T> {
    fn read(self, spelling: Spelling) -> Result<Option<T>, Error> {
        match (self, spelling) {
            (Self::Value(value), _) => Ok(Some(value)),
            (Self::Absent, _) | (Self::Null, Spelling::Published) => Ok(None),
            (Self::Null, Spelling::Exact) => Err(Error::JwkJson),
        }
    }
}

impl<'a> Member<Text<'a>> {
    fn text(self, spelling: Spelling) -> Result<Option<Text<'a>>, Error> {
        let empty = |text: &Text<'_>| spelling == Spelling::Published && text.is_empty();
        Ok(self.read(spelling)?.filter(|text| !empty(text)))
    }
}

/// Whether a private member is present, without its value.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum PrivateMember {
    #[default]
    Absent,
    /// `null`, `""`, `[]` or `{}`.
    Empty,
    Value,
}

impl<'de> Deserialize<'de> for PrivateMember {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&RawValue>::deserialize(deserializer)?.get();
        let empty = match value.as_bytes() {
            b"null" | br#""""# => true,
            [b'[', inside @ .., b']'] | [b'{', inside @ .., b'}'] => inside.trim_ascii().is_empty(),
            _ => false,
        };
        Ok(if empty { Self::Empty } else { Self::Value })
    }
}

#[derive(Deserialize)]
struct Private {
    #[serde(default, deserialize_with = "present")]
    d: Option<Secret>,
    #[serde(default, deserialize_with = "present")]
    p: Option<Secret>,
    #[serde(default, deserialize_with = "present")]
    q: Option<Secret>,
    #[serde(default, deserialize_with = "present")]
    dp: Option<Secret>,
    #[serde(default, deserialize_with = "present")]
    dq: Option<Secret>,
    #[serde(default, deserialize_with = "present")]
    qi: Option<Secret>,
}

/// The text of a private member, copied once into memory that is wiped.
struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Member;

        impl de::Visitor<'_> for Member {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a private member")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(Zeroizing::new(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Member)
    }
}

pub(super) fn public(json: &[u8], spelling: Spelling) -> Result<Jwk, Error> {
    let json = match spelling {
        Spelling::Exact => json,
        Spelling::Published => json::document(json).or(Err(Error::JwkJson))?,
    };
    let members: Members<'_> = read(check(json)?)?;
    let Members {
        d,
        p,
        q,
        dp,
        dq,
        qi,
        oth,
        k,
        ..
    } = members;
    let private = |member| match spelling {
        Spelling::Exact => member != PrivateMember::Absent,
        Spelling::Published => member == PrivateMember::Value,
    };
    if [d, p, q, dp, dq, qi, oth, k].into_iter().any(private) {
        return Err(Error::JwkPrivate);
    }
    key(members, spelling)
}

pub(super) fn private(json: &[u8]) -> Result<(Jwk, PrivateMembers), Error> {
    let json = check(json)?;
    let members: Members<'_> = read(json)?;
    if members.k != PrivateMember::Absent {
        return Err(Error::JwkType);
    }
    if members.oth != PrivateMember::Absent {
        return Err(Error::JwkMember { member: "oth" });
    }
    let jwk = key(members, Spelling::Exact)?;
    let Private {
        d,
        p,
        q,
        dp,
        dq,
        qi,
    } = read(json)?;
    let Some(d) = d else {
        return Err(Error::JwkNotPrivate);
    };
    let private = match &jwk.key {
        PublicKey::Ec { curve, .. } => PrivateMembers::Scalar(scalar(&d, curve.field_len())?),
        PublicKey::Ed25519 { .. } => PrivateMembers::Scalar(scalar(&d, 32)?),
        PublicKey::Rsa { .. } => {
            let number = |member, text: Option<Secret>| {
                let text = text.ok_or(Error::JwkMember { member })?;
                match base64url::decode(&text.0).map(Zeroizing::new) {
                    Ok(bytes) if bytes.first().is_some_and(|first| *first != 0) => Ok(bytes),
                    _ => Err(Error::JwkMember { member }),
                }
            };
            PrivateMembers::Rsa([
                number("d", Some(d))?,
                number("p", p)?,
                number("q", q)?,
                number("dp", dp)?,
                number("dq", dq)?,
                number("qi", qi)?,
            ])
        }
    };
    Ok((jwk, private))
}

fn scalar(text: &Secret, len: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    match base64url::decode(&text.0).map(Zeroizing::new) {
        Ok(bytes) if bytes.len() == len => Ok(bytes),
        _ => Err(Error::JwkMember { member: "d" }),
    }
}

fn check(json: &[u8]) -> Result<&str, Error> {
    if json.len() > MAX_JWK_LEN {
        return Err(Error::JwkTooLong { limit: MAX_JWK_LEN });
    }
    json::object(json).map_err(|error| match error {
        Error::DuplicateMember => error,
        _ => Error::JwkJson,
    })
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|_may_quote_a_value| Error::JwkJson)
}

fn key(members: Members<'_>, spelling: Spelling) -> Result<Jwk, Error> {
    let kty = members.kty.text(spelling)?;
    let crv = members.crv.text(spelling)?;
    let x = members.x.text(spelling)?;
    let y = members.y.text(spelling)?;
    let n = members.n.text(spelling)?;
    let e = members.e.text(spelling)?;
    let alg = members.alg.text(spelling)?;
    let kid = members.kid.text(spelling)?.map(Text::into_owned);
    let key_use = members.key_use.text(spelling)?.map(Text::into_owned);
    let key_ops = members.key_ops.read(spelling)?;
    let out_of_place = |member, found: bool| {
        if found {
            Err(Error::JwkMember { member })
        } else {
            Ok(())
        }
    };
    let key = match kty.as_ref().map(Text::as_str) {
        Some("EC") => {
            out_of_place("n", n.is_some())?;
            out_of_place("e", e.is_some())?;
            let curve = match crv.as_ref().map(Text::as_str) {
                Some("P-256") => Curve::P256,
                Some("P-384") => Curve::P384,
                Some("P-521") => Curve::P521,
                _ => return Err(Error::JwkCurve),
            };
            let coordinate = |member, text| match spelling {
                Spelling::Exact => exact(member, text, curve.field_len()),
                Spelling::Published => padded(member, text, curve.field_len()),
            };
            let (x, y) = (coordinate("x", x)?, coordinate("y", y)?);
            let point = [&[4], x.as_slice(), &y].concat();
            PublicKey::Ec {
                curve,
                point: point.into(),
            }
        }
        Some("OKP") => {
            out_of_place("n", n.is_some())?;
            out_of_place("e", e.is_some())?;
            out_of_place("y", y.is_some())?;
            if crv.as_ref().map(Text::as_str) != Some("Ed25519") {
                return Err(Error::JwkCurve);
            }
            let x = exact("x", x, 32)?;
            let point = x
                .try_into()
                .map_err(|_length| Error::JwkMember { member: "x" })?;
            PublicKey::Ed25519 { point }
        }
        Some("RSA") => {
            out_of_place("crv", crv.is_some())?;
            out_of_place("x", x.is_some())?;
            out_of_place("y", y.is_some())?;
            let number = |member, text| {
                let bytes = bytes(member, text)?;
                Ok::<_, Error>(match spelling {
                    Spelling::Exact => bytes.into(),
                    Spelling::Published => without_leading_zeros(&bytes).into(),
                })
            };
            PublicKey::Rsa {
                n: number("n", n)?,
                e: number("e", e)?,
            }
        }
        _ => return Err(Error::JwkType),
    };
    let mut jwk = Jwk::from_public_key(key)?;
    if let Some(alg) = alg {
        let algorithm = Algorithm::from_name(&alg).ok_or(Error::JwkAlgorithm)?;
        jwk = jwk.with_algorithm(algorithm)?;
    }
    if kid
        .as_ref()
        .is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KEY_ID_LEN)
    {
        return Err(Error::JwkKeyId);
    }
    if key_use
        .as_ref()
        .is_some_and(|found| found.is_empty() || found.len() > MAX_USE_LEN)
    {
        return Err(Error::JwkUse);
    }
    if let Some(ops) = &key_ops {
        check_key_ops(ops, key_use.as_deref())?;
    }
    jwk.key_id = kid;
    jwk.key_use = key_use;
    jwk.key_ops = key_ops;
    Ok(jwk)
}

/// Checks that each value occurs once, and that `use` excludes none (RFC 7517 §4.3).
fn check_key_ops(ops: &[String], key_use: Option<&str>) -> Result<(), Error> {
    let signs = |op: &String| op == "sign" || op == "verify";
    let repeated = ops
        .iter()
        .enumerate()
        .any(|(at, op)| ops.iter().skip(at + 1).any(|b| b == op));
    let contradicts = match key_use {
        Some("sig") => !ops.iter().all(signs),
        Some("enc") => ops.iter().any(signs),
        _ => false,
    };
    if ops.len() > MAX_KEY_OPS || repeated || contradicts {
        return Err(Error::JwkKeyOps);
    }
    Ok(())
}

fn bytes(member: &'static str, text: Option<Text<'_>>) -> Result<Vec<u8>, Error> {
    let text = text.ok_or(Error::JwkMember { member })?;
    base64url::decode(&text).map_err(|_base64| Error::JwkMember { member })
}

fn exact(member: &'static str, text: Option<Text<'_>>, len: usize) -> Result<Vec<u8>, Error> {
    let bytes = bytes(member, text)?;
    if bytes.len() == len {
        Ok(bytes)
    } else {
        Err(Error::JwkMember { member })
    }
}

/// Decodes a coordinate that may lack leading zeros. It is never longer than the field.
fn padded(member: &'static str, text: Option<Text<'_>>, len: usize) -> Result<Vec<u8>, Error> {
    let bytes = bytes(member, text)?;
    let missing = len
        .checked_sub(bytes.len())
        .ok_or(Error::JwkMember { member })?;
    Ok([vec![0; missing], bytes].concat())
}

fn without_leading_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}
