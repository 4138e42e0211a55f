//! A tool of a real MCP server whose calls a person approves: rmcp's client, our transport, the
//! authority and the server use HTTP on this machine.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../../aims/tests/person/mod.rs"]
mod person;

use std::sync::{Arc, Mutex};

use aims::fetch::Fetcher;
use aims::guard::CallReader;
use aims::jose::provider;
use aims::jose::time::{SystemClock, UnixTime};
use aims::oauth_client::{ByBrowser, Connector, Identities, KnownServer};
use aims::oauth_wire::client_auth::PublicClient;
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use aims::record::{Event, Record};
use aims::{Agent, Guard, Principal, Requirements};
use aims_authority::{Authority, Client, DevUser, Server, ToolDetails};
use axum::Router;
use person::Browser;
use rmcp::handler::server::common::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::CallToolRequestParams;
use rmcp::service::RunningService;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{
    ErrorData, RoleClient, ServerHandler, ServiceError, ServiceExt as _, schemars, serde, tool,
    tool_handler, tool_router,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A bank with one tool that needs an approval, and one that needs none. It counts the transfers.
#[derive(Clone, Debug, Default)]
struct Bank(Arc<Mutex<Vec<u32>>>);

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "rmcp::serde")]
#[schemars(crate = "rmcp::schemars")]
struct Transfer {
    amount: u32,
}

#[tool_router]
impl Bank {
    /// Transfers money.
    #[tool]
    async fn transfer(
        &self,
        Parameters(transfer): Parameters<Transfer>,
        Extension(request): Extension<http::request::Parts>,
    ) -> Result<String, ErrorData> {
        let who = request.extensions.get::<Principal>();
        let who = who.ok_or_else(|| ErrorData::internal_error("there is no guard", None))?;
        self.0.lock().unwrap().push(transfer.amount);
        Ok(format!("{} for {}", transfer.amount, who.subject()))
    }

