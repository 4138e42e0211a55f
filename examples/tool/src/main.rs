//! A tool that agents call. It holds no password, no API key and no list of users: it knows which
//! authority it trusts, and what each route requires.
//!
//! ```text
//! cargo run -p aims-cli -- authority serve \
//!     --agent spiffe://example.org/agent=agent.token --resource "http://127.0.0.1:8402/mcp tools:call"
//! cargo run -p example-tool
//! ```
//!
//! `AUTHORITY_URL` and `TOOL_URL` say otherwise. The README has the whole walk.

#![expect(
    clippy::print_stdout,
    reason = "it is a program that says what it does"
)]

mod server;
mod story;

use std::process::ExitCode;
use std::sync::Arc;

use aims::fetch::Fetcher;
use aims::guard::HttpSignatures;
use aims::jose::{Chain, provider};
use aims::keys::PublishedKeys;
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use aims::{Guard, Principal, Requirements};
use axum::Router;
use axum::routing::{get, post};
use server::Limits;
use story::Story;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(failure) = run().await else {
        return ExitCode::SUCCESS;
    };
    // In words, each cause after what it led to.
    eprintln!("tool       {}", Chain(&*failure));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Failure> {
    let authority = setting("AUTHORITY_URL", "http://127.0.0.1:8400");
    let tool = setting("TOOL_URL", "http://127.0.0.1:8402/mcp");

    // 1. Whom to trust. An authority publishes two things: the keys that vouch for the agents of
    //    its trust domain (the bundle), and the keys that sign its access tokens, which the
    //    metadata of the issuer names. They are fetched now, and again whenever they are due, as
    //    long as the keys are in use. What is at these URLs decides who gets in, so outside of a
    //    tutorial they are `https`, and `Issuer` and `Fetcher` take nothing else unless told so by
    //    a word.
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let issuer = Issuer::loopback(&authority)?;
    let keys = PublishedKeys::builder(Arc::new(fetcher), provider::default())
        .bundle(
            "spiffe://example.org".parse()?,
            &format!("{authority}/identity/bundle"),
        )?
        .issuer(issuer.clone())
        .build();
    keys.load().await.map_err(|error| {
        let why = Chain(&error);
        format!("no keys to trust: {why}\nis `aims authority serve` running at {authority}?")
    })?;
    keys.watch();

    // 2. What is published: where an agent that comes without a token can get one (RFC 9728).
    let metadata = ResourceMetadata::new(Resource::loopback(&tool)?);
    let metadata = metadata.with_authorization_server(issuer);

    // 3. The guard. It is given the URL by which callers know the tool, and never asks a request
    //    for it: a proof that was made for another tool is worth nothing here, whatever the `Host`
    //    field says. Whoever calls must bring an access token of the issuer and prove that it holds
    //    the key of its identity; where a route says nothing else, the token must have this scope.
    let guard = Guard::builder(tool.as_str())
        .keys(&keys)
        .metadata(metadata)
        .require(Requirements::new().scopes("tools:call".parse()?))
        .http_signatures(HttpSignatures::new())
        .record(Story)
        .build()?;

    // 4. `/admin` requires something else, and that stands instead of what the others require: so
    //    the scope is said again, and beside it the identity of an administrator. All else is
    //    shared, the need for an access token as well, and the memory of proofs: none is good
    //    twice.
    let admins = Requirements::new()
        .scopes("tools:call".parse()?)
        .agents("spiffe://example.org/admin/*".parse()?);
    let admin = guard.requiring(admins)?;

    // 5. The routes. What stands above `.layer(..)` is guarded, and so is what is not there: an
    //    unknown path answers 401, and 404 only to whom the guard lets in. A challenge names the
    //    scope that a route requires; here it is one for all, so that strangers do not learn from
    //    it which paths there are. The layer serves the metadata as well. What stands below has the
    //    layer that it brings, as `/admin` does, or is open to everybody. A handler that takes a
    //    `Principal` answers nobody without a guard: only a guard can make one.
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
    let end = async { drop(tokio::signal::ctrl_c().await) };
    server::serve(listener, router, Limits::USUAL, end).await;
    Ok(())
}

/// Who the caller is, by its identity and by its access token. The guard has seen to it that both
/// name one agent, and that it holds the key of both.
async fn whoami(who: Principal) -> String {
    let agent = who.agent().map_or("nobody", |agent| agent.as_str());
    let client = who.client().unwrap_or("nobody");
    format!("you are {agent}, with a token for {client}")
}

/// The tool's work. The handler asks for nothing: who did not prove who it is, or has no right to
/// call, does not get here.
async fn call(who: Principal) -> String {
    format!("6 times 7 is 42, {}", who.subject())
}

/// For administrators alone.
async fn close_down(who: Principal) -> String {
    format!("closed, on behalf of {}", who.subject())
}

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_not_set| otherwise.to_owned())
}

/// `http://127.0.0.1:8402/mcp` is at `/mcp`, and listens at `127.0.0.1:8402`.
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
