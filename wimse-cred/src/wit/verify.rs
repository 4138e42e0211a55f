//! Verifies WITs.

use std::fmt;
use std::sync::Arc;

use aims_jose::alg::Algorithm;
use aims_jose::json::Text;
use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jws::{Header, Unverified, Verified};
use aims_jose::jwt::{NumericDate, Times, present, required};
use aims_jose::key::VerifyingKey;
use aims_jose::time::UnixTime;
use aims_wimse_id::{Scheme, WorkloadId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{TYP, WitRules};
use crate::Error;
use crate::trust::{Bundle, Trust, select};

/// A verified workload identity token (draft-ietf-wimse-workload-creds §5.1).
///
/// A key of its origin's bundle signed that the workload [`id`](Self::id) holds the key
/// [`key`](Self::key). It does not say which client sent it: only a proof of possession of that key
/// does. Clones share their data.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC, time::UnixTime};
/// use aims_wimse_cred::{Bundle, TrustStore, Wit, WitIssuer, WitRules};
/// use aims_wimse_id::WorkloadId;
///
/// # let now = UnixTime::now();
/// # let ca = SigningKey::generate(Algorithm::Es256, AWS_LC)?.with_key_id("1");
/// # let agent = SigningKey::generate(Algorithm::Es256, AWS_LC)?;
/// # let id = WorkloadId::parse("wimse://example.org/agent")?;
/// # let hour = Duration::from_secs(3_600);
/// # let issuer = WitIssuer::new(Arc::new(ca.clone()), None);
/// # let received = issuer.issue(&id, agent.public_jwk(), hour, now)?;
/// # let document = format!(r#"{{"keys":[{}]}}"#, ca.public_jwk().to_json());
/// // `document` is the bundle that the origin publishes.
/// let bundle = Bundle::parse(&"wimse://example.org".parse()?, document.as_bytes(), AWS_LC)?;
/// let trust = TrustStore::of([bundle]).snapshot();
/// let wit = Wit::verify(received.expose(), &trust, &WitRules::wit(), now)?;
/// assert_eq!(wit.id().as_str(), "wimse://example.org/agent");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Wit(Arc<Inner>);

struct Inner {
    hash: [u8; 32],
    signed_hash: [u8; 32],
    verified: Verified,
    id: WorkloadId,
    key: VerifyingKey,
    algorithm: Algorithm,
    expires: UnixTime,
    issued_at: Option<UnixTime>,
    issuer: Option<String>,
    jwt_id: Option<String>,
    signed_by: Thumbprint,
}

/// The claims that select the key. They are not trusted yet.
#[derive(Deserialize)]
struct Claimed<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    sub: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Confirmation<'a> {
    #[serde(borrow, default)]
    jwk: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "present")]
    jwe: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    jku: Option<IgnoredAny>,
}

impl Wit {
    /// Verifies a WIT.
    ///
    /// It checks `typ`; the signature by the one key of its origin's bundle that fits `kid` and
    /// `alg`; `sub`; `exp`, `nbf` and `iat`; and `cnf.jwk`, which it prepares to verify proofs.
    /// Unknown claims are ignored (RFC 7519 §4).
    ///
    /// # Errors
    ///
    /// The codes `wit.…`, `trust.…` and `cred.subject`; for a malformed token those of `jose`. If
    /// [`is_key_unknown`](Error::is_key_unknown) returns true, a refresh of the bundle may help.
    pub fn verify(
        text: &str,
        trust: &Trust,
        rules: &WitRules,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let token = Unverified::parse_within(text, rules.max_len).map_err(Error::Wit)?;
        check_header(token.header(), rules)?;
        // The claims are read once, strictly. They are not trusted before the signature is
        // verified; until then `sub` only selects the key.
        let payload = token.unverified_payload().map_err(Error::Wit)?;
        let claims: Claims = aims_jose::jwt::claims(payload).map_err(Error::Wit)?;
        let sub = required(claims.sub, "sub").map_err(Error::Wit)?;
        let id = WorkloadId::try_from(sub).map_err(|error| Error::Subject(Some(error)))?;
        let bundle = trust.bundle_for(&id, now)?;
        let wanted = (token.header().kid(), token.header().alg());
        let key = select(bundle.wit_keys(), bundle.origin(), wanted, Error::Wit)?;
        let hashes = token.hashes();
        let verified = token.verify(key).map_err(Error::Wit)?;
        let exp = required(claims.exp, "exp").map_err(Error::Wit)?;
        let cnf = claims.cnf.filter(|cnf| cnf.get() != "null");
        let cnf = required(cnf, "cnf").map_err(Error::Wit)?;
        rules
            .times
            .check(&Times::new(Some(exp), claims.nbf, claims.iat), now)
            .map_err(Error::Wit)?;
        if rules.svid && (claims.aud.is_some() || id.scheme() != Scheme::Spiffe) {
            return Err(if claims.aud.is_some() {
                Error::AudiencePresent
            } else {
                Error::Subject(None)
            });
        }
        let (key_of_workload, algorithm) = confirmed(&cnf, bundle, rules)?;
        let (issuer, jwt_id) = (claims.iss, claims.jti);
        Ok(Self(Arc::new(Inner {
            hash: hashes.text,
            signed_hash: hashes.signed,
            id,
            key: key_of_workload,
            algorithm,
            expires: exp.into(),
            issued_at: claims.iat.map(Into::into),
            issuer,
            jwt_id,
            signed_by: *key.thumbprint(),
            verified,
        })))
    }

