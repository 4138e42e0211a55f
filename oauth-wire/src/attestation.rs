//! Servers verify the proof of possession beside a client attestation
//! (draft-ietf-oauth-attestation-based-client-auth §5.2), which for `spiffe_wit` is a WIT-SVID
//! (draft-ietf-oauth-spiffe-client-auth-02 §3.2): read both fields, verify the attestation
//! elsewhere, then the proof with its key, spend.
//!
//! The client's side is [`SpiffeWit`](crate::client_auth::SpiffeWit).

use core::fmt;

use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times};
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore};
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::assertion::{MAX_ID, MAX_LIFETIME};
use crate::media;
use crate::names::{ClientId, Issuer};

/// The field of the attestation (draft-ietf-oauth-attestation-based-client-auth §6).
pub const ATTESTATION: HeaderName = HeaderName::from_static("oauth-client-attestation");
/// The field of the proof (draft-ietf-oauth-attestation-based-client-auth §6).
pub const ATTESTATION_POP: HeaderName = HeaderName::from_static("oauth-client-attestation-pop");
/// The `typ` of the proof (draft-ietf-oauth-attestation-based-client-auth §5.2).
pub(crate) const POP_TYPE: &str = "oauth-client-attestation-pop+jwt";

/// The claims of a proof as they are written (draft-ietf-oauth-attestation-based-client-auth §5.2).
#[derive(Serialize)]
pub(crate) struct PopClaims<'a> {
    pub(crate) aud: &'a str,
    pub(crate) jti: String,
    pub(crate) iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) challenge: Option<&'a str>,
}

/// The claims as they are read. Without `exp`, so the age is counted from `iat`.
#[derive(Deserialize)]
struct ForeignClaims<'a> {
    #[serde(borrow)]
    aud: Audience<'a>,
    jti: String,
    iat: NumericDate,
}

/// An attestation and its proof, as they came.
#[derive(Clone, Copy)]
pub struct PresentedAttestation<'a> {
    attestation: &'a str,
    pop: &'a str,
}

impl<'a> PresentedAttestation<'a> {
    /// Finds both fields in a request: `None` where neither is there.
    ///
    /// # Errors
    ///
    /// `oauth.request` for one without the other, and for a field that stands twice or is not
    /// ASCII.
    pub fn from_headers(headers: &'a HeaderMap) -> Result<Option<Self>, Error> {
        match (
            field(headers, &ATTESTATION)?,
            field(headers, &ATTESTATION_POP)?,
        ) {
            (None, None) => Ok(None),
            (Some(attestation), Some(pop)) => Ok(Some(Self { attestation, pop })),
            _ => Err(Error::Request {
                reason: "half a client attestation",
            }),
        }
    }

    /// The attestation. Not verified: whoever verifies it learns the client and its key.
    #[must_use]
    pub const fn unverified_attestation(&self) -> &'a str {
        self.attestation
    }

    /// Verifies the proof with the key that the verified attestation confirms.
    ///
    /// # Errors
    ///
    /// As [`PopRules::verify`].
    pub fn verify_pop(
        &self,
        key: &VerifyingKey,
        client: &ClientId,
        rules: &PopRules,
        now: UnixTime,
    ) -> Result<UnspentPop, Error> {
        rules.verify(self.pop, key, client, now)
    }
}

impl fmt::Debug for PresentedAttestation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedAttestation")
            .finish_non_exhaustive()
    }
}

/// What a proof has to be to be taken.
#[derive(Clone, Debug)]
pub struct PopRules {
    issuer: Issuer,
    times: TimeRules,
}

impl PopRules {
    /// For a server of this name, which has to be the sole audience; at most five minutes old, and
    /// 30 seconds for clocks that differ.
    #[must_use]
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            times: TimeRules::new(),
        }
    }

    /// Sets how far clocks may differ.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Verifies a proof of a client with the key that its attestation confirms.
    ///
    /// # Errors
    ///
    /// `attestation.type`, `attestation.jwt`, `attestation.audience`, `attestation.id`,
    /// `attestation.time`.
    pub fn verify(
        &self,
        text: &str,
        key: &VerifyingKey,
        client: &ClientId,
        now: UnixTime,
    ) -> Result<UnspentPop, Error> {
        let unverified = Unverified::parse(text).map_err(Error::AttestationJwt)?;
        if !unverified.header().is_typ(POP_TYPE) {
            return Err(Error::AttestationType);
        }
        let verified = unverified.verify(key).map_err(Error::AttestationJwt)?;
        let claims: ForeignClaims<'_> = verified.claims().map_err(Error::AttestationJwt)?;
        if claims.aud.sole() != Some(self.issuer.as_str()) {
            return Err(Error::AttestationAudience);
        }
        if claims.jti.is_empty() || claims.jti.len() > MAX_ID {
            return Err(Error::AttestationId);
        }
        let until = claims.iat.as_secs().saturating_add(MAX_LIFETIME);
        let times = Times::new(NumericDate::from_secs(until), None, Some(claims.iat));
        self.times
            .check(&times, now)
            .map_err(Error::AttestationTime)?;
        Ok(UnspentPop {
            name: ReplayKey::new(
                "client-attestation-pop",
                client.as_str(),
                &[self.issuer.as_str(), &claims.jti],
            ),
            until: self.times.skew().remember_until(until),
        })
    }
}

/// A proof that verified, and may have been used before.
#[derive(Debug)]
#[must_use = "whether it was used before is known after `spend`"]
pub struct UnspentPop {
    name: ReplayKey,
    until: UnixTime,
}

impl UnspentPop {
    /// Spends it: it counts once, at whatever server shares the store.
    ///
    /// # Errors
    ///
    /// `attestation.replayed`; `attestation.unknown` where the store cannot tell.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<(), Error> {
        aims_replay::spend(store, &self.name, self.until, now).map_err(|error| match error {
            aims_replay::Error::Replayed | aims_replay::Error::Expired => {
                Error::AttestationReplayed(error)
            }
            other => Error::AttestationUnknown(other),
        })
    }
}

/// The one value of a field.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let refused = || Error::Request {
        reason: "a field of the client attestation stands twice or is not ASCII",
    };
    let value = media::sole(headers, name).or(Err(refused()))?;
    value.map(|it| it.to_str().or(Err(refused()))).transpose()
}
