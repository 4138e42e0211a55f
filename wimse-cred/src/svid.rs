//! JWT-SVIDs: bearer tokens, for deployments that enable them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::alg::AlgorithmSet;
use aims_jose::digest::sha256;
use aims_jose::json::Text;
use aims_jose::jws::{CompactJws, SigningInput, Unverified, Verified};
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times, present, required};
use aims_jose::key::AnySigner;
use aims_jose::time::{self, Skew, UnixTime};
use aims_wimse_id::{Scheme, WorkloadId};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::trust::{Trust, select};
use crate::wit::{check_lifetime, check_svid_signer, claimed_id, sign};

/// Rules for verifying JWT-SVIDs, in addition to the signature and the audience.
#[derive(Clone, Copy, Debug)]
pub struct JwtSvidRules {
    max_len: usize,
    times: TimeRules,
}

impl Default for JwtSvidRules {
    /// At most 8 KiB, 30 s of skew.
    fn default() -> Self {
        Self {
            max_len: 8 * 1024,
            times: TimeRules::new(),
        }
    }
}

impl JwtSvidRules {
    /// Sets the clock skew. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Sets the maximum time until `exp`. A token that expires later is refused.
    #[must_use]
    pub const fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.times = self.times.with_max_lifetime(most);
        self
    }

    /// Sets the maximum length of the text in bytes. Defaults to 8 KiB. A longer text is refused
    /// unread.
    #[must_use]
    pub const fn with_max_len(mut self, most: usize) -> Self {
        self.max_len = most;
        self
    }
}

/// A verified JWT-SVID (JWT-SVID §3).
///
/// It is a bearer token: every holder of its text can use it. Accept it only if the deployment
/// requires it (JWT-SVID §4).
#[derive(Clone)]
pub struct JwtSvid(Arc<Inner>);

struct Inner {
    hash: [u8; 32],
    verified: Verified,
    id: WorkloadId,
    expires: UnixTime,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    sub: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    aud: Option<Audience<'a>>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
}

impl JwtSvid {
    /// Verifies a JWT-SVID for this audience by the rules of [`JwtSvidRules::default`].
    ///
    /// The audience is configuration of the receiver.
    ///
    /// # Errors
    ///
    /// Those of [`verify_with`](Self::verify_with).
    pub fn verify(text: &str, trust: &Trust, audience: &str, now: UnixTime) -> Result<Self, Error> {
        Self::verify_with(text, trust, audience, &JwtSvidRules::default(), now)
    }

    /// Verifies a JWT-SVID for this audience, which is configuration of the receiver.
    ///
    /// It checks `typ`, which is absent, `JWT` or `JOSE`; the signature by the key of the origin's
    /// bundle; `sub`, which is a SPIFFE ID; `aud`, which contains the audience; and `exp`, `nbf`
    /// and `iat`.
    ///
    /// # Errors
    ///
    /// The codes `svid.…`, `trust.…` and `cred.subject`; for a malformed token those of `jose`.
    pub fn verify_with(
        text: &str,
        trust: &Trust,
        audience: &str,
        rules: &JwtSvidRules,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let token = Unverified::parse_within(text, rules.max_len).map_err(Error::JwtSvid)?;
        let header = token.header();
        if !matches!(header.typ(), None | Some("JWT" | "JOSE")) {
            return Err(Error::JwtSvid(aims_jose::Error::Type));
        }
        let algorithm = header.alg();
        if !AlgorithmSet::SVID.contains(algorithm) {
            return Err(Error::JwtSvid(aims_jose::Error::AlgorithmMismatch {
                algorithm,
            }));
        }
        let payload = token.unverified_payload().map_err(Error::JwtSvid)?;
        let id = claimed_id(payload, Error::JwtSvid)?;
        if id.scheme() != Scheme::Spiffe {
            return Err(Error::Subject(None));
        }
        let bundle = trust.bundle_for(&id, now)?;
        let wanted = (header.kid(), algorithm);
        let keys = bundle.jwt_svid_keys();
        let key = select(keys, bundle.origin(), wanted, Error::JwtSvid)?;
        let verified = token.verify(key).map_err(Error::JwtSvid)?;
        let claims = verified.claims::<Claims<'_>>().map_err(Error::JwtSvid)?;
        if claims.sub.as_deref() != Some(id.as_str()) {
            return Err(Error::Subject(None));
        }
        let aud = required(claims.aud, "aud").map_err(Error::JwtSvid)?;
        let exp = required(claims.exp, "exp").map_err(Error::JwtSvid)?;
        if !aud.contains(audience) {
            return Err(Error::Audience);
        }
        rules
            .times
            .check(&Times::new(Some(exp), claims.nbf, claims.iat), now)
            .map_err(Error::JwtSvid)?;
        Ok(Self(Arc::new(Inner {
            hash: sha256(text.as_bytes()),
            id,
            expires: exp.into(),
            verified,
        })))
    }