    /// Returns `sub`, the identifier of the workload.
    #[must_use]
    pub fn id(&self) -> &WorkloadId {
        &self.0.id
    }

    /// Returns `cnf.jwk`, the workload's public key, prepared to verify with
    /// [`algorithm`](Self::algorithm).
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.0.key
    }

    /// Returns `cnf.jwk.alg`, the algorithm of the workload's proofs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Returns `exp`, in seconds. The key pair is not used after it.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.0.expires
    }

    /// Returns `iat`, if the token has one. In a WIT-SVID it may be in the future.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.0.issued_at
    }

    /// Returns the SHA-256 of the token's text. The `wth` claim of a proof is its base64url.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.0.hash
    }

    /// Returns the SHA-256 of header and payload.
    ///
    /// It is the same for every signature over them, so a revocation by this hash also covers
    /// another encoding of the signature.
    #[must_use]
    pub fn signed_hash(&self) -> &[u8; 32] {
        &self.0.signed_hash
    }

    /// Returns `iss`, as the token states it. It does not select a key
    /// (draft-ietf-wimse-workload-creds §5.1.3).
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// Returns `jti`. It is not used against replay, because a WIT is sent many times.
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.0.jwt_id.as_deref()
    }

    /// Deserializes further claims.
    ///
    /// # Errors
    ///
    /// Those of [`aims_jose::jwt::claims`].
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, aims_jose::Error> {
        self.0.verified.claims()
    }

    /// Checks that the current trust still has the key that signed the token, and that the token
    /// has not expired.
    pub(super) fn check_still(
        &self,
        trust: &Trust,
        rules: &WitRules,
        now: UnixTime,
    ) -> Result<(), Error> {
        let (until, seconds, skew) = (self.0.expires.as_secs(), now.as_secs(), rules.skew());
        if skew.has_ended(until, seconds) {
            return Err(Error::Wit(aims_jose::Error::Expired {
                until,
                now: seconds,
                skew: skew.as_secs(),
            }));
        }
        let bundle = trust.bundle_for(&self.0.id, now)?;
        let header = self.0.verified.header();
        let wanted = (header.kid(), header.alg());
        let key = select(bundle.wit_keys(), bundle.origin(), wanted, Error::Wit)?;
        if *key.thumbprint() == self.0.signed_by {
            Ok(())
        } else {
            Err(Error::Wit(aims_jose::Error::Signature))
        }
    }
}

impl fmt::Debug for Wit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wit")
            .field("id", &self.0.id)
            .field("expires", &self.0.expires.as_secs())
            .finish_non_exhaustive()
    }
}

fn check_header(header: &Header, rules: &WitRules) -> Result<(), Error> {
    header.expect_typ(TYP).map_err(Error::Wit)?;
    if !rules.algorithms().contains(header.alg()) {
        let algorithm = header.alg();
        return Err(Error::Wit(aims_jose::Error::AlgorithmMismatch {
            algorithm,
        }));
    }
    if rules.svid && header.kid().is_none() {
        return Err(Error::KeyIdMissing);
    }
    Ok(())
}

/// Returns the identifier that the payload claims, which selects the bundle. It is not trusted yet.
pub(crate) fn claimed_id(
    payload: &[u8],
    refused: fn(aims_jose::Error) -> Error,
) -> Result<WorkloadId, Error> {
    // The signed claims are read strictly below. Here only the members that select the key are
    // read, once.
    let claimed: Claimed<'_> = match serde_json::from_slice(payload) {
        Ok(claimed @ Claimed { sub: Some(_) }) => claimed,
        _ => aims_jose::jwt::claims(payload).map_err(refused)?,
    };
    let sub = required(claimed.sub, "sub").map_err(refused)?;
    WorkloadId::parse(&sub).map_err(|error| Error::Subject(Some(error)))
}

/// Reads `cnf.jwk` (draft-ietf-wimse-workload-creds §5.1, WIT-SVID §3.2).
fn confirmed(
    cnf: &RawValue,
    bundle: &Bundle,
    rules: &WitRules,
) -> Result<(VerifyingKey, Algorithm), Error> {
    let refused = |error| Error::Confirmation(Some(error));
    // Repeated members were refused with the claims. Serde alone would accept an array here.
    if !cnf.get().starts_with('{') {
        return Err(refused(aims_jose::Error::NotAnObject));
    }
    let cnf: Confirmation<'_> =
        serde_json::from_str(cnf.get()).or(Err(refused(aims_jose::Error::Json)))?;
    let (Some(jwk), None, None) = (cnf.jwk, &cnf.jwe, &cnf.jku) else {
        return Err(Error::Confirmation(None));
    };
    let jwk = Jwk::parse(jwk.get().as_bytes()).map_err(refused)?;
    let algorithm = jwk.algorithm().ok_or(Error::Confirmation(None))?;
    if !rules.algorithms().contains(algorithm) {
        return Err(refused(aims_jose::Error::AlgorithmMismatch { algorithm }));
    }
    let key = VerifyingKey::from_jwk(&jwk, bundle.provider()).map_err(refused)?;
    Ok((key, algorithm))
}
