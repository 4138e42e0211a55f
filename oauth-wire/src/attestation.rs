//! Verifies the proof of possession of a client attestation at a server
//! (draft-ietf-oauth-attestation-based-client-auth §5.2).
//!
//! For `spiffe_wit` the attestation is a WIT-SVID (draft-ietf-oauth-spiffe-client-auth-02 §3.2).
//! The steps are: read both header fields, verify the attestation with other code, verify the proof
//! with the key of the attestation, and spend it.
//!
//! The client's side is [`SpiffeWit`](crate::client_auth::SpiffeWit).

use core::fmt;

use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times};
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore, Validity};
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::assertion::{MAX_ID, MAX_LIFETIME};
use crate::media;
use crate::names::{ClientId, Issuer};

/// The header field of the attestation (draft-ietf-oauth-attestation-based-client-auth §6).
pub const ATTESTATION: HeaderName = HeaderName::from_static("oauth-client-attestation");
/// The header field of the proof (draft-ietf-oauth-attestation-based-client-auth §6).
pub const ATTESTATION_POP: HeaderName = HeaderName::from_static("oauth-client-attestation-pop");
/// The `typ` of the proof (draft-ietf-oauth-attestation-based-client-auth §5.2).
pub(crate) const POP_TYPE: &str = "oauth-client-attestation-pop+jwt";

/// The claims of a proof for writing (draft-ietf-oauth-attestation-based-client-auth §5.2).
#[derive(Serialize)]
pub(crate) struct PopClaims<'a> {
    pub(crate) aud: &'a str,
    pub(crate) jti: String,
    pub(crate) iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) challenge: Option<&'a str>,
}

/// The claims of a proof for reading. There is no `exp`, so the age counts from `iat`.
#[derive(Deserialize)]
struct ForeignClaims<'a> {
    #[serde(borrow)]
    aud: Audience<'a>,
    jti: String,
    iat: NumericDate,
}

/// An unverified attestation and its proof.
///
/// ```
/// use aims_jose::key::VerifyingKey;
/// use aims_jose::time::UnixTime;
/// use aims_oauth_wire::attestation::{PopRules, PresentedAttestation};
/// use aims_oauth_wire::names::ClientId;
/// use aims_oauth_wire::Error;
/// use aims_replay::ReplayStore;
/// use http::HeaderMap;
///
/// /// `attested` verifies the attestation and returns the client and its key.
/// fn authenticate(
///     headers: &HeaderMap,
///     attested: impl Fn(&str) -> Result<(ClientId, VerifyingKey), Error>,
///     rules: &PopRules,
///     spent: &dyn ReplayStore,
///     now: UnixTime,
/// ) -> Result<Option<ClientId>, Error> {
///     let Some(presented) = PresentedAttestation::from_headers(headers)? else {
///         return Ok(None);
///     };
///     let (client, key) = attested(presented.unverified_attestation())?;
///     presented.verify_pop(&key, &client, rules, now)?.spend(spent, now)?;
///     Ok(Some(client))
/// }
/// ```
#[derive(Clone, Copy)]
pub struct PresentedAttestation<'a> {
    attestation: &'a str,
    pop: &'a str,
}

impl<'a> PresentedAttestation<'a> {
    /// Reads both header fields of a request. Returns `None` if the request has neither.
    ///
    /// # Errors
    ///
    /// `oauth.request` if one of them is missing, repeated, or not ASCII.
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

    /// Returns the attestation. It is not verified: the code that verifies it learns the client and
    /// its key.
    #[must_use]
    pub const fn unverified_attestation(&self) -> &'a str {
        self.attestation
    }

    /// Verifies the proof with the key that the verified attestation confirms.
    ///
    /// # Errors
    ///
    /// Those of [`PopRules::verify`].
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

/// The rules by which a server accepts proofs.
#[derive(Clone, Debug)]
pub struct PopRules {
    issuer: Issuer,
    times: TimeRules,
}

impl PopRules {
    /// Creates the default rules for a server with this issuer identifier.
    ///
    /// `aud` must be this issuer alone. The proof may be at most five minutes old, and clocks may
    /// differ by 30 seconds.
    #[must_use]
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            times: TimeRules::new(),
        }
    }

    /// Sets how far clocks may differ. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Verifies a proof with the key that the client's attestation confirms.
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
            valid: Validity::new(
                self.times.accepted_from(&times),
                self.times.skew().remember_until(until),
            ),
        })
    }
}

/// A verified proof that was not spent yet: it may have been used before.
#[derive(Debug)]
#[must_use = "whether it was used before is known after `spend`"]
pub struct UnspentPop {
    name: ReplayKey,
    valid: Validity,
}

impl UnspentPop {
    /// Spends the proof. It is accepted once by all servers that share the store.
    ///
    /// # Errors
    ///
    /// `attestation.replayed` if it was used before; `attestation.unknown` if the store cannot
    /// tell.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<(), Error> {
        aims_replay::spend_proof(store, &self.name, self.valid, now).map_err(|error| match error {
            aims_replay::Error::Replayed | aims_replay::Error::Expired => {
                Error::AttestationReplayed(error)
            }
            other => Error::AttestationUnknown(other),
        })
    }
}

/// Returns the value of a header field that may occur once.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let refused = || Error::Request {
        reason: "a field of the client attestation stands twice or is not ASCII",
    };
    let value = media::sole(headers, name).or(Err(refused()))?;
    value.map(|it| it.to_str().or(Err(refused()))).transpose()
}
