//! Reading one JWK.

use core::fmt;

use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::{Jwk, MAX_JWK_LEN, MAX_KEY_ID_LEN};
use crate::alg::Algorithm;
use crate::json::Text;
use crate::jwt::present;
use crate::provider::{Curve, PublicKey};
use crate::{Error, base64url, json};

/// Values of `use`, and how many values `key_ops` may have (RFC 7517 registers eight).
const MAX_USE_LEN: usize = 64;
const MAX_KEY_OPS: usize = 16;

/// The private members of a key, wiped when dropped.
pub(crate) enum PrivateMembers {
    /// EC: the scalar in full length. OKP: the seed.
    Scalar(Zeroizing<Vec<u8>>),
    /// d, p, q, dp, dq, qi.
    Rsa([Zeroizing<Vec<u8>>; 6]),
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    kty: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    crv: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    x: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    y: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    n: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    e: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    alg: Option<Text<'a>>,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present", rename = "use")]
    key_use: Option<String>,
    #[serde(default, deserialize_with = "present")]
    key_ops: Option<Vec<String>>,
    // What has no place in a public key. Values are skipped, never kept.
    #[serde(default, deserialize_with = "seen")]
    d: bool,
    #[serde(default, deserialize_with = "seen")]
    p: bool,
    #[serde(default, deserialize_with = "seen")]
    q: bool,
    #[serde(default, deserialize_with = "seen")]
    dp: bool,
    #[serde(default, deserialize_with = "seen")]
    dq: bool,
    #[serde(default, deserialize_with = "seen")]
    qi: bool,
    #[serde(default, deserialize_with = "seen")]
    oth: bool,
    #[serde(default, deserialize_with = "seen")]
    k: bool,
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

/// The text of a private member, copied once, into wiped memory.
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

fn seen<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(d).map(|IgnoredAny| true)
}

pub(super) fn public(json: &[u8]) -> Result<Jwk, Error> {
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
    if d || p || q || dp || dq || qi || oth || k {
        return Err(Error::JwkPrivate);
    }
    key(members)
}

pub(super) fn private(json: &[u8]) -> Result<(Jwk, PrivateMembers), Error> {
    let json = check(json)?;
    let members: Members<'_> = read(json)?;
    if members.k {
        return Err(Error::JwkType);
    }
    if members.oth {
        return Err(Error::JwkMember { member: "oth" });
    }
    let jwk = key(members)?;
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

fn key(members: Members<'_>) -> Result<Jwk, Error> {
    let Members {
        kty,
        crv,
        x,
        y,
        n,
        e,
        alg,
        kid,
        key_use,
        key_ops,
        ..
    } = members;
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
            let (x, y) = (
                exact("x", x, curve.field_len())?,
                exact("y", y, curve.field_len())?,
            );
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
            PublicKey::Rsa {
                n: bytes("n", n)?.into(),
                e: bytes("e", e)?.into(),
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

/// Each value once, and none that `use` excludes (RFC 7517 §4.3).
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