    /// Returns `sub`, the identifier of the workload.
    #[must_use]
    pub fn id(&self) -> &WorkloadId {
        &self.0.id
    }

    /// Returns `exp`.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.0.expires
    }

    /// Returns the SHA-256 of the token's text.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.0.hash
    }

    /// Deserializes further claims.
    ///
    /// # Errors
    ///
    /// Those of [`aims_jose::jwt::claims`].
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, aims_jose::Error> {
        self.0.verified.claims()
    }
}

impl fmt::Debug for JwtSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSvid")
            .field("id", &self.0.id)
            .field("expires", &self.0.expires.as_secs())
            .finish_non_exhaustive()
    }
}

/// Issues JWT-SVIDs, signed with one key.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC, time::UnixTime};
/// use aims_wimse_cred::JwtSvidIssuer;
///
/// let now = UnixTime::now();
/// let key = SigningKey::generate(Algorithm::Es256, AWS_LC)?.with_key_id("1");
/// let issuer = JwtSvidIssuer::new(Arc::new(key));
/// let id = "spiffe://example.org/agent".parse()?;
/// let minutes = Duration::from_secs(300);
/// let svid = issuer.issue(&id, &["https://as.example"], minutes, now)?;
/// assert_eq!(svid.expose().split('.').count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JwtSvidIssuer {
    signer: AnySigner,
}

#[derive(Serialize)]
struct Issued<'a> {
    sub: &'a str,
    aud: &'a [&'a str],
    iat: u64,
    exp: u64,
}

impl JwtSvidIssuer {
    /// Creates an issuer that signs with this key.
    ///
    /// If the key is in a device or behind a network ([`AnySigner::remote`]), call
    /// [`issue_async`](Self::issue_async) to issue JWT-SVIDs.
    #[must_use]
    pub fn new(signer: impl Into<AnySigner>) -> Self {
        let signer = signer.into();
        Self { signer }
    }

    /// Issues a JWT-SVID for one or more audiences. The lifetime is in whole seconds, from 1 s to
    /// 24 h.
    ///
    /// # Errors
    ///
    /// `cred.issue` if the identifier is not a SPIFFE ID, there is no audience, the lifetime is
    /// outside the limits, or the signer has no key id, has an algorithm outside
    /// [`AlgorithmSet::SVID`] or must be awaited; `cred.sign` if signing fails.
    pub fn issue(
        &self,
        id: &WorkloadId,
        audiences: &[&str],
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<CompactJws, Error> {
        let input = self.prepare(id, audiences, lifetime, now)?;
        sign(input, &self.signer)
    }

    /// Issues a JWT-SVID like [`issue`](Self::issue), with any signer.
    ///
    /// # Errors
    ///
    /// Those of [`issue`](Self::issue), except for a signer that must be awaited.
    pub async fn issue_async(
        &self,
        id: &WorkloadId,
        audiences: &[&str],
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<CompactJws, Error> {
        let input = self.prepare(id, audiences, lifetime, now)?;
        input.sign_async(&self.signer).await.map_err(Error::Sign)
    }

    fn prepare(
        &self,
        id: &WorkloadId,
        audiences: &[&str],
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        if id.scheme() != Scheme::Spiffe {
            let reason = "a JWT-SVID is for a SPIFFE ID";
            return Err(Error::Issue { reason });
        }
        if audiences.is_empty() || audiences.contains(&"") {
            let reason = "a JWT-SVID names its audiences";
            return Err(Error::Issue { reason });
        }
        check_svid_signer(&self.signer)?;
        let claims = Issued {
            sub: id.as_str(),
            aud: audiences,
            iat: now.as_secs(),
            exp: time::after(now, check_lifetime(lifetime)?).as_secs(),
        };
        let (algorithm, key_id) = (self.signer.algorithm(), self.signer.key_id());
        SigningInput::new("JWT", algorithm, key_id, &claims).map_err(Error::Sign)
    }
}

impl fmt::Debug for JwtSvidIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSvidIssuer")
            .field("algorithm", &self.signer.algorithm())
            .finish_non_exhaustive()
    }
}
