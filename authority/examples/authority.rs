//! A standalone authority on loopback. It prints how to use it:
//!
//!     cargo run -p aims-authority --example authority -- 8080

use std::time::Duration;

use aims_authority::{Authority, Client, Enrolment, Resource, Server};
use aims_jose::time::{Clock as _, SystemClock};
use aims_jose::{provider, random};
use tokio::net::TcpListener;

const TOOL: &str = "http://127.0.0.1:9000";

#[tokio::main(flavor = "current_thread")]
#[expect(
    clippy::print_stdout,
    reason = "it is a program, and this is what it is for"
)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args()
        .nth(1)
        .map_or(Ok(8080), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let base = format!("http://{}", listener.local_addr()?);
    let token = Enrolment::random_token(random::SYSTEM)?;
    let agent = "spiffe://example.org/agent";
    let authority = Authority::builder(&base, provider::AWS_LC)
        .trust_domain("example.org")
        .enrol(Enrolment::by_token(agent.parse()?, &token)?)
        .resource(Resource::new(TOOL).with_scopes(["tools:call"]))
        .client(Client::spiffe(agent.parse()?).allow(TOOL, ["tools:call"]))
        .build(SystemClock::new().now())?;
    println!("authority      {base}");
    println!("agent          {agent}");
    println!("enrols with    {}  (once)", token.expose());
    println!("tool           {TOOL}, scope tools:call");
    println!();
    println!("    curl {base}/identity/bundle");
    println!("    curl {base}/.well-known/oauth-authorization-server");
    println!("    curl -X POST {base}/identity/challenge");
    println!();
    println!("Keys and enrolments are in memory and gone when this program ends: Ctrl-C.");
    let server = Server::new(authority).rotating_every(Duration::from_secs(3_600));
    Ok(server.serve(listener).await?)
}
