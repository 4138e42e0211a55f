//! Asking an issuer about opaque access tokens (RFC 7662), for
//! [`OpaqueTokens`](crate::guard::OpaqueTokens).

mod limits;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aims_fetch::{Fetch, SingleFlight, Waiting};
use aims_jose::Chain;
use aims_jose::digest::sha256;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, Skew, SystemClock};
use aims_oauth_client::{Error, IntrospectionFlow, KnownServer, drive};
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::introspection::{AnswerForm, Introspection, SignedIntrospection};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::Issuer;
use http::{Response, StatusCode};
use limits::{Begun, Limits};
use tokio::sync::OnceCell;

use crate::resolve::{Need, Resolve, ResolveFuture, Resolved};

/// Asks one issuer about opaque access tokens, as a client that authenticates itself.
///
/// - One request at a time is under way for a token, however many callers present it.
/// - At most 64 requests are under way, and at most 200 begin in a second; see
///   [`max_in_flight`](IntrospectorBuilder::max_in_flight) and
///   [`max_per_second`](IntrospectorBuilder::max_per_second). Half of both is for tokens that were
///   active before, so that made-up ones keep none of them out. The guard refuses further tokens
///   with 503 and `Retry-After`.
/// - Inactive tokens are remembered for [five seconds](IntrospectorBuilder::inactive_for), apart
///   from the good tokens, so that made-up tokens displace none of these.
/// - An issuer that does not answer is asked again after a second. Nothing counts as active
///   meanwhile. After an answer that cannot be used, only that token waits for a second.
///
/// It needs a tokio runtime. Clones share everything.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
///
/// use aims::Guard;
/// use aims::fetch::Fetcher;
/// use aims::guard::OpaqueTokens;
/// use aims::introspect::Introspector;
/// use aims::oauth_wire::client_auth::ClientSecretBasic;
/// use aims::oauth_wire::names::Issuer;
///
/// let issuer: Issuer = "https://as.example".parse()?;
/// let tool = ClientSecretBasic::new("tool".parse()?, std::env::var("TOOL_SECRET")?.into());
/// let fetcher = Arc::new(Fetcher::builder().build()?);
/// let introspector = Introspector::builder(issuer.clone(), Arc::new(tool), fetcher).build();
/// let guard = Guard::builder("https://tools.example/mcp")
///     .issuer(issuer.as_str())?
///     .opaque_tokens(OpaqueTokens::of(issuer, introspector))
///     .scopes("tools:call")?
///     .accept_bearer()
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Introspector(Arc<Inner>);

struct Inner {
    issuer: Issuer,
    /// The metadata of the issuer, from the first token on.
    server: OnceCell<KnownServer>,
    client: Arc<dyn Authenticate>,
    fetch: Arc<dyn Fetch>,
    /// The keys by which answers have to be signed.
    signed_by: Option<Arc<IssuerStore>>,
    timeout: Duration,
    skew: Skew,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    limits: Limits,
    flights: HashMap<Hash, SingleFlight<Answer>>,
}

/// The SHA-256 of a token.
type Hash = [u8; 32];

/// The outcome of a request.
#[derive(Clone)]
enum Answer {
    Read(Box<Introspection>),
    /// An answer about this token that cannot be used.
    Unusable,
    None,
}

/// Builds an [`Introspector`].
#[must_use = "an introspector is made by `build`"]
pub struct IntrospectorBuilder {
    issuer: Issuer,
    client: Arc<dyn Authenticate>,
    fetch: Arc<dyn Fetch>,
    metadata: Option<ServerMetadata>,
    signed_by: Option<Arc<IssuerStore>>,
    in_flight: usize,
    per_second: u32,
    inactive_for: Duration,
    timeout: Duration,
    skew: Skew,
    clock: Arc<dyn Clock>,
}

