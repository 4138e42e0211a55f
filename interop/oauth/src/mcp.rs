//! The suite `mcp`: the example `mcp-server`, and the official SDKs as clients that know only its
//! URL.

use std::process::Command;

use crate::Failure;
use crate::live::rows;
use crate::peer::Peer;
use crate::table::Table;

/// The programs that the suite starts.
pub(crate) struct Programs<'a> {
    pub(crate) node: &'a str,
    /// A folder with the scripts.
    pub(crate) scripts: &'a str,
    /// The example.
    pub(crate) server: &'a str,
    /// The client in python, if there is one.
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
        if let Some(script) = python {
            let mut client = Command::new("python3");
            let browser = format!("{scripts}/browser.mjs");
            client.arg(script).env("NODE", node).env("BROWSER", browser);
            rows(clients(client), &mut table).await?;
        }
    }
    table.end()
}
