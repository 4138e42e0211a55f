//! Issuing WITs.

use std::time::Duration;

use aims_jose::alg::AlgorithmSet;
use aims_jose::jwk::Jwk;
use aims_jose::jws::{CompactJws, SigningInput};
use aims_jose::key::AnySigner;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::{self, UnixTime};
use aims_wimse_id::{Scheme, WorkloadId};
use serde::Serialize;

use super::TYP;
use crate::Error;

/// Signs WITs with one key. Beneath a `spiffe` identifier they are WIT-SVIDs (SPIFFE WIT-SVID).
///
/// It signs what it is told: who may have which identifier is the caller's to know.
pub struct WitIssuer {
    signer: AnySigner,
    issuer: Option<String>,
    random: &'static dyn SecureRandom,
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    sub: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
    cnf: Confirmation,
}

#[derive(Serialize)]
struct Confirmation {
    jwk: Jwk,
}

impl WitIssuer {
    /// Signs with this key; `issuer` becomes `iss`. The key may be behind a device or a network
    /// ([`AnySigner::remote`]); WITs are then issued by [`issue_async`](Self::issue_async).
    #[must_use]
    pub fn new(signer: impl Into<AnySigner>, issuer: Option<String>) -> Self {
        Self {
            signer: signer.into(),
            issuer,
            random: random::SYSTEM,
        }
    }

    /// Draws `jti` from another source.
    #[must_use]
    pub const fn with_random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }

    /// Issues a WIT that says: the workload `id` holds `key`. The lifetime is in whole seconds,
    /// from 1 s to 24 h. Of the key only its public members and its `alg` are written.
    ///
    /// # Errors
    ///
    /// `cred.issue` if the key has no `alg`, the lifetime is out of bounds, or for a WIT-SVID the
    /// signer has no key id, or signer or key are of an algorithm outside [`AlgorithmSet::SVID`],
    /// or if the signer has to be awaited; `cred.sign`.
    pub fn issue(
        &self,
        id: &WorkloadId,
        key: &Jwk,
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<CompactJws, Error> {
        let input = self.prepare(id, key, lifetime, now)?;
        sign(input, &self.signer)
    }

    /// Issues the same WIT with any signer.
    ///
    /// # Errors
    ///
    /// Those of [`issue`](Self::issue), except for a signer that has to be awaited.
    pub async fn issue_async(
        &self,
        id: &WorkloadId,
        key: &Jwk,
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<CompactJws, Error> {
        let input = self.prepare(id, key, lifetime, now)?;
        input.sign_async(&self.signer).await.map_err(Error::Sign)
    }

    fn prepare(
        &self,
        id: &WorkloadId,
        key: &Jwk,
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        let refused = |reason| Err(Error::Issue { reason });
        let Some(algorithm) = key.algorithm() else {
            return refused("the workload's key has no `alg`");
        };
        if id.scheme() == Scheme::Spiffe {
            check_svid_signer(&self.signer)?;
            if !AlgorithmSet::SVID.contains(algorithm) {
                return refused(
                    "the workload's key is of an algorithm that a WIT-SVID does not take",
                );
            }
        }
        let lifetime = check_lifetime(lifetime)?;
        let jwk = Jwk::from_public_key(key.public_key().clone())
            .and_then(|jwk| jwk.with_algorithm(algorithm))
            .or(Err(Error::Issue {
                reason: "the workload's key is unusable",
            }))?;
        let claims = Claims {
            iss: self.issuer.as_deref(),
            sub: id.as_str(),
            iat: now.as_secs(),
            exp: time::after(now, lifetime).as_secs(),
            jti: random::id128(self.random).map_err(Error::Sign)?,
            cnf: Confirmation { jwk },
        };
        let (algorithm, key_id) = (self.signer.algorithm(), self.signer.key_id());
        SigningInput::new(TYP, algorithm, key_id, &claims).map_err(Error::Sign)
    }
}

impl std::fmt::Debug for WitIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitIssuer")
            .field("issuer", &self.issuer)
            .field("algorithm", &self.signer.algorithm())
            .finish_non_exhaustive()
    }
}

/// Signs with a signer that need not be awaited.
pub(crate) fn sign(input: SigningInput, signer: &AnySigner) -> Result<CompactJws, Error> {
    let Some(signer) = signer.local() else {
        let reason = "the signer has to be awaited: call `issue_async`";
        return Err(Error::Issue { reason });
    };
    input.sign(signer).map_err(Error::Sign)
}

/// WIT-SVID §2.1 and §2.3, JWT-SVID §2.1: a `kid`, and no Ed25519.
pub(crate) fn check_svid_signer(signer: &AnySigner) -> Result<(), Error> {
    let reason = if signer.key_id().is_none() {
        "an SVID's signer needs a key id"
    } else if !AlgorithmSet::SVID.contains(signer.algorithm()) {
        "the signer is of an algorithm that an SVID does not take"
    } else {
        return Ok(());
    };
    Err(Error::Issue { reason })
}

/// From a second to a day.
pub(crate) fn check_lifetime(lifetime: Duration) -> Result<Duration, Error> {
    match lifetime.as_secs() {
        1..=86_400 => Ok(lifetime),
        _ => Err(Error::Issue {
            reason: "the lifetime must be from 1 second to 24 hours",
        }),
    }
}
