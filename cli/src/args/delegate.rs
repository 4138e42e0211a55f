//! The arguments of `aims delegate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Delegate {
    /// Compares a delegated token with its parent: shows in which dimensions it permits less, the
    /// same or more. It reads no clock, and verifies nothing without `--keys`
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The keys of the issuer, a JWK set: both signatures must then be valid
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// A scope of one vocabulary, and one of the other that it permits: what the parent has is
    /// translated before the comparison. OUTER is the side of an access token that became a
    /// transaction token, else that of the parent. INNER may stand in several rows only where a
    /// transaction token becomes an access token. May be repeated. With it or `--audience`, kinds
    /// and issuers may differ, and scopes and audiences that are not named do not cross
    #[arg(long = "scope", value_name = "OUTER=INNER", value_parser = pair)]
    pub(crate) scopes: Vec<Pair>,
    /// An audience of the parent, and one of the child that it may become. May be repeated
    #[arg(long = "audience", value_name = "FROM=TO", value_parser = pair)]
    pub(crate) audiences: Vec<Pair>,
    /// Prints the answer as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The parent token: an access token (`at+jwt`) or a transaction token
    /// (`txntoken+jwt`)
    pub(crate) parent: PathBuf,
    /// The delegated token, of the same kind and issuer unless it crosses
    pub(crate) child: PathBuf,
}

/// A row of a table.
pub(crate) type Pair = (Box<str>, Box<str>);

fn pair(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() && !to.contains('=') => {
            Ok((from.into(), to.into()))
        }
        _ => Err("expected two names with one `=` between them".to_owned()),
    }
}
