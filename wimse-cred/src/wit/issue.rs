//! Issues WITs.

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

/// Issues WITs, signed with one key. For a `spiffe` identifier they are WIT-SVIDs (SPIFFE
/// WIT-SVID).
///
/// It issues any identifier that the caller passes. The caller must know which workload may have
/// it.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC, time::UnixTime};
/// use aims_wimse_cred::WitIssuer;
///
/// let ca = SigningKey::generate(Algorithm::Es256, AWS_LC)?.with_key_id("1");
/// let agent = SigningKey::generate(Algorithm::Es256, AWS_LC)?;
/// let issuer = WitIssuer::new(Arc::new(ca), None);
/// let (id, hour) = ("spiffe://example.org/agent".parse()?, Duration::from_secs(3_600));
/// let wit = issuer.issue(&id, agent.public_jwk(), hour, UnixTime::now())?;
/// # let _ = wit;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Creates an issuer that signs with this key; `issuer` becomes `iss`.
    ///
    /// If the key is in a device or behind a network ([`AnySigner::remote`]), call
    /// [`issue_async`](Self::issue_async) to issue WITs.
    #[must_use]
    pub fn new(signer: impl Into<AnySigner>, issuer: Option<String>) -> Self {
        Self {
            signer: signer.into(),
            issuer,
            random: random::SYSTEM,
        }
    }

    /// Sets the source of randomness for `jti`. Defaults to that of the system.
    #[must_use]
    pub const fn with_random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }

    /// Issues a WIT which states that the workload `id` holds `key`.
    ///
    /// The lifetime is in whole seconds, from 1 s to 24 h. Only the public members of the key and
    /// its `alg` are written.
    ///
    /// # Errors
    ///
    /// `cred.issue` if the key has no `alg`, the lifetime is outside the limits, or the signer must
    /// be awaited. For a WIT-SVID also if the signer has no key id, or if signer or key have an
    /// algorithm outside [`AlgorithmSet::SVID`]. `cred.sign` if signing fails.
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

    /// Issues a WIT like [`issue`](Self::issue), with any signer.
    ///
    /// # Errors
    ///
    /// Those of [`issue`](Self::issue), except for a signer that must be awaited.
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

/// Requires a `kid` and no Ed25519 (WIT-SVID §2.1 and §2.3, JWT-SVID §2.1).
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

/// Requires a lifetime from one second to one day.
pub(crate) fn check_lifetime(lifetime: Duration) -> Result<Duration, Error> {
    match lifetime.as_secs() {
        1..=86_400 => Ok(lifetime),
        _ => Err(Error::Issue {
            reason: "the lifetime must be from 1 second to 24 hours",
        }),
    }
}
