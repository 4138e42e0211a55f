//! The agent's side of an identity server: exchanges a bootstrap secret for an identity that renews
//! itself.
//!
//! [`enrol`] does it in one call, with the feature `tokio`:
//!
//! ```
//! # #[cfg(feature = "tokio")]
//! # mod example {
//! use aims_fetch::Fetch;
//! use aims_jose::provider::Provider;
//! use aims_jose::secret::SecretText;
//! use aims_wimse_cred::enrolment::{EnrolmentProof, Error, enrol};
//! use aims_wimse_cred::source::RenewingSource;
//!
//! async fn identity(
//!     token: SecretText,
//!     http: impl Fetch + 'static,
//!     provider: &'static dyn Provider,
//! ) -> Result<RenewingSource, Error> {
//!     enrol("https://authority.example", EnrolmentProof::Token(token), http, provider).await
//! }
//! # }
//! ```
//!
//! [`IdentityClient`] does the same without I/O: each step returns a request to send, and a pending
//! step that verifies the response.

mod base;
#[cfg(feature = "tokio")]
mod enrolled;
mod error;
mod exchange;
pub mod messages;

use aims_jose::key::SigningKey;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use http::Request;

use self::exchange::Want;

pub use base::BaseUrl;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use enrolled::{Enrolled, enrol};
pub use error::Error;
pub use exchange::{PendingChallenge, PendingCredential};

/// A client of an identity server, without I/O.
#[derive(Clone, Debug)]
pub struct IdentityClient {
    base: BaseUrl,
}

/// The secret by which an agent proves that it belongs to an enrolment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EnrolmentProof {
    /// The bootstrap token of the enrolment.
    Token(SecretText),
    /// The bootstrap key of the enrolment.
    BootstrapKey(SigningKey),
    /// The agent's current WIT and its key, for a renewal.
    Wit {
        /// The current WIT.
        wit: SecretText,
        /// The key of the current WIT.
        key: SigningKey,
    },
}

/// A credential that the server issued. It is not verified here; its recipients verify it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The WIT or JWT-SVID.
    pub text: SecretText,
    /// The expiry, as the server stated it.
    pub expires: UnixTime,
}

impl IdentityClient {
    /// Creates a client for the identity server at this base URL.
    ///
    /// # Errors
    ///
    /// `authority.base_url` unless the URL is `https`, or `http` with a loopback host.
    pub fn new(base_url: &str) -> Result<Self, Error> {
        let base = BaseUrl::parse(base_url).ok_or_else(|| Error::base_url(base_url))?;
        Ok(Self { base })
    }

    /// Begins to request a WIT for a key.
    pub fn wit(
        &self,
        key: &SigningKey,
        proof: EnrolmentProof,
    ) -> (Request<Vec<u8>>, PendingChallenge) {
        let key = key.clone();
        exchange::begin(&self.base, Want::Wit { key, proof })
    }

    /// Begins to request a JWT-SVID for an audience, with the WIT-SVID and its key.
    pub fn jwt_svid(
        &self,
        audience: impl Into<String>,
        wit: &SecretText,
        key: &SigningKey,
    ) -> (Request<Vec<u8>>, PendingChallenge) {
        let want = Want::JwtSvid {
            audience: audience.into(),
            wit: wit.clone(),
            key: key.clone(),
        };
        exchange::begin(&self.base, want)
    }
}
