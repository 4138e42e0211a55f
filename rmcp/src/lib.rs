#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-rmcp/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod client;
#[cfg(feature = "credential-store")]
mod credentials;
mod events;

use std::sync::Arc;

use aims::Agent;
#[cfg(feature = "credential-store")]
#[cfg_attr(docsrs, doc(cfg(feature = "credential-store")))]
pub use credentials::StoredLogin;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

/// An agent as the HTTP client of rmcp's streamable HTTP transport.
///
/// [`transport`] creates the transport with rmcp's defaults. For other settings:
///
/// ```
/// use rmcp::transport::StreamableHttpClientTransport;
/// use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
///
/// # fn example(agent: aims::Agent) -> StreamableHttpClientTransport<aims_rmcp::AgentClient> {
/// let mut config = StreamableHttpClientTransportConfig::with_uri("https://tools.example/mcp");
/// config.max_json_response_size = 1024 * 1024;
/// StreamableHttpClientTransport::with_client(aims_rmcp::AgentClient::new(agent), config)
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AgentClient(Agent);

impl AgentClient {
    /// Creates a client that sends requests as this agent.
    #[must_use]
    pub const fn new(agent: Agent) -> Self {
        Self(agent)
    }
}

impl From<Agent> for AgentClient {
    fn from(agent: Agent) -> Self {
        Self(agent)
    }
}

/// Creates a transport to the MCP server at this URL, as this agent, with the defaults of rmcp.
///
/// ```no_run
/// use rmcp::ServiceExt as _;
///
/// # async fn example(agent: aims::Agent) -> Result<(), Box<dyn std::error::Error>> {
/// let client = ().serve(aims_rmcp::transport(agent, "https://tools.example/mcp")).await?;
/// println!("{} tools", client.list_all_tools().await?.len());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn transport(
    agent: Agent,
    url: impl Into<Arc<str>>,
) -> StreamableHttpClientTransport<AgentClient> {
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    StreamableHttpClientTransport::with_client(agent.into(), config)
}
