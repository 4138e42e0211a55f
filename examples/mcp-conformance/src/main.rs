//! An MCP client whose authorization the official conformance suite tests (npm
//! `@modelcontextprotocol/conformance`).
//!
//! ```text
//! npx @modelcontextprotocol/conformance@0.1.16 client --suite auth \
//!     --command target/debug/example-mcp-conformance
//! ```
//!
//! The suite starts a server for each scenario and runs this program with its URL as the argument.
//! `MCP_CONFORMANCE_CONTEXT` has the credentials of a scenario. The program knows nothing else: the
//! agent finds the authorization server and the grant by itself. `mcp.rs` has the MCP messages.

#![expect(
    clippy::print_stdout,
    reason = "it is a program that tells what it does"
)]

mod context;
mod mcp;

use aims::Agent;
use aims::fetch::{Fetch as _, Fetcher};
use aims::oauth_client::{Connector, Loopback};
use aims::oauth_wire::names::Resource;
use context::Context;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().next_back().ok_or("expected a URL")?;
    let tool: Resource = url.parse().or_else(|_not_https| Resource::loopback(&url))?;
    // The servers of the suite are on this machine.
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let context = Context::from_env()?;
    let connector = Connector::new(context.identities()?, fetcher.clone())
        // The suite has a new server for each scenario, on a new port.
        .accept_any_issuer()
        .accept_broader_resource()
        .accept_servers_without_resource_metadata()
        .on_progress(|progress| println!("{progress:?}"));
    let connector = context.grants(connector, &fetcher).await?;
    let connector = connector.by_user(Loopback::new(visit));
    let agent = Agent::without_identity().connect(tool.clone(), connector);
    let agent = agent.fetcher(fetcher).build()?;
    mcp::session(&agent, tool.as_str()).await
}

/// Visits the authorization server in place of a user: the suite agrees to everything.
fn visit(url: &str) -> Result<(), Failure> {
    let browser = Fetcher::builder().allow_loopback_http().redirects(5);
    let (browser, mut request) = (browser.build()?, http::Request::new(Vec::new()));
    *request.uri_mut() = url.parse()?;
    tokio::spawn(async move {
        match browser.send(request).await {
            Ok(page) => println!("the browser ended with {}", page.status()),
            Err(error) => println!("the browser failed: {error}"),
        }
    });
    Ok(())
}
