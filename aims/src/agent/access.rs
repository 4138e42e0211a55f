//! The tokens for one tool: those of a source, or of a connection that the first refusal starts.

use std::fmt;
use std::sync::Arc;

use aims_jose::digest::Fingerprint;
use aims_oauth_client::{Connection, Connector, Explanation, RevocationSignal, Token, TokenSource};
use aims_oauth_wire::challenge::{Challenge, Challenges};
use aims_oauth_wire::names::{Resource, ScopeSet};
use http::{Request, Response, StatusCode, Uri};
use tokio::sync::Mutex;

use super::{Agent, AgentBuilder, Error};

/// The tokens for a tool and every URL beneath it.
#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) resource: Resource,
    pub(super) tokens: Tokens,
}

pub(super) enum Tokens {
    Source {
        scopes: ScopeSet,
        source: TokenSource,
    },
    Connected(Box<Connected>),
}

pub(super) struct Connected {
    connector: Connector,
    connection: Mutex<Option<Numbered>>,
    /// The refused token for which the metadata of the tool was read anew last. Locked while they
    /// are read, so that parallel refusals of one token cause one look.
    checked_token: Mutex<Option<Fingerprint>>,
}

/// A connection, and how many were made before it.
#[derive(Clone)]
struct Numbered {
    connection: Connection,
    number: u64,
}

/// Whether a request has caused a new connection already. It causes one at most.
#[derive(Default)]
pub(super) struct Reconnected {
    has_reconnected: bool,
}

/// The demand of a refusal.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// A new token, or a first one.
    Token(Challenges),
    /// A token with more scopes (RFC 6750 §3.1).
    Scope(Challenge),
    /// A login of the user that meets a requirement (RFC 9470 §3).
    Login(Challenge),
}

impl Authorization {
    /// Returns a token, if there is a way to one already.
    pub(super) async fn token(
        &self,
        reconnected: &mut Reconnected,
    ) -> Result<Option<Arc<Token>>, Error> {
        match &self.tokens {
            Tokens::Source { scopes, source } => {
                Ok(Some(source.token_for(&self.resource, scopes).await?))
            }
            Tokens::Connected(connected) => match connected.made().await {
                Some(made) => Ok(Some(connected.token(made, reconnected).await?)),
                None => Ok(None),
            },
        }
    }

    /// Returns the scopes that the program allows for the tool, or `None` if it allows all.
    pub(super) fn allowed_scopes(&self) -> Option<&ScopeSet> {
        match &self.tokens {
            Tokens::Source { scopes, .. } => Some(scopes),
            Tokens::Connected(connected) => connected.connector.allowed_scopes(),
        }
    }

    /// Returns the resource that tokens are for. A connector may have found a broader one.
    pub(super) async fn token_resource(&self) -> Resource {
        let connection = match &self.tokens {
            Tokens::Source { .. } => None,
            Tokens::Connected(connected) => connected.connection().await,
        };
        connection.map_or_else(|| self.resource.clone(), |it| it.resource().clone())
    }

    /// Returns a token, and connects first if necessary.
    pub(super) async fn required_token(&self) -> Result<Arc<Token>, Error> {
        match &self.tokens {
            Tokens::Source { scopes, source } => {
                Ok(source.token_for(&self.resource, scopes).await?)
            }
            Tokens::Connected(connected) => {
                let challenges = Challenges::default();
                let made = connected.connect(&self.resource, &challenges).await?;
                connected.token(made, &mut Reconnected::default()).await
            }
        }
    }

    /// Forgets a token that the tool refused.
    pub(super) async fn forget(&self, token: &Token) {
        match &self.tokens {
            Tokens::Source { source, .. } => source.forget(token),
            Tokens::Connected(connected) => {
                if let Some(connection) = connected.connection().await {
                    connection.forget(token);
                }
            }
        }
    }

    /// Returns the demand of a refusal, if this can follow it.
    pub(super) fn refusal<B>(
        &self,
        token: Option<&Token>,
        answer: &Response<B>,
    ) -> Option<Refusal> {
        let is_connected = matches!(self.tokens, Tokens::Connected(_));
        let challenges = Challenges::parse(answer.headers());
        let of = |error: &str| {
            let challenges = challenges.as_ref().ok()?;
            let usable = |it: &&Challenge| it.is("Bearer") || it.is("DPoP");
            let mut usable = challenges.iter().filter(usable);
            usable.find(|it| it.error() == Some(error)).cloned()
        };
        match answer.status() {
            StatusCode::FORBIDDEN if is_connected => of("insufficient_scope").map(Refusal::Scope),
            // A tool may refuse a request without a token so (RFC 9728 §5.1).
            StatusCode::BAD_REQUEST if is_connected && token.is_none() => {
                let _invalid = of("invalid_request")?;
                let challenges = challenges.ok()?;
                let places = challenges.resource_metadata_places(&self.resource);
                (!places.is_empty()).then_some(Refusal::Token(challenges))
            }
            StatusCode::UNAUTHORIZED => {
                let login = of("insufficient_user_authentication").filter(|_| is_connected);
                if let Some(challenge) = login {
                    return Some(Refusal::Login(challenge));
                }
                match token {
                    Some(token) => {
                        let challenges = challenges.ok()?;
                        refuses(token, &challenges).then_some(Refusal::Token(challenges))
                    }
                    None => Some(Refusal::Token(challenges.unwrap_or_default())),
                }
            }
            _ => None,
        }
    }