    /// Returns the balance.
    #[tool]
    async fn balance(&self) -> String {
        "100".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Bank {}

/// Keeps the codes of all refusals.
#[derive(Clone, Debug, Default)]
struct Codes(Arc<Mutex<Vec<String>>>);

impl Record for Codes {
    fn record(&self, event: &Event<'_>) {
        let code = event.code.map(String::from);
        self.0.lock().unwrap().extend(code);
    }
}

struct World {
    bank: Bank,
    codes: Codes,
    /// The browser of the approvals.
    browser: Browser,
    client: RunningService<RoleClient, ()>,
}

/// Starts the authority, the server, and a client whose person decides like this.
async fn world(decision: &'static str, asks: bool) -> World {
    let fetcher = Fetcher::builder().allow_loopback_http().build().unwrap();
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tool = format!("http://{}/mcp", listening.local_addr().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::public("agent")
        .redirect_uri("http://127.0.0.1/callback")
        .allow(&tool, ["tools:call"])
        .allow_details("aims_tool");
    let authority = Authority::builder(&base, provider::default())
        .trust_domain("example.org")
        .resource(aims_authority::Resource::new(&*tool).with_scopes(["tools:call"]))
        .users(Arc::new(DevUser::new("alice")))
        .authorization_details(Arc::new(ToolDetails))
        .client(client)
        .build(UnixTime::now())
        .unwrap();
    tokio::spawn(Server::new(authority).serve(listener));

    let issuer = Issuer::loopback(&base).unwrap();
    let (bank, codes) = (Bank::default(), Codes::default());
    let resource = Resource::loopback(&tool).unwrap();
    let metadata = ResourceMetadata::new(resource.clone());
    let requirements = Requirements::new().scopes("tools:call".parse().unwrap());
    let guard = Guard::builder(&*tool)
        .issuer(&base)
        .unwrap()
        .metadata(metadata.with_authorization_server(issuer.clone()))
        .require(requirements.approved_tools(["transfer"]).accept_bearer())
        .accept_proofs_before_start()
        .record(codes.clone())
        .fetch(Arc::new(fetcher.clone()))
        .start()
        .await
        .unwrap();
    let serving = bank.clone();
    let service: StreamableHttpService<Bank, LocalSessionManager> = StreamableHttpService::new(
        move || Ok(serving.clone()),
        Arc::default(),
        Default::default(),
    );
    let router = Router::new()
        .route_service("/mcp", service)
        .layer(guard.call_layer(CallReader::mcp()))
        .merge(guard.metadata_routes());
    tokio::spawn(async move { axum::serve(listening, router).await });

    let clock = SystemClock::new();
    let known = KnownServer::discover(&issuer, &fetcher, &clock).await;
    let server = known.unwrap().server();
    let public = PublicClient::new("agent".parse().unwrap());
    let browser = Browser::new(fetcher.clone(), &base, decision);
    let approval = ByBrowser::new(public.clone(), server, fetcher.clone(), browser.clone());
    let identities = Identities::new().registered(issuer.clone(), public);
    let connector = Connector::new(identities, fetcher.clone())
        .accept_issuers([issuer])
        .by_user(Browser::new(fetcher.clone(), &base, "allow"));
    let mut agent = Agent::without_identity()
        .fetcher(fetcher)
        .connect(resource.clone(), connector);
    if asks {
        agent = agent.approval(resource, approval);
    }
    let transport = aims_rmcp::transport(agent.build().unwrap(), tool);
    World {
        bank,
        codes,
        browser,
        client: ().serve(transport).await.unwrap(),
    }
}

impl World {
    async fn call(&self, tool: &'static str, arguments: Value) -> Result<String, ServiceError> {
        let call = CallToolRequestParams::new(tool);
        let call = call.with_arguments(arguments.as_object().unwrap().clone());
        let answer = self.client.call_tool(call).await?;
        let answer = serde_json::to_value(&answer).unwrap();
        Ok(answer["content"][0]["text"].as_str().unwrap().to_owned())
    }

    fn transfers(&self) -> Vec<u32> {
        self.bank.0.lock().unwrap().clone()
    }

    fn refusals(&self, code: &str) -> usize {
        let codes = self.codes.0.lock().unwrap();
        codes.iter().filter(|it| *it == code).count()
    }
}

/// CIBA-13, T-113: each call of the tool is approved for itself and made once; the other tool and
/// the messages of the protocol need no approval.
#[tokio::test]
async fn a_call_is_made_when_a_person_has_approved_it() {
    let world = world("allow", true).await;
    assert_eq!(world.call("balance", json!({})).await.unwrap(), "100");
    assert!(world.browser.pages().is_empty());
    for (amount, asked) in [(5, 1), (5, 2), (6, 3)] {
        let answer = world.call("transfer", json!({ "amount": amount })).await;
        assert_eq!(answer.unwrap(), format!("{amount} for alice"));
        let pages = world.browser.pages();
        assert_eq!(pages.len(), asked);
        let shown = format!("<dt>Argument amount</dt><dd><pre>{amount}</pre>");
        let last = pages.last().unwrap();
        assert!(last.contains(&shown), "{last}");
    }
    assert_eq!(world.transfers(), [5, 5, 6]);
    assert_eq!(world.refusals("guard.approval"), 3);
    assert_eq!(world.call("balance", json!({})).await.unwrap(), "100");
    assert_eq!(world.browser.pages().len(), 3);
}

/// A person who denies ends the call, and the connection goes on.
#[tokio::test]
async fn a_call_that_a_person_denies_is_not_made() {
    let world = world("deny", true).await;
    let error = world.call("transfer", json!({"amount": 5})).await;
    let error = format!("{:?}", error.unwrap_err());
    assert!(error.contains("access_denied"), "{error}");
    assert_eq!(
        (world.transfers(), world.browser.pages().len()),
        (vec![], 1)
    );
    assert_eq!(world.call("balance", json!({})).await.unwrap(), "100");
}

/// Without a way to ask, the refusal of the tool is the error.
#[tokio::test]
async fn a_call_without_a_way_to_ask_is_refused() {
    let world = world("allow", false).await;
    assert!(world.call("transfer", json!({"amount": 5})).await.is_err());
    assert_eq!(
        (world.transfers(), world.browser.pages().len()),
        (vec![], 0)
    );
    assert_eq!(world.refusals("guard.approval"), 1);
}
