//! The metadata of the issuer that is asked.

use std::sync::Arc;
use std::time::Duration;

use aims_fetch::Fetch;
use aims_jose::time::Clock;
use aims_oauth_client::discovery::server;
use aims_oauth_client::{Error, Step, drive};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::Issuer;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The issuer, and where it is asked.
#[derive(Debug)]
pub(super) struct Server {
    issuer: Issuer,
    known: Known,
}

#[derive(Debug)]
enum Known {
    /// The program gave the metadata, and keeps them current.
    Given(Arc<ServerMetadata>),
    /// They are discovered.
    Discovered(Mutex<Option<Found>>),
}

#[derive(Debug)]
struct Found {
    metadata: Arc<ServerMetadata>,
    /// When the issuer last returned them.
    confirmed: Instant,
    /// When the issuer was last asked for them.
    tried: Instant,
}

impl Found {
    /// Returns whether the issuer must be asked again before the metadata are used.
    fn is_due(&self) -> bool {
        let age = self.confirmed.elapsed();
        age >= LONGEST || (age >= FRESH && self.tried.elapsed() >= PAUSE)
    }
}

impl Server {
    pub(super) fn new(issuer: Issuer, metadata: Option<ServerMetadata>) -> Self {
        let known = match metadata {
            Some(metadata) => Known::Given(Arc::new(metadata)),
            None => Known::Discovered(Mutex::default()),
        };
        Self { issuer, known }
    }

    pub(super) const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns the metadata: discovered at the first call, and again when they are an hour old. One
    /// caller at a time asks for them. If the issuer does not return them again, they are used
    /// for a day, and it is asked every minute.
    ///
    /// # Errors
    ///
    /// Those of discovery, if no metadata are left to use.
    pub(super) async fn metadata(
        &self,
        http: &dyn Fetch,
        clock: &dyn Clock,
    ) -> Result<Arc<ServerMetadata>, Error> {
        let found = match &self.known {
            Known::Given(metadata) => return Ok(Arc::clone(metadata)),
            Known::Discovered(found) => found,
        };
        let mut found = found.lock().await;
        if let Some(found) = found.as_ref().filter(|it| !it.is_due()) {
            return Ok(Arc::clone(&found.metadata));
        }
        let (request, pending) = server(&self.issuer)?;
        let asked = drive(Step::Send(request, pending), http, clock).await;
        let now = Instant::now();
        match (asked, &mut *found) {
            (Ok(metadata), found) => {
                let metadata = Arc::new(metadata);
                *found = Some(Found {
                    metadata: Arc::clone(&metadata),
                    confirmed: now,
                    tried: now,
                });
                Ok(metadata)
            }
            (Err(_kept), Some(found)) if found.confirmed.elapsed() < LONGEST => {
                found.tried = now;
                Ok(Arc::clone(&found.metadata))
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// The age from which the issuer is asked again.
const FRESH: Duration = Duration::from_secs(3_600);
/// The time between two attempts while old metadata are used.
const PAUSE: Duration = Duration::from_secs(60);
/// The age from which metadata are not used.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
