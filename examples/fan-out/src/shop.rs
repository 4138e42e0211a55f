//! The shop's authority: it issues access tokens for the gateway and is the transaction token
//! service of the domain.

use std::sync::Arc;

use aims::jose::jwk::{JwkSet, SetRules};
use aims::jose::key::SigningKey;
use aims::oauth_rs::IssuerStore;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::Issuer;
use aims_authority::{
    Authority, Client, Exchange, Purpose, Replacement, ReplacementRequest, Resource, Server,
    Transaction, TransactionPolicy,
};
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use crate::gateway;
use crate::world::{DOMAIN, Failure, Identities, now, provider, workload};

/// The scope of access tokens for the gateway.
pub(crate) const ACCESS_SCOPE: &str = "order:create";
/// The scopes within the shop.
pub(crate) const SCOPES: &str = "orders payments stock";

/// A running authority.
pub(crate) struct Shop {
    pub(crate) url: String,
    pub(crate) metadata: ServerMetadata,
    /// The keys of its transaction tokens.
    pub(crate) keys: JwkSet,
    pub(crate) issuers: Arc<IssuerStore>,
}

/// Orders: the gateway says which call it serves, and nothing else of what it says is copied.
#[derive(Debug)]
struct Orders;

impl TransactionPolicy for Orders {
    fn decide(
        &self,
        _exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        _context: &Map<String, Value>,
    ) -> Option<Transaction> {
        let call = details.get("call_digest")?.clone();
        let details = [("call_digest".to_owned(), call)].into_iter().collect();
        Some(Transaction::new(gateway::scopes().ok()?).with_details(details))
    }

    fn replace(&self, _request: &ReplacementRequest<'_>) -> Option<Replacement> {
        Some(Replacement::new())
    }
}

/// Starts the authority for the gateway at this URL.
pub(crate) async fn start(
    gateway: &str,
    identities: &Identities,
    transactions: &SigningKey,
) -> Result<Shop, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let client = |name: &str| -> Result<Client, Failure> {
        Ok(Client::spiffe(workload(name)?.as_str().parse()?))
    };
    let authority = Authority::builder(&url, provider())
        .trust_domain(DOMAIN)
        .signing_key(Purpose::WitSvid, identities.key.clone())
        .signing_key(Purpose::TransactionToken, transactions.clone())
        .resource(Resource::new(gateway).with_scopes([ACCESS_SCOPE]))
        .client(client("agent")?.allow(gateway, [ACCESS_SCOPE]))
        .client(client("gateway")?.serves(gateway).replace_transactions())
        // A service of the shop, which does not serve the gateway's resource.
        .client(client("stock")?.allow(gateway, [ACCESS_SCOPE]))
        .transactions(Arc::new(Orders))
        .build(now())?;
    let jwks = authority.oauth().jwks(now());
    let issuer = Issuer::loopback(&url)?;
    let metadata = authority.oauth().metadata();
    let metadata = ServerMetadata::parse(metadata.as_bytes(), &issuer)?;
    let issuers = Arc::new(IssuerStore::default());
    issuers.set(&issuer, jwks.as_bytes(), provider())?;
    tokio::spawn(Server::new(authority).serve(listener));
    Ok(Shop {
        url,
        metadata,
        keys: JwkSet::parse(jwks.as_bytes(), &SetRules::oauth(), provider())?,
        issuers,
    })
}
