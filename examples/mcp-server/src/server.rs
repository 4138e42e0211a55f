//! The guard of the MCP server, and its routes.

use std::sync::Arc;

use aims::fetch::Fetcher;
use aims::keys::{PublishedKeys, Watch};
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use aims::{Guard, Requirements};
use axum::Router;
use axum::middleware::from_fn_with_state;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;

use crate::Failure;
use crate::onward::Onward;
use crate::scopes::{CALL, check};
use crate::tools::Tools;

/// Returns the routes of the server at this URL: the guarded MCP endpoint, and the metadata by
/// which clients find the issuer (RFC 9728). The keys stay fresh as long as the second value lives.
pub(crate) async fn routes(
    url: &str,
    issuer: &str,
    onward: Option<Onward>,
) -> Result<(Router, Watch), Failure> {
    let issuer = Issuer::loopback(issuer)?;
    // Requests go only to this machine.
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let keys = PublishedKeys::builder(Arc::new(fetcher), aims::jose::provider::default());
    let keys = keys.issuer(issuer.clone()).build();
    keys.load().await?;
    let watch = keys.watch();

    let metadata = ResourceMetadata::new(Resource::loopback(url)?);
    // Clients of MCP have no key to prove, so the tokens are bearer tokens.
    let guard = Guard::builder(url)
        .keys(&keys)
        .metadata(metadata.with_authorization_server(issuer))
        .require(Requirements::new().scopes(CALL.parse()?).accept_bearer())
        .build()?;
    let mcp = Router::new().route_service("/mcp", service(onward));
    // The layer that is added last is the first to see a request.
    let mcp = mcp.layer(from_fn_with_state(guard.clone(), check));
    let mcp = mcp.layer(guard.layer());
    Ok((mcp.merge(guard.metadata_routes()), watch))
}

fn service(onward: Option<Onward>) -> StreamableHttpService<Tools, LocalSessionManager> {
    let tools = move || Ok(Tools(onward.clone()));
    StreamableHttpService::new(tools, Arc::default(), Default::default())
}
