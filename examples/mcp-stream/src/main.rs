//! An MCP server whose tool streams progress, and three agents that call it over streamable HTTP:
//! with an HTTP signature and an access token, with a WPT alone, and with a bearer token.
//!
//! The authority, the server and the agents run in one process and use real HTTP on loopback.
//!
//! ```text
//! cargo run -p example-mcp-stream          # each call takes 20 s
//! cargo run -p example-mcp-stream -- 2     # or 2 s
//! ```
//!
//! `server.rs` has the tool and its guards, `client.rs` the calls, and `authority.rs` the
//! environment. The program ends with an error if a step has an unexpected result.

#![expect(clippy::print_stdout, reason = "it is a program that tells a story")]

mod authority;
mod client;
mod server;

use std::time::Duration;

use aims::fetch::Fetcher;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PLANNER: &str = "spiffe://example.org/agent/planner";
const LEGACY: &str = "spiffe://example.org/agent/legacy";
const AGENTS: &str = "spiffe://example.org/agent/*";
const SCOPE: &str = "tools:call";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let seconds = std::env::args().nth(1);
    let seconds = seconds.map_or(Ok(20), |it| it.parse::<u32>());
    let seconds = seconds.map_err(|_error| "the argument is how many seconds a call takes")?;
    // Requests go only to this machine.
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let authority = authority::start(&base).await?;
    let identity = authority.enrol(&fetcher).await?;
    let _serving = server::start(listener, &base, &authority, &fetcher).await?;
    println!("authority  {}\nserver     {base}\n", authority.url);

    let agents = [
        (
            "signature and token",
            client::signing(&base, &authority, &identity, &fetcher).await?,
        ),
        ("WPT alone", client::by_wpt(&base, &identity, &fetcher)?),
        (
            "bearer token",
            client::bearer(&base, &authority, &identity, &fetcher).await?,
        ),
    ];
    // A call takes long, so all agents call at the same time.
    let calls = agents.map(|(name, (agent, url))| {
        tokio::spawn(async move { client::call(name, agent, url, seconds).await })
    });
    let limit = Duration::from_secs(u64::from(seconds).saturating_add(60));
    for call in calls {
        tokio::time::timeout(limit, call).await???;
    }
    println!("\nEach agent was let in by its own evidence, and saw the progress while it ran.");
    Ok(())
}
