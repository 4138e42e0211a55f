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
    Discovered(Mutex<Option<(Arc<ServerMetadata>, Instant)>>),
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

    /// The metadata, discovered at the first call and again when they are an hour old. One caller
    /// at a time asks for them.
    ///
    /// # Errors
    ///
    /// Those of discovery.
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
        if let Some((metadata, since)) = &*found
            && since.elapsed() < FRESH
        {
            return Ok(Arc::clone(metadata));
        }
        let (request, pending) = server(&self.issuer)?;
        let metadata = drive(Step::Send(request, pending), http, clock).await?;
        let metadata = Arc::new(metadata);
        *found = Some((Arc::clone(&metadata), Instant::now()));
        Ok(metadata)
    }
}

const FRESH: Duration = Duration::from_secs(3_600);
