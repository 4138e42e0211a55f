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
    /// Prints the answer as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The parent token: an access token (`at+jwt`) or a transaction token
    /// (`txntoken+jwt`)
    pub(crate) parent: PathBuf,
    /// The delegated token, of the same kind and issuer
    pub(crate) child: PathBuf,
}
