//! An MCP server whose clients know only its URL: they find the authorization server, register,
//! let the user authorize them, and call tools. One tool needs a further scope.
//!
//! ```text
//! cargo run -p example-mcp-server             # with an authority of its own
//! cargo run -p example-mcp-server -- ISSUER   # with another authorization server on loopback
//! ```
//!
//! The program prints `ready URL`, and ends when its standard input does.
//!
//! One tool calls a further service on behalf of the user, by token exchange (RFC 8693). That needs
//! the authority of its own.
//!
//! `server.rs` has the guard and its routes, `scopes.rs` the scopes of single tools, `tools.rs` the
//! tools, and `onward.rs` the call of the further service. `weather.rs` is that service, and
//! `authority.rs` the environment. The limit of connections is that of the example `tool`.

#![expect(
    clippy::print_stdout,
    reason = "it tells its URL to the program that started it"
)]

mod authority;
#[path = "../../tool/src/limits.rs"]
mod limits;
mod onward;
mod scopes;
mod server;
mod tools;
mod weather;

use std::io::Read as _;

use limits::Limited;
use onward::Onward;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    let given = std::env::args().nth(1);
    let (issuer, onward) = match given {
        Some(issuer) => (issuer, None),
        None => {
            let weather_listener = TcpListener::bind("127.0.0.1:0").await?;
            let weather = format!("http://{}/weather", weather_listener.local_addr()?);
            let authority = authority::start(&url, &weather).await?;
            let (routes, watch) = weather::routes(&weather, &authority.url).await?;
            tokio::spawn(async move {
                let _watch = watch;
                axum::serve(Limited::new(weather_listener, 256), routes).await
            });
            let onward = Onward::new(&authority, &url, &weather).await?;
            (authority.url, Some(onward))
        }
    };
    let (routes, _watch) = server::routes(&url, &issuer, onward).await?;
    tokio::spawn(async move { axum::serve(Limited::new(listener, 256), routes).await });
    println!("ready {url}");
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    ended.await??;
    Ok(())
}