impl Introspector {
    /// Creates a builder for an introspector that asks this issuer, as this client.
    pub fn builder(
        issuer: Issuer,
        client: Arc<dyn Authenticate>,
        fetch: Arc<dyn Fetch>,
    ) -> IntrospectorBuilder {
        IntrospectorBuilder {
            issuer,
            client,
            fetch,
            metadata: None,
            signed_by: None,
            in_flight: 64,
            per_second: 200,
            inactive_for: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            skew: Skew::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Asks about one token, or joins the request that is under way for it.
    async fn ask(&self, token: SecretText) -> Resolved {
        let hash = sha256(token.expose().as_bytes());
        let waiting = match self.next(hash, token) {
            Next::Known(answer) => return answer,
            Next::Wait(waiting) => waiting,
        };
        match waiting.outcome().await {
            Some(Answer::Read(answer)) => Resolved::Introspected(answer),
            Some(Answer::Unusable | Answer::None) | None => Resolved::Unavailable,
        }
    }

    fn next(&self, hash: Hash, token: SecretText) -> Next {
        let mut state = self.state();
        if state.limits.is_inactive(&hash) {
            return Next::Known(Resolved::Introspected(Box::new(Introspection::Inactive)));
        }
        if let Some(waiting) = state.flights.get(&hash).and_then(SingleFlight::join) {
            return Next::Wait(waiting);
        }
        let under_way = state.flights.len();
        if state.limits.is_unusable(&hash) {
            return Next::Known(Resolved::Unavailable);
        }
        let Some(begun) = state.limits.may_ask(&hash, under_way) else {
            return Next::Known(Resolved::Unavailable);
        };
        let (landing, waiting) = state.flights.entry(hash).or_default().lead();
        drop(state);
        let own = self.clone();
        // A task of its own: the caller may go away while others wait.
        tokio::spawn(async move {
            // Ends the flight also where the task panics.
            let mut ending = Ending {
                own: &own,
                hash,
                begun,
                answer: Answer::None,
            };
            let asked = tokio::time::timeout(own.0.timeout, own.request(token)).await;
            ending.answer = asked.unwrap_or_else(|_elapsed| {
                tracing::warn!("the issuer did not answer an introspection request in time");
                Answer::None
            });
            let answer = ending.answer.clone();
            drop(ending);
            landing.land(answer);
        });
        Next::Wait(waiting)
    }

    /// Sends one request. Logs a failure, and returns `None` for it.
    async fn request(&self, token: SecretText) -> Answer {
        let inner = &*self.0;
        let answer = async {
            let server = inner.metadata().await?;
            let form = match inner.signed_by {
                Some(_) => AnswerForm::Signed,
                None => AnswerForm::Json,
            };
            let client = Arc::clone(&inner.client);
            let now = inner.clock.now();
            let first = IntrospectionFlow::begin(token, form, client, &server, now)?;
            drive(first, &*inner.fetch, &*inner.clock).await
        };
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, Error::Transport(_)) {
                    inner.set_lost();
                }
                tracing::warn!(error = %Chain(&error), "an introspection request failed");
                return Answer::None;
            }
        };
        match inner.read(&answer) {
            Ok(read) => Answer::Read(Box::new(read)),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "an introspection answer is not usable");
                if answer.status() == StatusCode::NOT_FOUND {
                    inner.set_lost();
                }
                if matches!(error, Unread::Answer(_)) && is_about_token(answer.status()) {
                    Answer::Unusable
                } else {
                    Answer::None
                }
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Known(Resolved),
    Wait(Waiting<Answer>),
}

/// Notes the outcome of a request, and that it is no longer under way.
struct Ending<'a> {
    own: &'a Introspector,
    hash: Hash,
    begun: Begun,
    answer: Answer,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.own.state();
        state.flights.remove(&self.hash);
        state.limits.ended(self.begun);
        match &self.answer {
            Answer::Read(read) => match **read {
                Introspection::Inactive => state.limits.set_inactive(self.hash),
                Introspection::Active(_) => state.limits.set_active(self.hash),
            },
            Answer::Unusable => state.limits.set_unusable(self.hash),
            Answer::None => state.limits.failed(),
        }
    }
}

/// Returns whether an answer with this status that is not usable may be due to the token. Others
/// say that the issuer is away, or refuses this client.
fn is_about_token(status: StatusCode) -> bool {
    let is_about_client = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
    );
    status.is_success() || status.is_client_error() && !is_about_client
}

