//! An MCP server whose clients know only its URL: they find the authorization server, register,
//! let the user authorize them, and call tools. One tool needs a further scope.
//!
//! ```text
//! cargo run -p example-mcp-server             # with an authority of its own
//! cargo run -p example-mcp-server -- ISSUER   # with another authorization server on loopback
//! ```
//!
//! The program prints `ready URL` and, for its own authority, the identifier of a client that it
//! knows. It ends when its standard input does.
//!
//! `server.rs` has the guard and its routes, `scopes.rs` the scopes of single tools, `tools.rs` the
//! tools, and `authority.rs` the environment.

#![expect(
    clippy::print_stdout,
    reason = "it tells its URL to the program that started it"
)]

mod authority;
mod scopes;
mod server;
mod tools;

use std::io::Read as _;

use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    let given = std::env::args().nth(1);
    let (issuer, client) = match given {
        Some(issuer) => (issuer, ""),
        None => (authority::start(&url).await?, authority::CLIENT),
    };
    let (routes, _watch) = server::routes(&url, &issuer).await?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    println!("ready {url} {client}");
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    ended.await??;
    Ok(())
}