    /// Returns the token for the next attempt after a refusal of this one, or `None` if none would
    /// help.
    pub(super) async fn after(
        &self,
        refusal: Refusal,
        refused: Option<&Token>,
        reconnected: &mut Reconnected,
    ) -> Result<Option<Arc<Token>>, Error> {
        let Tokens::Connected(connected) = &self.tokens else {
            return self.token(reconnected).await;
        };
        match refusal {
            Refusal::Token(challenges) => {
                let made = connected.follow(&self.resource, &challenges, refused);
                Ok(Some(connected.token(made.await?, reconnected).await?))
            }
            Refusal::Scope(challenge) => match connected.made().await {
                Some(made) if made.connection.widen(&challenge)? => {
                    Ok(Some(connected.token(made, reconnected).await?))
                }
                _ => Ok(None),
            },
            Refusal::Login(challenge) => match connected.connection().await {
                Some(connection) => Ok(connection.step_up(&challenge).await?),
                None => Ok(None),
            },
        }
    }
}

impl Connected {
    async fn connection(&self) -> Option<Connection> {
        self.made().await.map(|made| made.connection)
    }

    async fn made(&self) -> Option<Numbered> {
        self.connection.lock().await.clone()
    }

    /// Returns the connection. The first call makes it, by the challenges of the tool.
    async fn connect(&self, tool: &Resource, challenges: &Challenges) -> Result<Numbered, Error> {
        let mut made = self.connection.lock().await;
        if let Some(made) = &*made {
            return Ok(made.clone());
        }
        let connection = self.connector.connect(tool, challenges).await?;
        Ok(made.insert(Numbered::of(connection, 0)).clone())
    }

    /// Replaces a connection. If that was done meanwhile, returns the new one.
    async fn reconnect(
        &self,
        earlier: &Numbered,
        challenges: &Challenges,
    ) -> Result<Numbered, Error> {
        let mut current = self.connection.lock().await;
        if let Some(made) = &*current
            && made.number != earlier.number
        {
            return Ok(made.clone());
        }
        let connection = earlier.connection.reconnect(challenges).await?;
        let number = earlier.number.wrapping_add(1);
        Ok(current.insert(Numbered::of(connection, number)).clone())
    }

    /// Returns the connection after a refusal: the first one, or a new one if the tool has moved to
    /// another authorization server meanwhile.
    async fn follow(
        &self,
        tool: &Resource,
        challenges: &Challenges,
        refused: Option<&Token>,
    ) -> Result<Numbered, Error> {
        let made = self.connect(tool, challenges).await?;
        let Some(refused) = refused.map(Token::fingerprint) else {
            return Ok(made);
        };
        let mut checked = self.checked_token.lock().await;
        if *checked == Some(refused) {
            return self.connect(tool, challenges).await;
        }
        let made = match made.connection.is_current(challenges).await? {
            true => made,
            false => self.reconnect(&made, challenges).await?,
        };
        *checked = Some(refused);
        Ok(made)
    }

    /// Returns a token of a connection. Connects again if its registration has ended: by the time,
    /// or by the answer of the server.
    async fn token(
        &self,
        mut made: Numbered,
        reconnected: &mut Reconnected,
    ) -> Result<Arc<Token>, Error> {
        if made.connection.has_ended() && !reconnected.has_reconnected {
            reconnected.has_reconnected = true;
            made = self.reconnect(&made, &Challenges::default()).await?;
        }
        match made.connection.token().await {
            Err(_) if made.connection.has_ended() && !reconnected.has_reconnected => {
                reconnected.has_reconnected = true;
                let made = self.reconnect(&made, &Challenges::default()).await?;
                Ok(made.connection.token().await?)
            }
            outcome => Ok(outcome?),
        }
    }
}

impl Connected {
    /// Drops what a signal revoked: in the connection, and in the store, where tokens of a server
    /// can be that the tool had before.
    async fn drop_revoked(
        &self,
        revoked: &RevocationSignal,
    ) -> Result<usize, aims_oauth_client::Error> {
        let held = match self.connection().await {
            Some(connection) => connection.drop_revoked(revoked).await,
            None => Ok(0),
        };
        let stored = self.connector.drop_revoked(revoked).await;
        Ok(held?.saturating_add(stored?))
    }
}

