//! The arguments of `aims login`, `aims token get` and `aims logout`.

use std::path::PathBuf;

use aims_oauth_wire::names::{ClientId, Issuer, Resource as Url, ScopeSet};
use clap::Args;

/// The tool, and where its tokens are kept.
#[derive(Debug, Args)]
pub(crate) struct Session {
    /// The tool's URL, such as https://tools.example/mcp
    #[arg(value_name = "RESOURCE", value_parser = super::survey::url)]
    pub(crate) resource: Url,
    /// An authorization server to accept; may be repeated. Without it, every server that the tool
    /// names is accepted, and the browser shows which one it is
    #[arg(long, value_name = "URL", value_parser = issuer)]
    pub(crate) issuer: Vec<Issuer>,
    /// The identifier of a public client that is registered at the server. Without it, the program
    /// registers itself
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<ClientId>,
    /// A name for the user, to keep the tokens of several users apart
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// The sealed file of the tokens. Defaults to aims/tokens in the folder for state
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// The file of its key. Defaults to aims/tokens.key in the folder for configuration; with
    /// --store, to that path with the extension key
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Keep the key of that file in the keyring of the desktop (Secret Service) instead. Needs a
    /// program that was built with the feature `keyring`
    #[arg(long, conflicts_with = "key_file")]
    pub(crate) keyring: bool,
    /// Also connect to private addresses, for a tool or a server in the own network
    #[arg(long)]
    pub(crate) allow_private_networks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    #[command(flatten)]
    pub(crate) session: Session,
    /// The scopes to request, separated by spaces. Defaults to those that the tool requires
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<ScopeSet>,
    /// Scopes to accept although they were not requested, separated by spaces, for a server that
    /// adds default scopes: `profile email` at Keycloak. Another one is refused
    #[arg(long, value_name = "SCOPES")]
    pub(crate) accept_unrequested_scope: Option<ScopeSet>,
    /// Only show the URL, and open no browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Log in by a code on another device (RFC 8628). Without a desktop this comes first, if the
    /// server supports it
    #[arg(long, conflicts_with = "no_browser")]
    pub(crate) device: bool,
    /// Bind the token to a key by DPoP, or refuse to log in. Without this, it is bound where the
    /// tool names DPoP
    #[arg(long)]
    pub(crate) dpop: bool,
    /// Do not bind the token, for programs that send it alone to a tool that names DPoP
    #[arg(long, conflicts_with = "dpop")]
    pub(crate) bearer: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GetToken {
    #[command(flatten)]
    pub(crate) session: Session,
    /// The scopes that the token must have, separated by spaces: those of a login, or some of the
    /// last one's. Defaults to all of the last login
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<ScopeSet>,
    /// Print the header fields of one request with this method to `--uri`, in place of the token:
    /// `Authorization` and, for a bound token, its proof in `DPoP`
    #[arg(long, value_name = "METHOD", requires = "uri")]
    pub(crate) method: Option<String>,
    /// The URI of that request
    #[arg(long, value_name = "URI", requires = "method")]
    pub(crate) uri: Option<String>,
    /// The nonce that the tool demands in the proof (`DPoP-Nonce` of its answer)
    #[arg(long, value_name = "NONCE", requires = "uri")]
    pub(crate) nonce: Option<String>,
    /// Get the token of a login without a binding, also where there is a bound one
    #[arg(long)]
    pub(crate) bearer: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logout {
    #[command(flatten)]
    pub(crate) session: Session,
}

fn issuer(text: &str) -> Result<Issuer, String> {
    let parsed = text.parse();
    let parsed = parsed.or_else(|_not_https| Issuer::loopback(text));
    parsed.map_err(|error: aims_oauth_wire::Error| error.to_string())
}
