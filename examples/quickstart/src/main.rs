//! An agent gets its identity and a token, and calls a protected tool. Then the program tries
//! attacks, which must all fail.
//!
//! An authority, a tool and two agents run in one process and use real HTTP on loopback.
//!
//!     cargo run -p example-quickstart
//!
//! The program ends with an error if a step has an unexpected result.

#![expect(clippy::print_stdout, reason = "it is a program that tells a story")]

mod attacks;
mod signed;
mod world;

use aims::fetch::Fetcher;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use http::Request;
use tokio::net::TcpListener;
use world::{Failure, Reasons, World};

const AGENT: &str = "spiffe://example.org/agent/planner";
const OTHER: &str = "spiffe://example.org/agent/intern";
/// The identity of the tool, with which it signs its answers.
const TOOL: &str = "spiffe://example.org/tool";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let tool = format!("http://{}/mcp", listener.local_addr()?);
    let identity_key = SigningKey::generate(Algorithm::Es256, world::provider())?;
    let identity_key = identity_key.with_key_id("quickstart");

    let names = [AGENT, OTHER, TOOL];
    let (authority, tokens) = world::start_authority(names, &tool, &identity_key).await?;
    println!("authority  {authority}\ntool       {tool}\n");

    let mut holders = Vec::new();
    for (name, token) in names.into_iter().zip(tokens) {
        let holder = world::enrol(&authority, token, &fetcher).await?;
        println!("enrolled   {name}, WIT {}", holder.wit.fingerprint());
        holders.push(holder);
    }
    let [planner, intern, itself] = holders.as_slice() else {
        return Err("two agents and the tool enrol".into());
    };
    let parties = (listener, itself);
    let reasons = Reasons::default();
    let trust = world::start_tool(parties, &tool, &authority, &fetcher, reasons.clone()).await?;
    let (agent, source) = world::agent(planner, &tool, &authority, &fetcher).await?;
    let answer = agent
        .send(Request::post(format!("{tool}/call")).body(String::new())?)
        .await?;
    let (head, body) = answer.into_parts();
    let body = String::from_utf8_lossy(&body.bytes(1024 * 1024).await?).into_owned();
    println!("called     {tool}/call: {} {body}\n", head.status.as_u16());
    if reasons.take() != "accepted" || body != format!("done for {AGENT}") {
        return Err("the agent was not let in".into());
    }

    let world = World {
        authority,
        tool,
        fetcher,
        trust,
        reasons,
        identity_key,
    };
    let wrong = attacks::run(&world, planner, intern, &source).await?;
    if wrong > 0 {
        return Err(format!("{wrong} steps did not go as they should").into());
    }
    println!("\nThe agent's own calls were let in, and everything else was refused.");
    Ok(())
}
