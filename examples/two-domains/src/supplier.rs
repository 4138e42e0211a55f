//! The supplier: an authorization server that accepts grants of the shop, and a tool.

use std::sync::Arc;

use aims::guard::{Guard, HttpSignatures};
use aims::oauth_rs::IssuerStore;
use aims::oauth_wire::delegate::ScopeTable;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::Issuer;
use aims::{Principal, Requirements};
use aims_authority::{Authority, Client, IncomingGrants, MapSubject, Resource, Server};
use axum::Router;
use axum::routing::post;
use tokio::net::TcpListener;

use crate::shop::Shop;
use crate::world::{Failure, Identities, Reasons, now, provider, workload};

/// The scope that the tool requires, and one that the shop's agents may not have.
pub(crate) const SCOPE: &str = "order:create";
pub(crate) const PRICES: &str = "prices:write";

/// A listener whose address is known before the server is started.
pub(crate) struct Place {
    listener: TcpListener,
    pub(crate) url: String,
}

impl Place {
    pub(crate) async fn new(path: &str) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}{path}", listener.local_addr()?);
        Ok(Self { listener, url })
    }
}

/// The running authorization server of the supplier.
pub(crate) struct Supplier {
    pub(crate) url: String,
    pub(crate) tool: String,
    pub(crate) metadata: ServerMetadata,
    issuers: Arc<IssuerStore>,
}

/// The buyer of the shop is an account of the supplier. No other agent is.
#[derive(Debug)]
struct Accounts;

impl MapSubject for Accounts {
    fn subject(&self, _issuer: &str, subject: &str) -> Option<String> {
        (subject == "buyer@shop.example").then(|| "account-7".to_owned())
    }
}

/// Starts the authorization server for a tool. It knows the shop by the keys of its grants, and its
/// agents by the bundle of their identities.
pub(crate) fn start(
    place: Place,
    tool: &str,
    shop: &Shop,
    identities: &Identities,
) -> Result<Supplier, Failure> {
    let issuer = Issuer::loopback(&shop.url)?;
    let keys = IssuerStore::new();
    keys.set(&issuer, shop.jwks.as_bytes(), provider())?;
    let rules = IncomingGrants::new(issuer, Arc::new(keys), Arc::new(Accounts))
        .accept_jwt()
        .accept_id_jag()
        .scopes(tool, ScopeTable::new([("order", SCOPE)])?);
    let client = |name: &str| -> Result<Client, Failure> {
        let client = Client::spiffe(workload(name)?.as_str().parse()?);
        Ok(client.grants_of(&shop.url).allow(tool, [SCOPE, PRICES]))
    };
    let authority = Authority::builder(&place.url, provider())
        .trust_domain("supplier.example")
        .trust(identities.bundle()?)
        .resource(Resource::new(tool).with_scopes([SCOPE, PRICES]))
        .incoming_grants(rules)
        .client(client("buyer")?)
        .client(client("mallory")?)
        .build(now())?;
    let issuer = Issuer::loopback(&place.url)?;
    let metadata = authority.oauth().metadata();
    let metadata = ServerMetadata::parse(metadata.as_bytes(), &issuer)?;
    let issuers = IssuerStore::new();
    let jwks = authority.oauth().jwks(now());
    issuers.set(&issuer, jwks.as_bytes(), provider())?;
    let supplier = Supplier {
        issuers: Arc::new(issuers),
        tool: tool.to_owned(),
        metadata,
        url: place.url,
    };
    tokio::spawn(Server::new(authority).serve(place.listener));
    Ok(supplier)
}

/// Starts the tool. It accepts tokens of the supplier's own server alone.
pub(crate) fn start_tool(
    place: Place,
    supplier: &Supplier,
    identities: &Identities,
    reasons: Reasons,
) -> Result<(), Failure> {
    let guard = Guard::builder(&supplier.tool)
        .issuers(Arc::clone(&supplier.issuers))
        .trust(identities.trust()?)
        .require(Requirements::new().scopes(SCOPE.parse()?))
        .http_signatures(HttpSignatures::new())
        .record(reasons)
        .build()?;
    let router = Router::new().fallback(post(order)).layer(guard.layer());
    // `axum::serve` has no limits, which is acceptable where all callers are in this process.
    tokio::spawn(async move { axum::serve(place.listener, router).await });
    Ok(())
}

async fn order(who: Principal) -> String {
    format!("ordered for {}", who.subject())
}
