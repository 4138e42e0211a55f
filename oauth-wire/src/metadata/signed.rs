//! `signed_metadata` of a protected resource (RFC 9728 §2.2).

use std::collections::BTreeMap;

use aims_jose::jwk::JwkSet;
use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::jwt::{self, NumericDate, present, required};
use aims_jose::key::Signer;
use aims_jose::time::UnixTime;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{MAX_METADATA, ResourceMetadata, SIGNED, judged};
use crate::Error;
use crate::names::Resource;

/// The party that signs the metadata of a resource, and its keys. The client trusts it by its
/// configuration.
///
/// ```
/// use aims_jose::jwk::JwkSet;
/// use aims_jose::time::UnixTime;
/// use aims_oauth_wire::Error;
/// use aims_oauth_wire::metadata::{MetadataSigner, ResourceMetadata};
/// use aims_oauth_wire::names::Resource;
///
/// fn read(document: &[u8], tool: &Resource, keys: JwkSet) -> Result<ResourceMetadata, Error> {
///     let signer = MetadataSigner::new("https://tools.example", keys);
///     ResourceMetadata::parse_signed(document, tool, &signer, UnixTime::now())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct MetadataSigner {
    issuer: Box<str>,
    keys: JwkSet,
}

impl MetadataSigner {
    /// Trusts metadata with this `iss` that one of these keys signed.
    #[must_use]
    pub fn new(issuer: impl Into<Box<str>>, keys: JwkSet) -> Self {
        Self {
            issuer: issuer.into(),
            keys,
        }
    }
}

/// The claims of a JWT that are not members of the metadata.
#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    resource: Option<String>,
}

impl ResourceMetadata {
    /// Adds `signed_metadata`: the members as claims of a JWT by this issuer (RFC 9728 §2.2). Call
    /// it last, because a member that is set later is not signed.
    ///
    /// # Errors
    ///
    /// `metadata.signed` if the signer fails.
    pub fn signed(
        mut self,
        issuer: &str,
        key_id: Option<&str>,
        signer: &dyn Signer,
        now: UnixTime,
    ) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            iss: &'a str,
            iat: u64,
            #[serde(flatten)]
            members: BTreeMap<String, serde_json::Value>,
        }
        self.signed = None;
        let json = self.to_json();
        let claims = Written {
            iss: issuer,
            iat: now.as_secs(),
            members: aims_jose::json::from_object(json.as_bytes())
                .map_err(Error::MetadataSigned)?,
        };
        let input = SigningInput::new("JWT", signer.algorithm(), key_id, &claims);
        let token = input.and_then(|input| input.sign(signer));
        let token = token.map_err(Error::MetadataSigned)?;
        self.signed = Some(token.expose().into());
        Ok(self)
    }

    /// Returns whether the document has `signed_metadata` of this program.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.signed.is_some()
    }

    /// Parses a document whose `signed_metadata` must be by this signer. Only signed members are
    /// read: a plain one, which they would take precedence over (RFC 9728 §2.2), may be by a party
    /// that cannot sign.
    ///
    /// # Errors
    ///
    /// - Those of [`parse`](Self::parse).
    /// - `metadata.member` without `signed_metadata`.
    /// - `metadata.signed` if no key of the signer fits, the signature is not good, or the JWT is
    ///   malformed, has another `typ` than `JWT`, has expired, or has a member that is `null`.
    /// - `metadata.issuer` if another party signed.
    pub fn parse_signed(
        json: &[u8],
        expected: &Resource,
        signer: &MetadataSigner,
        now: UnixTime,
    ) -> Result<Self, Error> {
        Self::parse(&signed_alone(json, signer, now)?, expected)
    }

    /// Parses a document as [`parse_signed`](Self::parse_signed) does, which may name a broader
    /// resource on the same origin, as for [`parse_within`](Self::parse_within).
    ///
    /// # Errors
    ///
    /// Those of [`parse_signed`](Self::parse_signed) and [`parse_within`](Self::parse_within).
    pub fn parse_signed_within(
        json: &[u8],
        requested: &Resource,
        signer: &MetadataSigner,
        now: UnixTime,
    ) -> Result<Self, Error> {
        Self::parse_within(&signed_alone(json, signer, now)?, requested)
    }
}

/// Verifies `signed_metadata`, and returns the document of the signed members alone.
fn signed_alone(json: &[u8], signer: &MetadataSigner, now: UnixTime) -> Result<Vec<u8>, Error> {
    let plain = super::members(json)?;
    let Some(text) = judged(SIGNED, plain.text(SIGNED))? else {
        return Err(Error::MetadataMember {
            member: SIGNED,
            expected: "a JWT in compact serialization",
            found: "none",
        });
    };
    let token = Unverified::parse_ignoring_key_references(&text, MAX_METADATA);
    let token = token.map_err(Error::MetadataSigned)?;
    let header = token.header();
    // RFC 9728 names no `typ`. One of another kind of token is not taken for metadata.
    if header.typ().is_some() {
        header.expect_typ("JWT").map_err(Error::MetadataSigned)?;
    }
    let key = signer.keys.select(header.kid(), header.alg());
    let verified = key.and_then(|key| token.verify(key));
    let verified = verified.map_err(Error::MetadataSigned)?;
    let payload = verified.payload();
    let claims: Claims = jwt::claims(payload).map_err(Error::MetadataSigned)?;
    let issuer = required(claims.iss, "iss").map_err(Error::MetadataSigned)?;
    // A JWT of another kind by the same key names no resource.
    required(claims.resource, "resource").map_err(Error::MetadataSigned)?;
    if *issuer != *signer.issuer {
        return Err(Error::MetadataIssuer {
            expected: crate::shown::identifier(&signer.issuer),
            found: crate::shown::identifier(&issuer),
        });
    }
    let now = now.as_secs();
    let skew = aims_jose::time::Skew::default();
    let ended = claims
        .exp
        .is_some_and(|it| skew.has_ended(it.as_secs(), now));
    let ahead = [claims.nbf, claims.iat];
    let ahead = ahead.into_iter().flatten();
    let mut ahead = ahead.map(|it| skew.is_future(it.as_secs(), now));
    if ended || ahead.any(|it| it) {
        let claim = if ended { "exp" } else { "nbf" };
        return Err(Error::MetadataSigned(aims_jose::Error::Claim { claim }));
    }
    let members: BTreeMap<String, &RawValue> =
        aims_jose::json::from_object(payload).map_err(Error::MetadataSigned)?;
    if members.values().any(|it| it.get() == "null") {
        let claim = "null";
        return Err(Error::MetadataSigned(aims_jose::Error::Claim { claim }));
    }
    Ok(payload.to_vec())
}
