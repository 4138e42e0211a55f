//! The metadata of the authorization server, which is refreshed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aims_fetch::Fetch;
use aims_jose::time::Clock;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Endpoint, Issuer, Resource};
use tokio::time::Instant;

use crate::discovery::{PendingServer, Step, server, server_at};
use crate::step::drive;
use crate::{Error, Event, Flow};

/// A document of this age is fetched again.
const FRESH: Duration = Duration::from_secs(3_600);
/// The minimum time between two attempts.
const PAUSE: Duration = Duration::from_secs(60);
/// The timeout of an attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The metadata of one authorization server, which is fetched again when it is old. Needs the
/// feature `tokio`.
///
/// ```no_run
/// use std::time::Duration;
///
/// use aims_fetch::Fetch;
/// use aims_jose::time::SystemClock;
/// use aims_oauth_client::{Error, KnownServer};
///
/// # async fn example(http: &dyn Fetch) -> Result<(), Error> {
/// let issuer = "https://as.example".parse()?;
/// let clock = SystemClock::new();
/// let server = KnownServer::discover(&issuer, http, &clock).await?;
/// let day = Duration::from_secs(24 * 3_600);
/// let metadata = server.current(day, http, &clock).await?;
/// assert_eq!(metadata.issuer(), &issuer);
/// # Ok(())
/// # }
/// ```
pub struct KnownServer {
    issuer: Issuer,
    found: Mutex<Found>,
    refresh: Refresh,
    /// Allows one attempt at a time.
    attempt: tokio::sync::Mutex<()>,
}

/// Whether the metadata is fetched again.
enum Refresh {
    /// The caller gave it, and keeps it current.
    Never,
    Always,
    /// The server must issue tokens for this resource.
    For(Resource),
}

struct Found {
    server: Arc<ServerMetadata>,
    /// The URL that returned the document.
    place: Option<Endpoint>,
    confirmed: Instant,
    tried: Instant,
    /// Whether an endpoint did not answer like one.
    lost: bool,
}

impl KnownServer {
    /// Keeps metadata that the caller gave. It is not fetched again.
    #[must_use]
    pub fn given(server: ServerMetadata) -> Self {
        Self::new(server, None, Refresh::Never)
    }

    /// Discovers the metadata of this issuer (RFC 8414, OpenID Connect Discovery).
    ///
    /// # Errors
    ///
    /// Those of discovery, and `grant.transport` after 10 seconds.
    pub async fn discover(
        issuer: &Issuer,
        http: &dyn Fetch,
        clock: &dyn Clock,
    ) -> Result<Self, Error> {
        let (request, pending) = server(issuer)?;
        let found = drive(Step::Send(request, Placed(pending)), http, clock);
        let (server, place) = in_time(found).await?;
        Ok(Self::new(server, Some(place), Refresh::Always))
    }

    /// Keeps metadata that was found at this URL, for this resource.
    pub(crate) fn found(server: ServerMetadata, place: Endpoint, resource: Resource) -> Self {
        Self::new(server, Some(place), Refresh::For(resource))
    }

    fn new(server: ServerMetadata, place: Option<Endpoint>, refresh: Refresh) -> Self {
        let now = Instant::now();
        Self {
            issuer: server.issuer().clone(),
            found: Mutex::new(Found {
                server: Arc::new(server),
                place,
                confirmed: now,
                tried: now,
                lost: false,
            }),
            refresh,
            attempt: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the issuer, as its metadata spells it.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns the last metadata, however old it is.
    #[must_use]
    pub fn server(&self) -> Arc<ServerMetadata> {
        self.with(|found| Arc::clone(&found.server))
    }

    /// Notes that an endpoint did not answer like one, so it may have moved. The next call of
    /// [`current`](Self::current) fetches the metadata again, once a minute at most.
    pub fn set_lost(&self) {
        self.with(|found| found.lost = true);
    }

    /// Returns the metadata. It is fetched again if it is an hour old or an endpoint
    /// [was lost](Self::set_lost).
    ///
    /// Up to their maximum age, only the URL that returned it is asked, and it stays in use if
    /// that fails. After the maximum age, all URLs are asked.
    ///
    /// # Errors
    ///
    /// The errors of discovery, after the maximum age.
    pub async fn current(
        &self,
        greatest_age: Duration,
        http: &dyn Fetch,
        clock: &dyn Clock,
    ) -> Result<Arc<ServerMetadata>, Error> {
        if !self.is_due(greatest_age) {
            return Ok(self.server());
        }
        let _alone = self.attempt.lock().await;
        if !self.is_due(greatest_age) {
            return Ok(self.server());
        }
        let is_over = self.with(|found| {
            found.tried = Instant::now();
            found.confirmed.elapsed() >= greatest_age
        });
        match in_time(self.ask(is_over, http, clock)).await {
            Ok((server, place)) => self.with(|found| {
                *found = Found {
                    server: Arc::new(server),
                    place: Some(place),
                    confirmed: Instant::now(),
                    tried: Instant::now(),
                    lost: false,
                };
            }),
            Err(error) if is_over => return Err(error),
            Err(_kept) => {}
        }
        Ok(self.server())
    }

    fn is_due(&self, greatest_age: Duration) -> bool {
        if matches!(self.refresh, Refresh::Never) {
            return false;
        }
        self.with(|found| {
            let age = found.confirmed.elapsed();
            let is_old = age >= FRESH.min(greatest_age) || found.lost;
            // A document that exceeds its maximum age is never returned.
            age >= greatest_age || (is_old && found.tried.elapsed() >= PAUSE)
        })
    }

    async fn ask(
        &self,
        is_over: bool,
        http: &dyn Fetch,
        clock: &dyn Clock,
    ) -> Result<(ServerMetadata, Endpoint), Error> {
        let place = self.with(|found| found.place.clone());
        let (request, pending) = match place.filter(|_| !is_over) {
            Some(place) => server_at(&self.issuer, &place)?,
            None => server(&self.issuer)?,
        };
        let first = Step::Send(request, Placed(pending));
        let (server, place) = drive(first, http, clock).await?;
        // After discovery, the server's own spelling is compared.
        if *server.issuer() != self.issuer {
            let error = aims_oauth_wire::Error::MetadataIssuer {
                expected: self.issuer.as_str().into(),
                found: server.issuer().as_str().into(),
            };
            return Err(error.into());
        }
        if let Refresh::For(resource) = &self.refresh
            && !server.serves(resource)
        {
            return Err(Error::not_served(resource, &server));
        }
        Ok((server, place))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Found) -> T) -> T {
        look(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for KnownServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownServer")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// Waits for an attempt, up to its timeout.
async fn in_time<T>(attempt: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let attempt = tokio::time::timeout(TIMEOUT, attempt).await;
    attempt.unwrap_or(Err(Error::Transport(aims_fetch::Error::Timeout)))
}

/// A discovery that also returns the URL of the document.
struct Placed(PendingServer);

impl Flow for Placed {
    type Output = (ServerMetadata, Endpoint);

    fn advance(
        self,
        event: Event<'_>,
        now: aims_jose::time::UnixTime,
    ) -> Result<Step<Self::Output, Self>, Error> {
        let place = self.0.place().clone();
        let next = self.0.advance(event, now)?;
        Ok(next.map(|server| (server, place), Placed))
    }
}
