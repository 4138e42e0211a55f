//! The tokens for one tool: those of a source, or of a connection that the first refusal starts.

use std::fmt;
use std::sync::Arc;

use aims_oauth_client::{Connection, Connector, Explanation, RevocationSignal, Token, TokenSource};
use aims_oauth_wire::challenge::{Challenge, Challenges};
use aims_oauth_wire::names::{Resource, ScopeSet};
use http::{Response, StatusCode};

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
    connection: tokio::sync::Mutex<Option<Connection>>,
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
    pub(super) async fn token(&self) -> Result<Option<Arc<Token>>, Error> {
        match &self.tokens {
            Tokens::Source { scopes, source } => {
                Ok(Some(source.token_for(&self.resource, scopes).await?))
            }
            Tokens::Connected(connected) => match connected.connection().await {
                Some(connection) => Ok(Some(connection.token().await?)),
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
                let connection = connected.connect(&self.resource, &challenges).await?;
                Ok(connection.token().await?)
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

    /// Returns the token for the next attempt after a refusal, or `None` if none would help.
    pub(super) async fn after(&self, refusal: Refusal) -> Result<Option<Arc<Token>>, Error> {
        let Tokens::Connected(connected) = &self.tokens else {
            return self.token().await;
        };
        match refusal {
            Refusal::Token(challenges) => {
                let connection = connected.connect(&self.resource, &challenges).await?;
                Ok(Some(connection.token().await?))
            }
            Refusal::Scope(challenge) => match connected.connection().await {
                Some(connection) if connection.widen(&challenge)? => {
                    Ok(Some(connection.token().await?))
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
        self.connection.lock().await.clone()
    }

    /// Returns the connection. The first call makes it, by the challenges of the tool.
    async fn connect(&self, tool: &Resource, challenges: &Challenges) -> Result<Connection, Error> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let made = self.connector.connect(tool, challenges).await?;
        *connection = Some(made.clone());
        Ok(made)
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
            connection: tokio::sync::Mutex::default(),
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
                Tokens::Connected(connected) => match connected.connection().await {
                    Some(connection) => connection.drop_revoked(revoked).await,
                    None => connected.connector.drop_revoked(revoked).await,
                },
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
    /// # Errors
    ///
    /// The errors of discovery, and `agent.target` for a URL that is not in normal form.
    pub async fn explain(&self, url: &str) -> Result<Option<Explanation>, Error> {
        let uri = url.parse::<http::Uri>().map_err(|_invalid| {
            let parsed = url.parse::<Resource>();
            Error::Target(parsed.err().unwrap_or(aims_oauth_wire::Error::ClientId))
        })?;
        let Some(authorization) = self.authorization(&uri)? else {
            return Ok(None);
        };
        let Tokens::Connected(connected) = &authorization.tokens else {
            return Ok(None);
        };
        let (tool, none) = (&authorization.resource, Challenges::default());
        Ok(Some(connected.connector.explain(tool, &none).await?))
    }
}
