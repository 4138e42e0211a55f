//! Verifies the proofs of `messages`.

use std::time::Duration;

use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jws::Unverified;
use aims_jose::jwt::{TimeRules, Times};
use aims_jose::key::VerifyingKey;
use aims_jose::provider::Provider;
use aims_jose::time::UnixTime;

use super::challenge::Challenges;
use super::messages::{self, ForeignClaims};
use crate::Error;

/// The values that every proof is verified against.
pub(crate) struct Judge<'a> {
    pub(crate) audience: &'a str,
    pub(crate) challenges: &'a Challenges,
    pub(crate) provider: &'static dyn Provider,
    pub(crate) now: UnixTime,
}

/// A verified proof with its nonce, which is not spent yet.
pub(crate) struct Proven<T> {
    pub(crate) what: T,
    pub(crate) nonce: String,
    pub(crate) nonce_expires: UnixTime,
}

/// A proof for a new key, whose signature is not verified.
pub(crate) struct KeyProof<'a> {
    unverified: Unverified<'a>,
    key: VerifyingKey,
    nonce: String,
    nonce_expires: UnixTime,
}

impl KeyProof<'_> {
    pub(crate) const fn unverified_key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Verifies that the client holds the key. Call it when the client is known: a signature is the
    /// most expensive check.
    pub(crate) fn verify(self) -> Result<Proven<VerifyingKey>, Error> {
        self.unverified.verify(&self.key).map_err(Error::Proof)?;
        Ok(Proven {
            what: self.key,
            nonce: self.nonce,
            nonce_expires: self.nonce_expires,
        })
    }
}

impl Judge<'_> {
    /// Reads the proof that the client holds the key that a credential is requested for. Its
    /// signature is not verified yet: see [`KeyProof::verify`].
    pub(crate) fn key_proof<'t>(&self, text: &'t str) -> Result<KeyProof<'t>, Error> {
        let unverified = parse(text, messages::KEY_PROOF)?;
        let payload = unverified
            .unverified_payload()
            .map_err(Error::Proof)?
            .to_vec();
        let claims: ForeignClaims<'_> =
            aims_jose::json::from_object(&payload).map_err(Error::Proof)?;
        // Check the nonce first: a proof without a nonce of this server costs no signature
        // verification.
        let nonce_expires = self.common(&claims)?;
        let lacking = || Error::Proof(aims_jose::Error::Claim { claim: "cnf" });
        let confirmation = claims.cnf.as_ref().ok_or_else(lacking)?;
        let jwk = Jwk::parse(confirmation.jwk.get().as_bytes()).map_err(Error::Proof)?;
        if jwk.algorithm().is_none() {
            return Err(Error::KeyAlgorithm);
        }
        let key = VerifyingKey::from_jwk(&jwk, self.provider).map_err(Error::Proof)?;
        Ok(KeyProof {
            unverified,
            key,
            nonce: claims.nonce,
            nonce_expires,
        })
    }

    /// Verifies a proof over the new key by a known key; for a renewal, over the WIT too.
    pub(crate) fn authorizing(
        &self,
        text: &str,
        typ: &str,
        key: &VerifyingKey,
        about: &Thumbprint,
        wit_hash: Option<&str>,
    ) -> Result<Proven<()>, Error> {
        let (claims, nonce_expires) = self.signed(text, typ, key)?;
        if claims.jkt != Some(*about) || claims.wth.as_deref() != wit_hash {
            return Err(Error::ProofBinding);
        }
        Ok(Proven {
            what: (),
            nonce: claims.nonce,
            nonce_expires,
        })
    }

    /// Returns the audience that a JWT-SVID is requested for.
    pub(crate) fn svid_request(
        &self,
        text: &str,
        key: &VerifyingKey,
        wit_hash: &str,
    ) -> Result<Proven<String>, Error> {
        let (claims, nonce_expires) = self.signed(text, messages::SVID_REQUEST, key)?;
        if claims.wth.as_deref() != Some(wit_hash) {
            return Err(Error::ProofBinding);
        }
        let lacking = || Error::Proof(aims_jose::Error::Claim { claim: "svid_aud" });
        let audience = claims.svid_aud.ok_or_else(lacking)?;
        Ok(Proven {
            what: audience,
            nonce: claims.nonce,
            nonce_expires,
        })
    }

    fn signed(
        &self,
        text: &str,
        typ: &str,
        key: &VerifyingKey,
    ) -> Result<(OwnedClaims, UnixTime), Error> {
        let verified = parse(text, typ)?.verify(key).map_err(Error::Proof)?;
        let claims: ForeignClaims<'_> = verified.claims().map_err(Error::Proof)?;
        let nonce_expires = self.common(&claims)?;
        let owned = OwnedClaims {
            nonce: claims.nonce,
            jkt: claims.jkt,
            wth: claims.wth,
            svid_aud: claims.svid_aud,
        };
        Ok((owned, nonce_expires))
    }

    /// Checks audience, time and nonce.
    fn common(&self, claims: &ForeignClaims<'_>) -> Result<UnixTime, Error> {
        if claims.aud.sole() != Some(self.audience) {
            return Err(Error::Proof(aims_jose::Error::Claim { claim: "aud" }));
        }
        TimeRules::new()
            .with_max_lifetime(Duration::from_secs(messages::LONGEST_PROOF))
            .check(&Times::new(Some(claims.exp), None, None), self.now)
            .map_err(Error::Proof)?;
        self.challenges.check(&claims.nonce, self.now)
    }
}

struct OwnedClaims {
    nonce: String,
    jkt: Option<Thumbprint>,
    wth: Option<String>,
    svid_aud: Option<String>,
}

/// Returns the thumbprint of the bootstrap key, from `kid` of the proof.
pub(crate) fn bootstrap_key_of(text: &str) -> Result<Thumbprint, Error> {
    let unverified = parse(text, messages::ENROLMENT_PROOF)?;
    let named = unverified.header().kid().and_then(|kid| kid.parse().ok());
    named.ok_or(Error::Enrolment)
}

fn parse<'a>(text: &'a str, typ: &str) -> Result<Unverified<'a>, Error> {
    if text.len() > messages::MAX_PROOF_LEN {
        return Err(Error::Proof(aims_jose::Error::TooLong {
            limit: messages::MAX_PROOF_LEN,
        }));
    }
    let unverified = Unverified::parse(text).map_err(Error::Proof)?;
    if !unverified.header().is_typ(typ) {
        return Err(Error::Proof(aims_jose::Error::Type));
    }
    Ok(unverified)
}
