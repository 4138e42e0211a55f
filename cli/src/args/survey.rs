//! The arguments of `aims resource` and `aims discover`.

use aims_oauth_wire::names::Resource as Url;
use clap::{Args, Subcommand};

use super::Shown;

#[derive(Debug, Subcommand)]
pub(crate) enum Resource {
    /// Checks how a tool announces its authorization servers (RFC 9728), for its operator: makes
    /// the requests that a client would make, and says what the client will do and what is wrong
    Check(Survey),
}

#[derive(Debug, Args)]
pub(crate) struct Survey {
    /// The tool's URL as its callers write it, such as https://tools.example/mcp
    #[arg(value_name = "URL", value_parser = url)]
    pub(crate) url: Url,
    /// Also connect to private addresses, for a tool or a server in the own network. Loopback
    /// addresses are allowed for a URL of this machine
    #[arg(long)]
    pub(crate) allow_private_networks: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

pub(super) fn url(text: &str) -> Result<Url, String> {
    let parsed = text.parse();
    let parsed = parsed.or_else(|_not_https| Url::loopback(text));
    parsed.map_err(|error: aims_oauth_wire::Error| error.to_string())
}
