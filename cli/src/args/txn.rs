//! The arguments of `aims txn`.

use std::path::PathBuf;

use aims_oauth_wire::names::{Scope, ScopeSet};
use clap::{Args, Subcommand};

use super::Shown;

#[derive(Debug, Subcommand)]
pub(crate) enum Txn {
    /// Signs a transaction token: a statement about one transaction of a subject in this trust
    /// domain
    Issue(IssueTxn),
    /// Verifies a transaction token, as a service of the trust domain would
    Verify(VerifyTxn),
}

#[derive(Debug, Args)]
pub(crate) struct IssueTxn {
    /// The private key of the transaction token service, a JWK
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The trust domain, the claim `aud`
    #[arg(long, value_name = "TRUST_DOMAIN", value_parser = said)]
    pub(crate) domain: String,
    /// The subject of the transaction, the claim `sub`
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(crate) subject: String,
    /// The purpose of the transaction, the claim `scope`: one scope, or several separated by spaces
    #[arg(long, value_name = "SCOPES", value_parser = scopes)]
    pub(crate) scope: String,
    /// The workload that requested the token, the claim `req_wl`
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(crate) requester: String,
    /// The identifier of the transaction, the claim `txn`. Defaults to a random one
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(crate) txn: Option<String>,
    /// The claim `iss`
    #[arg(long, value_name = "URL", value_parser = said)]
    pub(crate) issuer: Option<String>,
    /// The call that the token is for: a JSON object with exactly `tool`, a string, and
    /// `arguments`, an object
    #[arg(long, value_name = "FILE")]
    pub(crate) parameters: Option<PathBuf>,
    /// From 1 second to an hour
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) lifetime: u64,
    /// The time of issue, in Unix seconds. Defaults to the current time
    #[arg(long, value_name = "SECONDS")]
    pub(crate) now: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyTxn {
    /// The trust domain, which must be the only value of the claim `aud`
    #[arg(long, value_name = "TRUST_DOMAIN", value_parser = said)]
    pub(crate) domain: String,
    /// The keys of the transaction token service, a JWK set
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: PathBuf,
    /// The claim `iss`, which must then be present; without this option any or none is accepted
    #[arg(long, value_name = "URL", value_parser = said)]
    pub(crate) issuer: Option<String>,
    /// A scope that the token must have. May be repeated
    #[arg(long = "require-scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<Scope>,
    /// The call that the token must be for: a JSON object with exactly `tool`, a string, and
    /// `arguments`, an object
    #[arg(long, value_name = "FILE")]
    pub(crate) parameters: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shown: Shown,
    /// The transaction token, as sent in the field Txn-Token
    pub(crate) file: PathBuf,
}

fn said(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a text that is not empty".to_owned());
    }
    Ok(text.to_owned())
}

fn scopes(text: &str) -> Result<String, String> {
    let set: ScopeSet = text.parse().map_err(|error| format!("{error}"))?;
    Ok(set.to_string())
}
