//! The shop's authority: it issues access tokens for the gateway and is the transaction token
//! service of the domain. It gives grants for the bank.

use std::sync::Arc;

use aims::jose::jwk::{JwkSet, SetRules};
use aims::jose::key::SigningKey;
use aims::oauth_rs::IssuerStore;
use aims::oauth_wire::delegate::ScopeTable;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{self, Issuer};
use aims_authority::{
    Authority, Client, Exchange, NameSubject, OutgoingGrants, Purpose, Replacement,
    ReplacementRequest, Resource, Server, Transaction, TransactionPolicy,
};
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use crate::bank::Bank;
use crate::gateway;
use crate::world::{DOMAIN, Failure, Identities, now, provider, workload};

/// The scope of access tokens for the gateway.
pub(crate) const ACCESS_SCOPE: &str = "order:create";
/// The scopes within the shop.
pub(crate) const SCOPES: &str = "orders payments stock";

/// The scope of grants for the bank.
pub(crate) const PAY: &str = "pay";

/// The keys that the authority signs with. The attackers do not have them; the program makes
/// tokens with them that the authority would not make.
pub(crate) struct Keys {
    pub(crate) transactions: SigningKey,
    pub(crate) grants: SigningKey,
}

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

/// The agent, by the name on which the shop and the bank agreed.
#[derive(Debug)]
struct Names;

impl NameSubject for Names {
    fn name(&self, _audience: &str, subject: &str) -> Option<String> {
        let name = subject.strip_prefix("spiffe://shop.example/")?;
        Some(format!("{name}@shop.example"))
    }
}

/// Starts the authority for the gateway at this URL, and for the bank.
pub(crate) async fn start(
    gateway: &str,
    bank: &Bank,
    identities: &Identities,
    keys: &Keys,
) -> Result<Shop, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    // The bank compares the call of the transaction; with any other fact a transaction stays here.
    let grants = OutgoingGrants::new(Issuer::loopback(&bank.url)?, Arc::new(Names))
        .issue_transactions()
        .transaction_member("call_digest")
        .resource(names::Resource::loopback(&bank.accounts)?)
        .scopes(DOMAIN, ScopeTable::new([("payments", PAY)])?);
    let client = |name: &str| -> Result<Client, Failure> {
        Ok(Client::spiffe(workload(name)?.as_str().parse()?))
    };
    let known = |name: &str| -> Result<Client, Failure> {
        Ok(client(name)?.known_as(&bank.url, workload(name)?.as_str()))
    };
    let authority = Authority::builder(&url, provider())
        .trust_domain(DOMAIN)
        .signing_key(Purpose::WitSvid, identities.key.clone())
        .signing_key(Purpose::TransactionToken, keys.transactions.clone())
        .signing_key(Purpose::AccessToken, keys.grants.clone())
        .resource(Resource::new(gateway).with_scopes([ACCESS_SCOPE]))
        .client(client("agent")?.allow(gateway, [ACCESS_SCOPE]))
        .client(client("gateway")?.serves(gateway).replace_transactions())
        // A service of the shop, which neither serves the gateway's resource nor is at the border.
        .client(known("stock")?.allow(gateway, [ACCESS_SCOPE]))
        .client(known("payments")?.border())
        .transactions(Arc::new(Orders))
        .outgoing_grants(grants)
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
