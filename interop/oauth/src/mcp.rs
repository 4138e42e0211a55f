//! The suite `mcp`: the example `mcp-server`, and the official SDKs as clients that know only its
//! URL. Then servers of the SDKs, and the project's agent, which knows only their URLs.

use std::process::Command;

use aims::fetch::Fetcher;
use aims::oauth_client::{ClientMetadata, Connector, Identities, Loopback};
use aims::oauth_wire::names::Issuer;

use crate::live::rows;
use crate::ours::servers::Servers;
use crate::peer::Peer;
use crate::table::Table;
use crate::{Failure, user};

/// The programs that the suite starts.
pub(crate) struct Programs<'a> {
    pub(crate) node: &'a str,
    /// A folder with the scripts.
    pub(crate) scripts: &'a str,
    /// The example.
    pub(crate) server: &'a str,
    /// The folder of the client and of the server in python, if python is there.
    pub(crate) python: Option<&'a str>,
}

/// Runs the suite.
pub(crate) async fn run(programs: Programs<'_>) -> Result<(), Failure> {
    let Programs {
        node,
        scripts,
        server,
        python,
    } = programs;
    let mut table = Table::new("mcp");
    let provider = Peer::start_with(node, &format!("{scripts}/mcp-provider.mjs"), &[])?;
    let of_provider = Peer::start_with(server, &provider.issuer, &[])?;
    let own = Peer::start_with(server, "", &[])?;
    let forecast = "rain for alice by mcp-server for the client";
    for (peer, at, forecast) in [
        (&of_provider, "oidc-provider", ""),
        (&own, "the example's own authority", forecast),
    ] {
        let clients = |mut client: Command| {
            // Only the authority exchanges tokens, for the tool that calls on.
            client
                .env("MCP", &peer.issuer)
                .env("FORECAST", forecast)
                .env("AT", at);
            client
        };
        let mut client = Command::new(node);
        client.arg(format!("{scripts}/client.mjs"));
        rows(clients(client), &mut table).await?;
        if let Some(folder) = python {
            let mut client = Command::new("python3");
            let browser = format!("{scripts}/browser.mjs");
            client
                .arg(format!("{folder}/client.py"))
                .env("NODE", node)
                .env("BROWSER", browser);
            rows(clients(client), &mut table).await?;
        }
    }
    drop((of_provider, own));
    let script = format!("{scripts}/mcp-server.mjs");
    let scope = "tools:call";
    let servers = Servers::start((node, &script), python, (&provider.issuer, scope), false)?;
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let identities = Identities::new().register(ClientMetadata::native("interop"));
    let browser = fetcher.clone();
    let connector = Connector::new(identities, fetcher.clone())
        .accept_issuers([Issuer::loopback(&provider.issuer)?])
        .by_user(Loopback::new(move |url| {
            user::open(&browser, url);
            Ok(())
        }));
    let rows = servers.rows("oidc-provider", scope, &connector, &fetcher, &mut table);
    rows.await?;
    table.end()
}
