//! The bank, which is another domain: its own authorization server, which accepts the shop's grants
//! (draft-fletcher-oauth-txn-token-chaining-profile), and its accounts.

use std::sync::Arc;

use aims::guard::{Guard, HttpSignatures};
use aims::oauth_rs::IssuerStore;
use aims::oauth_wire::call::CallDigest;
use aims::oauth_wire::delegate::ScopeTable;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::Issuer;
use aims::{Principal, Requirements};
use aims_authority::{Authority, Client, IncomingGrants, MapSubject, Resource, Server};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::shop::{PAY, Shop};
use crate::world::{Failure, Identities, Reasons, TOOL, now, provider, workload};

/// The scope that the accounts require, and one that the shop never gets.
pub(crate) const TRANSFER: &str = "transfer";
pub(crate) const LOANS: &str = "loans";

/// The addresses of the bank, known before anything is started.
pub(crate) struct Bank {
    pub(crate) url: String,
    pub(crate) accounts: String,
}

/// The bank's customer, by the name on which both domains agreed.
#[derive(Debug)]
struct Customers;

impl MapSubject for Customers {
    fn subject(&self, _issuer: &str, subject: &str) -> Option<String> {
        (subject == "agent@shop.example").then(|| "customer-7".to_owned())
    }
}

/// Starts both. The bank knows two things of the shop: the keys of its grants, and the keys of its
/// workloads' identities. Returns the metadata of its server.
pub(crate) fn start(
    bank: &Bank,
    (server, accounts): (TcpListener, TcpListener),
    shop: &Shop,
    identities: &Identities,
    reasons: &Reasons,
) -> Result<ServerMetadata, Failure> {
    let (issuer, keys) = (Issuer::loopback(&shop.url)?, Arc::clone(&shop.issuers));
    let rules = IncomingGrants::new(issuer, keys, Arc::new(Customers))
        .accept_transactions()
        .transaction_member("call_digest")
        .scopes(&bank.accounts, ScopeTable::new([(PAY, TRANSFER)])?);
    let client = |name: &str| -> Result<Client, Failure> {
        let client = Client::spiffe(workload(name)?.as_str().parse()?).grants_of(&shop.url);
        Ok(client.allow(&bank.accounts, [TRANSFER, LOANS]))
    };
    let authority = Authority::builder(&bank.url, provider())
        .trust_domain("bank.example")
        .trust(identities.bundle()?)
        .resource(Resource::new(&bank.accounts).with_scopes([TRANSFER, LOANS]))
        .incoming_grants(rules)
        .client(client("payments")?)
        .client(client("stock")?)
        .build(now())?;
    let issuer = Issuer::loopback(&bank.url)?;
    let issuers = IssuerStore::default();
    let jwks = authority.oauth().jwks(now());
    issuers.set(&issuer, jwks.as_bytes(), provider())?;
    let metadata = authority.oauth().metadata();
    let metadata = ServerMetadata::parse(metadata.as_bytes(), &issuer)?;
    tokio::spawn(Server::new(authority).serve(server));

    let guard = Guard::builder(&bank.accounts)
        .issuers(Arc::new(issuers))
        .trust(identities.trust()?)
        .http_signatures(HttpSignatures::new())
        .require(Requirements::new().scopes(TRANSFER.parse()?))
        .record(reasons.clone())
        .accept_proofs_before_start()
        .build()?;
    let router = Router::new().fallback(post(pay)).layer(guard.layer());
    let router = router.with_state(reasons.clone());
    tokio::spawn(async move { axum::serve(accounts, router).await });
    Ok(metadata)
}

/// Pays. As both domains agreed, the call must be the one of the shop's transaction.
async fn pay(
    State(reasons): State<Reasons>,
    who: Principal,
    order: Bytes,
) -> Result<String, StatusCode> {
    let call = CallDigest::of(TOOL, Some(&order)).map_err(|_malformed| StatusCode::BAD_REQUEST)?;
    let claims = who.access_token().map(|token| token.claims::<Value>());
    let claims = claims.and_then(Result::ok).unwrap_or_default();
    let own = claims.pointer("/tctx/call_digest").and_then(Value::as_str);
    if own != Some(&call.to_string()) {
        reasons.set("another call");
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(format!("paid for {}", who.subject()))
}
