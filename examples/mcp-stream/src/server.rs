//! The MCP server: a slow tool behind guards.

use std::sync::Arc;
use std::time::Duration;

use aims::fetch::Fetcher;
use aims::guard::{Guard, HttpSignatures};
use aims::keys::{PublishedKeys, Watch};
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use aims::{Principal, Requirements};
use axum::Router;
use rmcp::handler::server::common::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ProgressNotificationParam, RequestMetaObject};

use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler, schemars, serde, tool, tool_handler, tool_router,
};

use tokio::net::TcpListener;

use crate::authority::Authority;
use crate::{AGENTS, Failure, SCOPE};

#[derive(Clone, Debug)]
pub(crate) struct Counter;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "rmcp::serde")]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Count {
    seconds: u32,
}

#[tool_router]
impl Counter {
    /// Counts seconds, and reports who called.
    #[tool]
    async fn count(
        &self,
        Parameters(count): Parameters<Count>,
        Extension(request): Extension<http::request::Parts>,
        meta: RequestMetaObject,
        client: Peer<RoleServer>,
    ) -> Result<String, ErrorData> {
        // These two lines connect rmcp with the guard, which has inserted the caller.
        let who = request.extensions.get::<Principal>();
        let who = who.ok_or_else(|| ErrorData::internal_error("there is no guard", None))?;
        for second in 1..=count.seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Some(token) = meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, f64::from(second));
                let progress = progress.with_total(f64::from(count.seconds));
                drop(client.notify_progress(progress).await);
            }
        }
        Ok(format!(
            "counted for {}, proven by {:?}",
            who.subject(),
            who.proof_methods().collect::<Vec<_>>()
        ))
    }
}

#[tool_handler]
impl ServerHandler for Counter {}

/// Starts the server: `/mcp` requires a token, `/agents` only the identity of an agent.
pub(crate) async fn start(
    listener: TcpListener,
    base: &str,
    authority: &Authority,
    fetcher: &Fetcher,
) -> Result<Watch, Failure> {
    let issuer = Issuer::loopback(&authority.url)?;
    let bundle = format!("{}/identity/bundle", authority.url);
    let provider = aims::jose::provider::default();
    let keys = PublishedKeys::builder(Arc::new(fetcher.clone()), provider);
    let keys = keys.bundle("spiffe://example.org".parse()?, &bundle)?;
    let keys = keys.issuer(issuer.clone()).build();
    keys.load().await?;
    let watch = keys.watch();

    let tool = format!("{base}/mcp");
    let metadata = ResourceMetadata::new(Resource::loopback(&tool)?);
    let tokens = Guard::builder(tool)
        .keys(&keys)
        .metadata(metadata.with_authorization_server(issuer))
        .http_signatures(HttpSignatures::new())
        .require(Requirements::new().scopes(SCOPE.parse()?).accept_bearer())
        .build()?;
    // This route requires only the identity.
    let agents = Guard::builder(format!("{base}/agents"))
        .trust(keys.trust())
        .require(Requirements::new().agents(AGENTS.parse()?))
        .build()?;

    let by_identity = Router::new().route_service("/agents", mcp());
    let router = Router::new()
        .route_service("/mcp", mcp())
        .layer(tokens.layer())
        .merge(by_identity.layer(agents.layer()))
        .merge(tokens.metadata_routes());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(watch)
}

fn mcp() -> StreamableHttpService<Counter, LocalSessionManager> {
    StreamableHttpService::new(|| Ok(Counter), Arc::default(), Default::default())
}
