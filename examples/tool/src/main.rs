//! A tool that agents call. It has no password, no API key and no list of users. It has the URL of
//! the authority that it trusts, and the requirements of each route.
//!
//! ```text
//! cargo run -p aims-cli -- authority serve \
//!     --agent spiffe://example.org/agent=agent.token --resource "http://127.0.0.1:8402/mcp tools:call"
//! cargo run -p example-tool
//! ```
//!
//! `AUTHORITY_URL` and `TOOL_URL` change the defaults. The README explains each step.

#![expect(
    clippy::print_stdout,
    reason = "it is a program that says what it does"
)]

mod limits;
mod story;

use std::process::ExitCode;
use std::sync::Arc;

use aims::fetch::Fetcher;
use aims::guard::HttpSignatures;
use aims::jose::Chain;
use aims::{Guard, Principal, Requirements};
use axum::Router;
use axum::routing::{get, post};
use limits::Limited;
use story::Story;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(failure) = run().await else {
        return ExitCode::SUCCESS;
    };
    // Print the error with all its causes.
    eprintln!("tool       {}", Chain(&*failure));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Failure> {
    let authority = setting("AUTHORITY_URL", "http://127.0.0.1:8400");
    let tool = setting("TOOL_URL", "http://127.0.0.1:8402/mcp");

    // 1. The guard. It has the URL by which callers address the tool, and never takes it from a
    //    request: a proof for another tool is refused, whatever the `Host` field says. A caller
    //    must present an access token of the issuer with this scope, and prove that it holds the
    //    key of its identity. The bundle has the keys that sign the identities of the agents in
    //    the authority's trust domain. `start` fetches these keys and those of the issuer, and
    //    keeps them fresh. These URLs decide who can call the tool, so outside of a tutorial use
    //    `https`: without `allow_loopback_http`, the fetcher accepts nothing else. The guard also
    //    publishes metadata, which tell an agent without a token where to get one (RFC 9728).
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let bundle = format!("{authority}/identity/bundle");
    let guard = Guard::builder(tool.as_str())
        .issuer(&authority)?
        .bundle("spiffe://example.org".parse()?, bundle)
        .scopes("tools:call")?
        .http_signatures(HttpSignatures::new())
        .record(Story)
        .fetch(Arc::new(fetcher))
        .start()
        .await
        .map_err(|error| {
            let why = Chain(&error);
            format!("no keys to trust: {why}\nis `aims authority serve` running at {authority}?")
        })?;

    // 2. `/admin` has its own requirements, which replace those of the other routes. So the scope
    //    is repeated, and the identity of an administrator is required in addition. The rest is
    //    shared: the issuers, and the store of spent proofs.
    let admins = Requirements::new()
        .scopes("tools:call".parse()?)
        .agents("spiffe://example.org/admin/*".parse()?);
    let admin = guard.requiring(admins)?;

    // 3. The routes. Everything above `.layer(..)` is guarded, even unknown paths: they answer 401,
    //    and 404 only to an accepted caller. A challenge names the scope that a route requires.
    //    Here all routes require the same one, so a challenge does not reveal which paths exist.
    //    The layer also serves the metadata. Routes below `.layer(..)` need their own layer, as
    //    `/admin` has; otherwise they are open to everyone. A handler that takes a `Principal`
    //    answers 500 without a guard.
    let (path, address) = path_and_address(&tool)?;
    let router = Router::new()
        .route(&format!("{path}/whoami"), get(whoami))
        .route(&format!("{path}/call"), post(call))
        .layer(guard.layer())
        .route(
            &format!("{path}/admin"),
            post(close_down).layer(admin.layer()),
        );

    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("tool       {tool}, trusts {authority}");
    // `axum::serve` has no limits of its own. With this listener, idle and slow connections keep no
    // client waiting. It has no time-outs: the README says what that means.
    axum::serve(Limited::new(listener, 256), router)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}

/// Returns the caller's identity and its access token. The guard has checked that both name one
/// agent, and that it holds the key of both.
async fn whoami(who: Principal) -> String {
    let agent = who.agent().map_or("none", |agent| agent.as_str());
    let client = who.client().unwrap_or("none");
    format!("you are {agent}, with a token for {client}")
}

/// The work of the tool. The handler has no checks: only callers that have proven their identity
/// and may call reach it.
async fn call(who: Principal) -> String {
    format!("6 times 7 is 42, {}", who.subject())
}

/// A route for administrators only.
async fn close_down(who: Principal) -> String {
    format!("closed, on behalf of {}", who.subject())
}

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_not_set| otherwise.to_owned())
}

/// Splits a URL such as `http://127.0.0.1:8402/mcp` into the path `/mcp` and the address
/// `127.0.0.1:8402`.
fn path_and_address(url: &str) -> Result<(String, String), Failure> {
    let rest = url
        .strip_prefix("http://")
        .ok_or("the tool listens on loopback: `http://127.0.0.1:…`")?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = match path {
        "" => String::new(),
        path => format!("/{path}"),
    };
    Ok((path, address.to_owned()))
}
