//! The agent's side of an identity server: from a bootstrap secret to an identity that renews
//! itself.
//!
//! In one call, with the feature `tokio`:
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
//! The long form is without I/O: each step of [`IdentityClient`] returns a request to send and a
//! pending step that judges the answer.

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

/// An identity server, as an agent sees it.
#[derive(Clone, Debug)]
pub struct IdentityClient {
    base: BaseUrl,
}

/// How the agent shows that it is the one of an enrolment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EnrolmentProof {
    /// By its bootstrap token.
    Token(SecretText),
    /// By its bootstrap key.
    BootstrapKey(SigningKey),
    /// By the WIT that it has and its key: a renewal.
    Wit {
        /// The current WIT.
        wit: SecretText,
        /// Its key.
        key: SigningKey,
    },
}

/// A credential, as the server gave it. It is not verified here: its recipients do that.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The WIT or JWT-SVID.
    pub text: SecretText,
    /// When it expires, by the server's word.
    pub expires: UnixTime,
}

impl IdentityClient {
    /// The identity server at this base URL.
    ///
    /// # Errors
    ///
    /// `authority.base_url`: `https`, or `http` on loopback.
    pub fn new(base_url: &str) -> Result<Self, Error> {
        let base = BaseUrl::parse(base_url).ok_or_else(|| Error::base_url(base_url))?;
        Ok(Self { base })
    }

    /// Begins to fetch a WIT for a key.
    pub fn wit(
        &self,
        key: &SigningKey,
        proof: EnrolmentProof,
    ) -> (Request<Vec<u8>>, PendingChallenge) {
        let key = key.clone();
        exchange::begin(&self.base, Want::Wit { key, proof })
    }

    /// Begins to fetch a JWT-SVID for an audience, with the WIT-SVID and its key.
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