impl Numbered {
    const fn of(connection: Connection, number: u64) -> Self {
        Self { connection, number }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { scopes, source } => f
                .debug_struct("Source")
                .field("scopes", scopes)
                .field("source", source)
                .finish(),
            Self::Connected(connected) => connected.connector.fmt(f),
        }
    }
}

/// Returns whether challenges say that the token is refused.
///
/// A challenge that cannot be parsed, has another scheme, or reports another error does not count,
/// because a new token would not help.
fn refuses(token: &Token, challenges: &Challenges) -> bool {
    let of = |scheme| challenges.of(scheme).map(Challenge::error);
    let dpop = token.is_bound().then(|| of("DPoP"));
    let mut errors = of("Bearer").chain(dpop.into_iter().flatten());
    errors.any(|error| matches!(error, None | Some("invalid_token")))
}

impl<T> AgentBuilder<T> {
    /// Connects to the tool at this URL, and to every URL beneath it, when the tool first demands a
    /// token.
    ///
    /// The connector finds the authorization server by the challenge of the tool, identifies the
    /// agent there, and chooses the grant. If the tool later requires more scopes (RFC 6750 §3.1)
    /// or a better login (RFC 9470), the agent gets another token, once for each call, within what
    /// the connector allows.
    ///
    /// ```
    /// use aims::Agent;
    /// use aims::fetch::Fetcher;
    /// use aims::oauth_client::{ClientMetadata, Connector, Identities, Loopback};
    ///
    /// fn agent(tool: &str) -> Result<Agent, Box<dyn std::error::Error>> {
    ///     let fetcher = Fetcher::builder().build()?;
    ///     let identities = Identities::new().register(ClientMetadata::native("My agent"));
    ///     let connector = Connector::new(identities, fetcher.clone())
    ///         .accept_issuers(["https://as.example".parse()?])
    ///         .by_user(Loopback::new(|url| Ok(println!("open {url}"))));
    ///     let agent = Agent::without_identity().connect(tool.parse()?, connector);
    ///     Ok(agent.fetcher(fetcher).build()?)
    /// }
    /// ```
    pub fn connect(mut self, tool: Resource, connector: Connector) -> Self {
        let connected = Connected {
            connector,
            connection: Mutex::default(),
            checked_token: Mutex::default(),
        };
        self.tokens.push(Authorization {
            resource: tool,
            tokens: Tokens::Connected(Box::new(connected)),
        });
        self
    }
}

impl Agent {
    /// Drops the tokens that a signal of an authorization server revoked, such as a logout token
    /// that the program verified: from memory, and from the stores of its connectors. The next
    /// request does not use them. Returns the number of dropped grants.
    ///
    /// # Errors
    ///
    /// The errors of a store. All tokens in memory are dropped in every case.
    pub async fn drop_revoked(&self, revoked: &RevocationSignal) -> Result<usize, Error> {
        let (mut dropped, mut ended) = (0_usize, Ok(()));
        for authorization in &self.0.tokens {
            let done = match &authorization.tokens {
                Tokens::Source { source, .. } => source.drop_revoked(revoked).await,
                Tokens::Connected(connected) => connected.drop_revoked(revoked).await,
            };
            match done {
                Ok(count) => dropped = dropped.saturating_add(count),
                Err(error) => ended = ended.and(Err(error)),
            }
        }
        Ok(ended.map(|()| dropped)?)
    }

    /// Tells which way the agent would take to the tool at this URL, and why, without registering
    /// or logging in. Returns `None` if no [connector](AgentBuilder::connect) is set for it.
    ///
    /// It sends `GET` without a token first, because the challenge of the tool says where its
    /// metadata are, and which scopes it requires.
    ///
    /// # Errors
    ///
    /// The errors of discovery, and `agent.target` for a URL that is not in normal form.
    pub async fn explain(&self, url: &str) -> Result<Option<Explanation>, Error> {
        let uri = url.parse::<Uri>().map_err(|_invalid| {
            let parsed = url.parse::<Resource>();
            Error::Target(parsed.err().unwrap_or(aims_oauth_wire::Error::ClientId))
        })?;
        let Some(authorization) = self.authorization(&uri)? else {
            return Ok(None);
        };
        let Tokens::Connected(connected) = &authorization.tokens else {
            return Ok(None);
        };
        let (tool, challenges) = (
            &authorization.resource,
            self.fetch_challenges(uri, authorization).await,
        );
        Ok(Some(connected.connector.explain(tool, &challenges).await?))
    }

    /// Returns the challenges of a tool to a request without a token, or none if it has none.
    async fn fetch_challenges(&self, uri: Uri, authorization: &Authorization) -> Challenges {
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        let (head, ()) = request.into_parts();
        let refused = match self.attempt_alone(head).await {
            Ok(answer) => authorization.refusal(None, &answer),
            Err(_unanswered) => None,
        };
        match refused {
            Some(Refusal::Token(challenges)) => challenges,
            Some(Refusal::Scope(_) | Refusal::Login(_)) | None => Challenges::default(),
        }
    }
}
