//! The shop: it has the agents, and an authorization server that gives grants for the supplier.

use std::sync::Arc;

use aims::jose::key::SigningKey;
use aims::oauth_wire::delegate::ScopeTable;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use aims_authority::{Authority, Client, NameSubject, OutgoingGrants, Purpose, Server};
use tokio::net::TcpListener;

use crate::world::{Failure, Identities, now, provider, workload};

/// A tool of the shop. The agent's right there is what becomes its right at the supplier.
pub(crate) const CATALOG: &str = "https://catalog.shop.example/mcp";
pub(crate) const SCOPES: &str = "catalog:read orders:place";

/// The running authorization server of the shop.
pub(crate) struct Shop {
    pub(crate) url: String,
    pub(crate) metadata: Arc<ServerMetadata>,
    /// The published keys of its tokens and grants.
    pub(crate) jwks: String,
    /// The key itself, with which the program makes a grant that has expired.
    pub(crate) key: SigningKey,
}

/// The supplier knows the shop's agents by names like mail addresses.
#[derive(Debug)]
struct Names;

impl NameSubject for Names {
    fn name(&self, _audience: &str, subject: &str) -> Option<String> {
        let agent = subject.strip_prefix("spiffe://shop.example/")?;
        Some(format!("{agent}@shop.example"))
    }
}

/// Starts the server. The buyer may ask for grants to the supplier, for its tool alone.
pub(crate) async fn start(
    identities: &Identities,
    supplier: &str,
    tool: &str,
) -> Result<Shop, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let key = crate::world::es256("shop")?;
    let client = |name: &str| -> Result<Client, Failure> {
        let client = Client::spiffe(workload(name)?.as_str().parse()?);
        Ok(client.allow(CATALOG, SCOPES.split(' ')))
    };
    let buyer = workload("buyer")?;
    let mallory = workload("mallory")?;
    let rules = OutgoingGrants::new(Issuer::loopback(supplier)?, Arc::new(Names))
        .issue_jwt()
        .issue_id_jag()
        .resource(Resource::loopback(tool)?)
        .scopes(CATALOG, ScopeTable::new([("orders:place", "order")])?);
    let authority = Authority::builder(&url, provider())
        .trust_domain("shop.example")
        .signing_key(Purpose::WitSvid, identities.key.clone())
        .signing_key(Purpose::AccessToken, key.clone())
        .resource(aims_authority::Resource::new(CATALOG).with_scopes(SCOPES.split(' ')))
        .outgoing_grants(rules)
        .client(client("buyer")?.known_as(supplier, buyer.as_str()))
        .client(client("mallory")?.known_as(supplier, mallory.as_str()))
        .build(now())?;
    let jwks = authority.oauth().jwks(now());
    let metadata = authority.oauth().metadata();
    let issuer = Issuer::loopback(&url)?;
    let metadata = Arc::new(ServerMetadata::parse(metadata.as_bytes(), &issuer)?);
    tokio::spawn(Server::new(authority).serve(listener));
    Ok(Shop {
        url,
        metadata,
        jwks,
        key,
    })
}
