//! An issuer of identities for an enrolled agent, for a source that renews itself.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::{EnrolmentProof, Error, IdentityClient};
use crate::Identity;
use crate::source::{Issue, IssueFuture, RenewingSource};
use aims_fetch::Fetch;
use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::Provider;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, SystemClock, UnixTime};

/// Requests WITs for an enrolled agent, each for a new ES256 key.
///
/// The first request uses the bootstrap secret. Later requests use the current WIT and its key.
///
/// ```no_run
/// # async fn example(
/// #     fetch: std::sync::Arc<dyn aims_fetch::Fetch>,
/// #     provider: &'static dyn aims_jose::provider::Provider,
/// #     token: aims_jose::secret::SecretText,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use aims_wimse_cred::enrolment::{Enrolled, EnrolmentProof, IdentityClient};
/// use aims_wimse_cred::source::RenewingSource;
///
/// let client = IdentityClient::new("https://authority.example")?;
/// let issuer = Enrolled::new(client, EnrolmentProof::Token(token), fetch, provider);
/// let source = RenewingSource::builder(issuer).start().await?;
/// # Ok(())
/// # }
/// ```
pub struct Enrolled {
    client: IdentityClient,
    bootstrap: EnrolmentProof,
    fetch: Arc<dyn Fetch>,
    provider: &'static dyn Provider,
    clock: Arc<dyn Clock>,
    /// The WIT and key of the last answer.
    last: Mutex<Option<Held>>,
}

struct Held {
    wit: SecretText,
    key: SigningKey,
    expires: UnixTime,
}

impl Enrolled {
    /// Creates an issuer that presents `proof` to the identity server first, and sends its requests
    /// with this HTTP client.
    #[must_use]
    pub fn new(
        client: IdentityClient,
        bootstrap: EnrolmentProof,
        fetch: Arc<dyn Fetch>,
        provider: &'static dyn Provider,
    ) -> Self {
        Self {
            client,
            bootstrap,
            fetch,
            provider,
            clock: Arc::new(SystemClock::new()),
            last: Mutex::default(),
        }
    }

    /// Sets the clock. Defaults to the system clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the current WIT and key until they expire, then the bootstrap secret. A server may
    /// refuse a bootstrap secret that was used before.
    fn proof(&self) -> EnrolmentProof {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(held) if self.clock.now() < held.expires => EnrolmentProof::Wit {
                wit: held.wit.clone(),
                key: held.key.clone(),
            },
            _ => self.bootstrap.clone(),
        }
    }

    async fn ask(&self) -> Result<Identity, Box<dyn StdError + Send + Sync>> {
        let key = SigningKey::generate(Algorithm::Es256, self.provider)?;
        let (request, pending) = self.client.wit(&key, self.proof());
        let challenge = self.fetch.send(request).await?;
        let (request, pending) = pending.finish(&challenge, self.clock.now())?;
        let answer = self.fetch.send(request).await?;
        let received = pending.finish(&answer, self.clock.now())?;
        let identity = Identity::new(received.text, Arc::new(key.clone()), key.public_jwk())?;
        let held = Held {
            wit: identity.wit().clone(),
            expires: identity.expires(),
            key,
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(identity)
    }
}

/// Enrols an agent at the identity server of this base URL, and keeps its identity renewed.
///
/// Use [`Enrolled`] in a [`RenewingSource::builder`] to set the clock or the timeout.
///
/// # Errors
///
/// `authority.base_url` if the URL is invalid; `source.unavailable` if there was no first identity.
/// Its source names the cause.
pub async fn enrol(
    base_url: &str,
    proof: EnrolmentProof,
    http: impl Fetch + 'static,
    provider: &'static dyn Provider,
) -> Result<RenewingSource, Error> {
    let client = IdentityClient::new(base_url)?;
    let issuer = Enrolled::new(client, proof, Arc::new(http), provider);
    Ok(RenewingSource::builder(issuer).start().await?)
}

impl Issue for Enrolled {
    fn issue(&self) -> IssueFuture<'_> {
        Box::pin(async { self.ask().await.map_err(Arc::from) })
    }

    fn name(&self) -> Option<&str> {
        Some(self.client.base.as_str())
    }
}

impl fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolled").finish_non_exhaustive()
    }
}
