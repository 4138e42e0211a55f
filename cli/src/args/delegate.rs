//! The arguments of `aims delegate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Delegate {
    /// Says in which dimensions a token permits less, the same or more than the token that it was
    /// made from. No clock is read, and nothing is verified without `--keys`
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The keys of the issuer, a JWK set: both signatures must then be good
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// Answers with one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The token that was handed on: an access token (`at+jwt`) or a transaction token
    /// (`txntoken+jwt`)
    pub(crate) parent: PathBuf,
    /// The token that was made from it, of the same kind and issuer
    pub(crate) child: PathBuf,
}