/// The reason why an answer is not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Answer(#[from] aims_oauth_wire::introspection::Error),
    /// The issuer has no key for a signed answer that is still trusted.
    #[error(transparent)]
    Key(#[from] aims_oauth_rs::Error),
}

impl Inner {
    /// Returns the metadata of the issuer: discovered for the first token, and fetched again when
    /// it is an hour old or the endpoint was lost. It is used for a day at most.
    async fn metadata(&self) -> Result<Arc<ServerMetadata>, Error> {
        let (http, clock) = (&*self.fetch, &*self.clock);
        let discover = || KnownServer::discover(&self.issuer, http, clock);
        let server = self.server.get_or_try_init(discover).await?;
        server.current(LONGEST, http, clock).await
    }

    /// Notes that the endpoint may have moved.
    fn set_lost(&self) {
        if let Some(server) = self.server.get() {
            server.set_lost();
        }
    }

    fn read(&self, answer: &Response<Vec<u8>>) -> Result<Introspection, Unread> {
        let Some(keys) = &self.signed_by else {
            return Ok(Introspection::parse(answer)?);
        };
        let signed = SignedIntrospection::parse(answer)?;
        let (issuers, now) = (keys.snapshot(), self.clock.now());
        let (kid, algorithm) = (signed.key_id(), signed.algorithm());
        // A key that is not trusted any longer proves nothing, as for access tokens.
        let key = issuers.select(self.issuer.as_str(), kid, algorithm, now)?;
        let audience = self.client.client_id().as_str();
        Ok(signed.verify(key, &self.issuer, audience, self.skew, now)?)
    }
}

impl Resolve for Introspector {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        Box::pin(async move {
            match need {
                // A guard asks about the tokens of this issuer alone.
                Need::Introspection(request) if request.issuer == self.0.issuer => {
                    self.ask(request.token).await
                }
                _ => Resolved::Unavailable,
            }
        })
    }
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector")
            .field("issuer", &self.0.issuer)
            .finish_non_exhaustive()
    }
}

impl IntrospectorBuilder {
    /// Sets the metadata of the issuer. Without them the issuer is asked for its metadata at the
    /// first token, and again after an hour (RFC 8414).
    pub fn metadata(mut self, metadata: ServerMetadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Requires answers that the issuer signs with one of its keys in this store (RFC 9701).
    /// `aud` of an answer has to be the client identifier.
    pub fn signed_by(mut self, issuers: Arc<IssuerStore>) -> Self {
        self.signed_by = Some(issuers);
        self
    }

    /// Sets how many requests may be under way, and half of them about tokens that were not active
    /// before. Defaults to 64.
    pub const fn max_in_flight(mut self, most: usize) -> Self {
        self.in_flight = most;
        self
    }

    /// Sets how many requests may begin in a second, and half of them about tokens that were not
    /// active before. Defaults to 200.
    pub const fn max_per_second(mut self, most: u32) -> Self {
        self.per_second = most;
        self
    }

    /// Sets how long it is remembered that a token is not active. Defaults to five seconds.
    pub const fn inactive_for(mut self, time: Duration) -> Self {
        self.inactive_for = time;
        self
    }

    /// Sets how long one token may take, with discovery. Defaults to ten seconds.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the clock skew for signed answers. Defaults to 30 seconds.
    pub const fn skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the introspector.
    #[must_use]
    pub fn build(self) -> Introspector {
        let limits = Limits::new(self.in_flight, self.per_second, self.inactive_for);
        Introspector(Arc::new(Inner {
            issuer: self.issuer,
            server: OnceCell::new_with(self.metadata.map(KnownServer::given)),
            client: self.client,
            fetch: self.fetch,
            signed_by: self.signed_by,
            timeout: self.timeout,
            skew: self.skew,
            clock: self.clock,
            state: Mutex::new(State {
                limits,
                flights: HashMap::new(),
            }),
        }))
    }
}

impl fmt::Debug for IntrospectorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectorBuilder")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// The age from which metadata of the issuer is not used.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
