//! The suite `txn`: clients of other projects request transaction tokens of our token service, and
//! check them with their own libraries by the rules of the draft.
//!
//! No implementation of transaction tokens by others is published, so the rules are a few lines in
//! each script: this is no independent implementation of them. The requests, the answers, the
//! signatures and the claims are read by the libraries.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use aims::fetch::Fetcher;
use aims::jose::Algorithm;
use aims::jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::oauth_client::TokenSource;
use aims::oauth_wire::call::CallDigest;
use aims::oauth_wire::client_auth::PrivateKeyJwt;
use aims::oauth_wire::delegate::ScopeTable;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::Issuer;
use aims_authority::{
    Authority, Client, Exchange, Resource, Server, Transaction, TransactionPolicy,
};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::Failure;
use crate::agent::now;
use crate::table::Table;

const DOMAIN: &str = "shop.example";
const TOOL: &str = "https://gateway.example/mcp";
const SCOPE: &str = "order";

/// The steps of a script, and the expected result of each.
const STEPS: &[(&str, &str)] = &[
    ("exchange", "ok"),
    ("verify", "ok"),
    ("wider scope", "invalid_scope"),
    ("other domain", "invalid_target"),
    ("no access token", "invalid_request"),
    ("refresh token", "invalid_request"),
    ("token of another domain", "refused"),
    ("token after its end", "refused"),
    ("token with another signature", "refused"),
    ("access token", "refused"),
];

#[derive(Debug)]
struct Orders;

impl TransactionPolicy for Orders {
    fn decide(
        &self,
        _exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        _context: &Map<String, Value>,
    ) -> Option<Transaction> {
        let scopes = ScopeTable::new([(SCOPE, "orders"), (SCOPE, "stock")]).ok()?;
        Some(Transaction::new(scopes).with_details(details.clone()))
    }
}

/// One step of a script.
#[derive(Deserialize)]
struct Step {
    step: String,
    seen: String,
}

/// Runs the suite. A client is `NAME=COMMAND ARGUMENT…`.
pub(crate) async fn run(clients: &[&str]) -> Result<(), Failure> {
    let job = job().await?.to_string();
    let mut table = Table::new("txn");
    for client in clients {
        let (name, command) = client.split_once('=').ok_or("expected NAME=COMMAND")?;
        table.part(&format!("asked and checked by {name}"));
        let (command, job) = (command.to_owned(), job.clone());
        let said = tokio::task::spawn_blocking(move || said(&command, &job)).await??;
        for (step, expected) in STEPS {
            let seen = said.iter().find(|it| it.step == *step);
            let seen = seen.map_or("nothing", |it| &it.seen);
            table.row(step, expected, seen);
        }
    }
    table.end()
}

/// Runs a script with its job and returns what it says.
fn said(command: &str, job: &str) -> Result<Vec<Step>, Failure> {
    let mut words = command.split(' ');
    let mut child = Command::new(words.next().unwrap_or_default())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no stdin")?;
    input.write_all(job.as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let lines = String::from_utf8(output.stdout)?;
    let steps = lines.lines().map(serde_json::from_str);
    Ok(steps.collect::<Result<_, _>>()?)
}

fn key(name: &str) -> Result<SigningKey, Failure> {
    Ok(SigningKey::generate(Algorithm::Es256, provider::default())?.with_key_id(name))
}

fn published(key: &SigningKey) -> Result<JwkSet, Failure> {
    let keys: PublicJwkSet = [key.public_jwk().clone()].into_iter().collect();
    let keys = keys.to_json();
    let rules = SetRules::oauth();
    Ok(JwkSet::parse(keys.as_bytes(), &rules, provider::default())?)
}

/// Starts the token service and returns what a client needs: its key, and an access token of
/// another client for the resource that it serves.
async fn job() -> Result<Value, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let issuer = format!("http://{}", listener.local_addr()?);
    let (agent, gateway) = (key("agent")?, key("gateway")?);
    let authority = Authority::builder(&issuer, provider::default())
        .trust_domain(DOMAIN)
        .resource(Resource::new(TOOL).with_scopes([SCOPE]))
        .transactions(Arc::new(Orders))
        .client(Client::with_keys("agent", published(&agent)?).allow(TOOL, [SCOPE]))
        .client(Client::with_keys("gateway", published(&gateway)?).serves(TOOL))
        .build(now())?;
    let metadata = authority.oauth().metadata();
    let metadata = ServerMetadata::parse(metadata.as_bytes(), &Issuer::loopback(&issuer)?)?;
    tokio::spawn(Server::new(authority).serve(listener));

    let client = PrivateKeyJwt::new("agent".parse()?, Arc::new(agent));
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let source = TokenSource::new(metadata, client, fetcher);
    let token = source.token_for(&TOOL.parse()?, &SCOPE.parse()?).await?;
    let mut headers = HeaderMap::new();
    token.apply(&mut headers)?;
    let access_token = headers.get(AUTHORIZATION).ok_or("no access token")?;
    let access_token = access_token.to_str()?.trim_start_matches("Bearer ");
    let call = CallDigest::of("order", Some(br#"{"item":"book"}"#))?;
    Ok(json!({
        "issuer": issuer, "domain": DOMAIN, "client": "gateway", "kid": "gateway",
        "key": *gateway.to_pkcs8_pem(), "access_token": access_token, "subject": "agent",
        "call": call.to_string(),
    }))
}
