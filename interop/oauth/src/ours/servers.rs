//! MCP servers of the official SDKs, and the project's agent, which knows their URLs and calls
//! their tool.

use aims::Agent;
use aims::fetch::{Fetch as _, Fetcher};
use aims::oauth_client::Connector;
use aims::oauth_wire::challenge::Challenges;
use aims::oauth_wire::names::Resource;
use http::Request;
use serde_json::{Value, json};

use super::provider::initialize;
use crate::Failure;
use crate::agent::outcome;
use crate::peer::Peer;
use crate::table::Table;

/// The name of an SDK, its audience at Keycloak, and its running server.
type Server = (&'static str, &'static str, Peer);

/// The servers, which accept tokens of one issuer.
pub(crate) struct Servers(Vec<Server>);

impl Servers {
    /// Starts `NODE SCRIPT`, and `python3 server.py` of a folder. Tokens are for the URL of the
    /// server, or for its name if that counts.
    pub(crate) fn start(
        (node, script): (&str, &str),
        python: Option<&str>,
        (issuer, scope): (&str, &str),
        by_name: bool,
    ) -> Result<Self, Failure> {
        let start = |program: &str, script: &str, sdk, name| -> Result<Server, Failure> {
            let audience = if by_name { name } else { "" };
            let settings = [("ISSUER", issuer), ("AUDIENCE", audience), ("SCOPE", scope)];
            Ok((sdk, name, Peer::start_with(program, script, &settings)?))
        };
        let npm = "npm @modelcontextprotocol/sdk";
        let mut all = vec![start(node, script, npm, "mcp-npm")?];
        if let Some(folder) = python {
            let script = format!("{folder}/server.py");
            all.push(start("python3", &script, "PyPI mcp", "mcp-pypi")?);
        }
        Ok(Self(all))
    }

    /// Returns the audiences with the URLs, as a JSON object.
    pub(crate) fn resources(&self) -> String {
        let all = self.0.iter().map(|(_, name, peer)| (*name, &peer.issuer));
        let all: std::collections::BTreeMap<_, _> = all.collect();
        json!(all).to_string()
    }

    /// Adds the rows of an agent that gets into each server by this connector.
    pub(crate) async fn rows(
        &self,
        at: &str,
        scopes: &str,
        connector: &Connector,
        fetcher: &Fetcher,
        table: &mut Table,
    ) -> Result<(), Failure> {
        for (sdk, _, peer) in &self.0 {
            table.part(&format!("the project's agent at a server of {sdk}; {at}"));
            let url = &peer.issuer;
            let status = fetcher.send(initialize(url)?).await?.status();
            table.row("a call without a token", "401", status.as_str());
            let tool = Resource::loopback(url)?;
            let agent = Agent::without_identity().connect(tool.clone(), connector.clone());
            let agent = agent.fetcher(fetcher.clone()).build()?;
            let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": {"name": "interop", "version": "1"}});
            let seen = match call(&agent, url, "initialize", hello).await {
                Ok((status, _)) => status,
                Err(error) => outcome::<()>(Err(error)),
            };
            table.row("the agent finds its way, and calls", "200", &seen);
            let asked = json!({"name": "who", "arguments": {}});
            let (_, told) = call(&agent, url, "tools/call", asked).await?;
            let text = told.pointer("/result/content/0/text");
            let text = text.and_then(Value::as_str).unwrap_or("nothing");
            let mut told: Vec<&str> = text.split(' ').collect();
            told.sort_unstable();
            let step = "the tool tells the scopes of the token";
            table.row(step, scopes, &told.join(" "));
            let connection = connector.connect(&tool, &Challenges::default()).await?;
            let token = connection.token().await?;
            for (other, _, peer) in &self.0 {
                let mut request = initialize(&peer.issuer)?;
                token.apply(request.headers_mut())?;
                let status = fetcher.send(request).await?.status();
                let (step, expected) = match other == sdk {
                    true => ("another token of the user".to_owned(), "200"),
                    false => (format!("that token at the server of {other}"), "401"),
                };
                table.row(&step, expected, status.as_str());
            }
        }
        Ok(())
    }
}

/// Sends a message. Returns the status and the answer.
async fn call(
    agent: &Agent,
    url: &str,
    method: &str,
    params: Value,
) -> Result<(String, Value), Failure> {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let request = Request::post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .body(message.to_string())?;
    let answer = agent.send(request).await?;
    let status = answer.status().as_u16().to_string();
    let content = answer.into_body().bytes(LIMIT).await?;
    let text = std::str::from_utf8(&content)?;
    // An answer, or the first message of a stream of events.
    let event = text.lines().find_map(|line| line.strip_prefix("data:"));
    let read = serde_json::from_str(event.unwrap_or(text).trim());
    Ok((status, read.unwrap_or_default()))
}

/// The maximum length of an answer, in bytes.
const LIMIT: usize = 1024 * 1024;
