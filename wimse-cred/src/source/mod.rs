//! Sources of an agent's own identity.

#[cfg(feature = "tokio")]
mod renewing;

use std::fmt::{self, Debug};
use std::sync::Arc;

use aims_jose::json::Text;
use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jws::Unverified;
use aims_jose::jwt::{NumericDate, present, required};
use aims_jose::key::{AnySigner, Signer};
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_wimse_id::WorkloadId;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Error;
use crate::wit::TYP;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use renewing::{Issue, IssueFuture, Issued, RenewingSource, RenewingSourceBuilder};

/// A WIT and its private key, with which an agent proves its identity.
pub struct Identity {
    wit: SecretText,
    id: WorkloadId,
    expires: UnixTime,
    signer: AnySigner,
    thumbprint: Thumbprint,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    sub: Option<Text<'a>>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(borrow, default, deserialize_with = "present")]
    cnf: Option<Confirmation<'a>>,
}

#[derive(Deserialize)]
struct Confirmation<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jwk: Option<&'a RawValue>,
}

impl Identity {
    /// Joins a WIT with its key. The WIT must confirm this public key for the algorithm of the
    /// signer.
    ///
    /// The signature of the WIT is not verified here; its receivers verify it. The signer is an
    /// `Arc` of a [`Signer`], or an [`AnySigner`] for a key in a device or behind a network:
    ///
    /// ```
    /// use aims_jose::jwk::Jwk;
    /// use aims_jose::key::{AnySigner, AsyncSigner};
    /// use aims_jose::secret::SecretText;
    /// use aims_wimse_cred::{Error, Identity};
    ///
    /// fn identity(
    ///     wit: SecretText,
    ///     kms: impl AsyncSigner + 'static,
    ///     public_key: &Jwk,
    /// ) -> Result<Identity, Error> {
    ///     Identity::new(wit, AnySigner::remote(kms), public_key)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `source.key` if the WIT confirms another key or algorithm; `wit.typ`, `wit.claim`,
    /// `cred.subject`, `wit.confirmation`; for a malformed token those of `jose`.
    pub fn new(
        wit: SecretText,
        signer: impl Into<AnySigner>,
        public_key: &Jwk,
    ) -> Result<Self, Error> {
        let signer = signer.into();
        let token = Unverified::parse(wit.expose()).map_err(Error::Wit)?;
        token.header().expect_typ(TYP).map_err(Error::Wit)?;
        let payload = token.unverified_payload().map_err(Error::Wit)?;
        let claims: Claims<'_> = aims_jose::jwt::claims(payload).map_err(Error::Wit)?;
        let sub = required(claims.sub, "sub").map_err(Error::Wit)?;
        let exp = required(claims.exp, "exp").map_err(Error::Wit)?;
        let cnf = required(claims.cnf, "cnf").map_err(Error::Wit)?;
        let id = WorkloadId::parse(&sub).map_err(|error| Error::Subject(Some(error)))?;
        let jwk = cnf.jwk.ok_or(Error::Confirmation(None))?;
        let jwk =
            Jwk::parse(jwk.get().as_bytes()).map_err(|error| Error::Confirmation(Some(error)))?;
        let thumbprint = jwk.thumbprint();
        if jwk.algorithm() != Some(signer.algorithm()) || thumbprint != public_key.thumbprint() {
            return Err(Error::SourceKey);
        }
        Ok(Self {
            id,
            expires: exp.into(),
            signer,
            thumbprint,
            wit,
        })
    }

    /// Returns the agent's identifier, `sub` of the WIT.
    #[must_use]
    pub const fn id(&self) -> &WorkloadId {
        &self.id
    }

    /// Returns the WIT, which the agent sends with its requests.
    #[must_use]
    pub const fn wit(&self) -> &SecretText {
        &self.wit
    }

    /// Returns the key that signs proofs, in this process or behind a network.
    #[must_use]
    pub const fn signer(&self) -> &AnySigner {
        &self.signer
    }

    /// Returns the key that signs proofs, for code that cannot wait for a signature.
    ///
    /// # Errors
    ///
    /// `source.remote_signer` if the key is in a device or behind a network.
    pub fn local_signer(&self) -> Result<&Arc<dyn Signer>, Error> {
        self.signer.local().ok_or(Error::RemoteSigner)
    }

    /// Returns the thumbprint of the key (RFC 7638), the `jkt` of tokens that are bound to it.
    #[must_use]
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Returns `exp` of the WIT. The key is not used after it.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }
}

impl Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id)
            .field("wit", &self.wit)
            .field("expires", &self.expires.as_secs())
            .finish_non_exhaustive()
    }
}

/// Returns an agent's current identity.
///
/// The agent calls it for every request. An implementation must not wait or do I/O.
///
/// ```
/// use std::sync::Arc;
///
/// use aims_jose::time::UnixTime;
/// use aims_wimse_cred::{Error, Identity, IdentitySource};
///
/// /// Returns its identity until a fixed time.
/// #[derive(Debug)]
/// struct Until(Arc<Identity>, UnixTime);
///
/// impl IdentitySource for Until {
///     fn identity(&self, now: UnixTime) -> Result<Arc<Identity>, Error> {
///         if now < self.1 { Ok(self.0.clone()) } else { Err(Error::SourceExpired) }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of an agent's identity",
    note = "give the result of `enrolment::enrol` (feature `agent` of `aims`, or `enrolment` and `tokio` of `aims-wimse-cred`) or `FixedSource::new(identity)`; an agent without an identity is built by `Agent::without_identity`"
)]
pub trait IdentitySource: Debug + Send + Sync {
    /// Returns the current identity.
    ///
    /// # Errors
    ///
    /// `source.expired` if the identity has expired and there is no new one; `source.unavailable`
    /// if there is none yet.
    fn identity(&self, now: UnixTime) -> Result<Arc<Identity>, Error>;
}

impl<S: IdentitySource + ?Sized> IdentitySource for Arc<S> {
    fn identity(&self, now: UnixTime) -> Result<Arc<Identity>, Error> {
        (**self).identity(now)
    }
}

/// A source that returns one identity until it expires.
#[derive(Clone, Debug)]
pub struct FixedSource(Arc<Identity>);

impl FixedSource {
    /// Creates a source that always returns this identity.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self(Arc::new(identity))
    }
}

impl IdentitySource for FixedSource {
    fn identity(&self, now: UnixTime) -> Result<Arc<Identity>, Error> {
        good(&self.0, now)
    }
}

/// Returns the identity, unless its WIT has expired.
fn good(identity: &Arc<Identity>, now: UnixTime) -> Result<Arc<Identity>, Error> {
    if now < identity.expires {
        Ok(Arc::clone(identity))
    } else {
        Err(Error::SourceExpired)
    }
}
