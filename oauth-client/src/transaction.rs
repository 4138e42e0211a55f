//! Transactions: the tokens of one, requested once and replaced by narrower ones.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::Fetch;
use aims_jose::time::{Clock, SystemClock, after};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;
use tokio::sync::Mutex;

use crate::step::drive;
use crate::{Error, TransactionToken, TransactionTokenRequest};

/// The transaction token service of a trust domain, and this client of it. Needs the feature
/// `tokio`.
///
/// Take the metadata from trusted configuration alone (draft-ietf-oauth-transaction-tokens §13.7).
/// Clones share everything.
///
/// ```
/// use aims_oauth_client::{TransactionService, TransactionTokenRequest};
///
/// # async fn example(
/// #     service: TransactionService,
/// #     request: TransactionTokenRequest,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let transaction = service.open(request); // one for each request that the tool serves
/// let token = transaction.token().await?;
/// let narrower = transaction.narrowed("read".parse()?).await?;
/// assert_eq!(token.txn(), narrower.txn());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TransactionService(Arc<Service>);

struct Service {
    server: Arc<ServerMetadata>,
    client: Arc<dyn Authenticate>,
    http: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
}

/// One transaction: its token is requested at the first use and kept until it expires.
///
/// Two transactions share no token, also if they are for the same subject, scopes and details:
/// each has a `txn` of its own. A transaction ends with its token; it is never renewed.
pub struct Transaction {
    service: Arc<Service>,
    request: TransactionTokenRequest,
    tokens: Mutex<Tokens>,
}

#[derive(Default)]
struct Tokens {
    first: Option<TransactionToken>,
    narrowed: BTreeMap<String, TransactionToken>,
}

/// Maximum number of replacements that a transaction keeps.
const MAX_NARROWED: usize = 32;
/// A token that ends within this time is not used any more.
const MARGIN: Duration = Duration::from_secs(2);
/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

impl TransactionService {
    /// Creates the client of this service.
    #[must_use]
    pub fn new(
        server: impl Into<Arc<ServerMetadata>>,
        client: impl Authenticate + 'static,
        http: impl Fetch + 'static,
    ) -> Self {
        Self(Arc::new(Service {
            server: server.into(),
            client: Arc::new(client),
            http: Arc::new(http),
            clock: Arc::new(SystemClock::new()),
        }))
    }

    /// Sets the clock. Defaults to the system clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self(Arc::new(Service {
            server: Arc::clone(&self.0.server),
            client: Arc::clone(&self.0.client),
            http: Arc::clone(&self.0.http),
            clock: Arc::new(clock),
        }))
    }

    /// Opens a transaction. Nothing is requested yet.
    #[must_use]
    pub fn open(&self, request: TransactionTokenRequest) -> Transaction {
        Transaction {
            service: Arc::clone(&self.0),
            request,
            tokens: Mutex::default(),
        }
    }
}

impl Transaction {
    /// Returns the token of the transaction. The first call requests it; concurrent calls wait for
    /// that one request. A failed request is made again by the next call.
    ///
    /// # Errors
    ///
    /// Those of [`TransactionTokenRequest::begin`]; `grant.transport` after 30 s; `grant.expired`
    /// if the transaction has ended.
    pub async fn token(&self) -> Result<TransactionToken, Error> {
        let mut tokens = self.tokens.lock().await;
        self.first(&mut tokens).await
    }

    /// Returns a replacement with these scopes, which are at most those of the token
    /// (draft-ietf-oauth-transaction-tokens §13.15). Use it for a service that needs no more.
    ///
    /// # Errors
    ///
    /// Those of [`token`](Self::token), and `delegate.…` if the replacement permits more than the
    /// token.
    pub async fn narrowed(&self, scopes: ScopeSet) -> Result<TransactionToken, Error> {
        let mut tokens = self.tokens.lock().await;
        let first = self.first(&mut tokens).await?;
        let key = scopes.to_string();
        if let Some(token) = tokens.narrowed.get(&key)
            && self.is_live(token)
        {
            return Ok(token.clone());
        }
        let token = self.service.request(first.replacement(scopes)).await?;
        if tokens.narrowed.len() < MAX_NARROWED || tokens.narrowed.contains_key(&key) {
            tokens.narrowed.insert(key, token.clone());
        }
        Ok(token)
    }

    async fn first(&self, tokens: &mut Tokens) -> Result<TransactionToken, Error> {
        match &tokens.first {
            Some(token) if self.is_live(token) => return Ok(token.clone()),
            Some(_) => return Err(Error::Expired),
            None => {}
        }
        let token = self.service.request(self.request.clone()).await?;
        tokens.first = Some(token.clone());
        Ok(token)
    }

    fn is_live(&self, token: &TransactionToken) -> bool {
        after(self.service.clock.now(), MARGIN) < token.expires()
    }
}

impl Service {
    async fn request(&self, request: TransactionTokenRequest) -> Result<TransactionToken, Error> {
        let (client, server) = (Arc::clone(&self.client), Arc::clone(&self.server));
        let first = request.begin(client, server, self.clock.now())?;
        let driven = drive(first, &*self.http, &*self.clock);
        let timeout = tokio::time::timeout(TIMEOUT, driven).await;
        timeout.unwrap_or(Err(Error::Transport(aims_fetch::Error::Timeout)))
    }
}

impl fmt::Debug for TransactionService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = self.0.server.issuer();
        write!(f, "TransactionService({})", issuer.as_str())
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}
