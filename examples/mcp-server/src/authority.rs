//! An authorization server of its own, for a user who is always signed in.

use std::sync::Arc;

use aims::jose::alg::Algorithm;
use aims::jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::jose::time::{Clock as _, SystemClock};
use aims::oauth_wire::delegate::ScopeTable;
use aims_authority::{Client, DevUser, ExchangeTable, Resource, SelfDescribed, Server};
use tokio::net::TcpListener;

use crate::Failure;
use crate::scopes::{ADMIN, CALL};
use crate::weather::READ;

/// A running authority.
pub(crate) struct Authority {
    pub(crate) url: String,
    /// The client that the MCP server is when it calls on, and its key.
    pub(crate) agent: &'static str,
    pub(crate) agents_key: Arc<SigningKey>,
}

/// Starts the authority for the MCP server and the weather service at these URLs.
pub(crate) async fn start(server: &str, weather: &str) -> Result<Authority, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let key = SigningKey::generate(Algorithm::Es256, provider::default())?.with_key_id("agent");
    let keys: PublicJwkSet = [key.public_jwk().clone()].into_iter().collect();
    let keys = JwkSet::parse(
        keys.to_json().as_bytes(),
        &SetRules::oauth(),
        provider::default(),
    )?;
    let scopes = || ADMIN.split(' ');
    // Every program may register; each user decides which to trust.
    let clients = SelfDescribed::new().allow(server, scopes());
    // The MCP server may exchange the tokens that it gets for narrower ones.
    let agent = Client::with_keys(AGENT, keys)
        .serves(server)
        .allow(weather, [READ]);
    let table = ExchangeTable::new().allow(server, weather, ScopeTable::new([(CALL, READ)])?);
    let authority = aims_authority::Authority::builder(&url, provider::default())
        .trust_domain("example.org")
        .resource(Resource::new(server).with_scopes(scopes()))
        .resource(Resource::new(weather).with_scopes([READ]))
        .users(Arc::new(DevUser::new("alice")))
        .exchange(Arc::new(table))
        .dynamic_registration(clients)
        .client(agent)
        .build(SystemClock::new().now())?;
    tokio::spawn(Server::new(authority).serve(listener));
    Ok(Authority {
        url,
        agent: AGENT,
        agents_key: Arc::new(key),
    })
}

const AGENT: &str = "mcp-server";
