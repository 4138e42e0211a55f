//! An authorization server of its own, for a user who is always signed in.

use std::sync::Arc;

use aims::jose::provider;
use aims::jose::time::{Clock as _, SystemClock};
use aims_authority::{Authority, Client, DevUser, Resource, Server};
use tokio::net::TcpListener;

use crate::Failure;
use crate::scopes::ADMIN;

/// The client that the authority knows, for programs that do not register themselves.
pub(crate) const CLIENT: &str = "mcp-client";

/// Starts the authority for the MCP server at this URL. Returns its own URL.
pub(crate) async fn start(server: &str) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let scopes = || ADMIN.split(' ');
    // A client on the user's machine has no secret. Its redirect URI may have any port.
    let client = Client::public(CLIENT)
        .name("a client of MCP")
        .redirect_uri("http://127.0.0.1/callback")
        .allow(server, scopes());
    let authority = Authority::builder(&url, provider::default())
        .trust_domain("example.org")
        .resource(Resource::new(server).with_scopes(scopes()))
        .users(Arc::new(DevUser::new("alice")))
        .client(client)
        .build(SystemClock::new().now())?;
    tokio::spawn(Server::new(authority).serve(listener));
    Ok(url)
}
