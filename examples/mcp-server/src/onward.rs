//! The call that a tool makes on behalf of its caller: the tool exchanges the token that the caller
//! sent for one for the next tool, in which it is the actor (RFC 8693).

use std::sync::Arc;

use aims::fetch::{Fetch as _, Fetcher};
use aims::jose::provider;
use aims::jose::time::{Clock as _, SystemClock};
use aims::oauth_client::{
    DpopKey, Impersonation, Step, SubjectToken, Target, TokenFlow, TokenRules, discovery, drive,
};
use aims::oauth_wire::InboundToken;
use aims::oauth_wire::client_auth::PrivateKeyJwt;
use aims::oauth_wire::delegate::{Crossing, Kind, ScopeTable};
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use http::Request;

use crate::Failure;
use crate::authority::Authority;
use crate::scopes::CALL;
use crate::weather::READ;

/// The agent that the MCP server is when it calls on.
#[derive(Clone, Debug)]
pub(crate) struct Onward(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fetcher: Fetcher,
    server: Arc<ServerMetadata>,
    client: Arc<PrivateKeyJwt>,
    /// The key to which the exchanged tokens are bound: a thief of one cannot use it.
    key: DpopKey,
    weather: String,
    /// The URL of the MCP server.
    own: String,
}

impl Onward {
    /// Creates the agent that the MCP server at the first URL is to the service at the second.
    pub(crate) async fn new(
        authority: &Authority,
        own: &str,
        weather: &str,
    ) -> Result<Self, Failure> {
        let fetcher = Fetcher::builder().allow_loopback_http().build()?;
        let (request, pending) = discovery::server(&Issuer::loopback(&authority.url)?)?;
        let server = drive(Step::Send(request, pending), &fetcher, &SystemClock::new()).await?;
        let client = PrivateKeyJwt::new(authority.agent.parse()?, authority.agents_key.clone());
        Ok(Self(Arc::new(Inner {
            fetcher,
            server: Arc::new(server),
            client: Arc::new(client),
            key: DpopKey::generate(provider::default())?,
            weather: weather.to_owned(),
            own: own.to_owned(),
        })))
    }

    /// Asks the weather service, for the user whose token this is.
    pub(crate) async fn forecast(&self, token: Arc<InboundToken>) -> Result<String, Failure> {
        let Inner {
            fetcher,
            server,
            client,
            key,
            weather,
            own,
        } = &*self.0;
        let clock = SystemClock::new();
        let target = Target::new(Resource::loopback(weather)?, READ.parse()?);
        // The answer must not be more than the caller's token, in the words of the weather service.
        let crossing = Crossing::new(Kind::AccessToken, Some(server.issuer().as_str()))
            .audience(own.as_str(), weather.as_str())
            .scopes_inward(ScopeTable::new([(CALL, READ)])?);
        let exchange = Impersonation::new(SubjectToken::inbound(token), target);
        let exchange = exchange.judged_by(crossing);
        let first = TokenFlow::begin_bound(
            Arc::new(exchange),
            client.clone(),
            Arc::clone(server),
            TokenRules::default(),
            key.clone(),
            clock.now(),
        )?;
        let token = drive(first, fetcher, &clock).await?;
        let mut request = Request::get(format!("{weather}/tomorrow")).body(Vec::new())?;
        token.authorize(&mut request, clock.now()).await?;
        let answer = fetcher.send(request).await?;
        if !answer.status().is_success() {
            return Err(format!("the weather service answered {}", answer.status()).into());
        }
        Ok(String::from_utf8(answer.into_body())?)
    }
}
