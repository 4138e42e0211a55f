//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jose::alg::Algorithm;
use jose::jwk::MAX_KEY_ID_LEN;
use wimse_id::{Origin, WorkloadId};

/// Keys, identifiers, workload identity tokens and their proofs.
///
/// Exit status: 0 for verified or done, 1 for refused, 2 for a wrong command line, or a file that cannot be read or written. A FILE of `-` is the standard
/// input. One newline at the end of a file is no part of what it holds.
#[derive(Debug, Parser)]
#[command(name = "aims", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Private and public keys as JWK
    #[command(subcommand)]
    Key(Key),
    /// Workload identifiers
    #[command(subcommand)]
    Id(Id),
    /// JWTs of any kind
    #[command(subcommand)]
    Token(Token),
    /// Workload identity tokens
    #[command(subcommand)]
    Wit(Wit),
    /// Workload proof tokens
    #[command(subcommand)]
    Wpt(Wpt),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Makes a private key
    Generate {
        /// ES256, ES384, ES512, EdDSA, Ed25519, RS256 and so on
        #[arg(long, default_value = "ES256")]
        alg: Algorithm,
        /// The key's `kid`
        #[arg(long, value_name = "ID", value_parser = key_id)]
        kid: Option<String>,
        /// A new file that only its owner can read; one that is there is not overwritten. Else the standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Shows the public part of a key
    Public { file: PathBuf },
    /// Shows the SHA-256 thumbprint of a key (RFC 7638)
    Thumbprint { file: PathBuf },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Id {
    /// Says whether this is a workload identifier, and of which origin
    Check { uri: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Shows header and claims of a JWT, without verifying anything
    Inspect {
        #[command(flatten)]
        shown: Shown,
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Wit {
    /// Signs a token that says: this workload holds this key
    Issue {
        /// The issuer's private key, a JWK; for a WIT-SVID it needs a `kid`
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The workload's identifier
        #[arg(long, value_name = "URI")]
        id: WorkloadId,
        /// The workload's public key, a JWK with `alg`
        #[arg(long = "for", value_name = "FILE")]
        holder: PathBuf,
        /// From 1 second to 24 hours
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        lifetime: u64,
        /// The claim `iss`
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
        /// The time of issue, in Unix seconds, instead of the clock's
        #[arg(long, value_name = "SECONDS")]
        now: Option<u64>,
    },
    /// Verifies a token against the keys of its origin
    Verify {
        #[command(flatten)]
        trusted: Trusted,
        /// What kind of token is asked for
        #[arg(long, value_enum, default_value_t = Profile::Wit)]
        profile: Profile,
        #[command(flatten)]
        shown: Shown,
        file: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Profile {
    /// Any workload identity token
    Wit,
    /// WIT-SVIDs alone
    WitSvid,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Wpt {
    /// Proves, for one message, that its sender holds the key of a token
    New {
        /// The workload identity token that goes with the proof
        #[arg(long, value_name = "FILE")]
        wit: PathBuf,
        /// The private key of that token, a JWK
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        bound: Bound,
        /// From 1 second to 5 minutes
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        lifetime: u64,
        /// The time of the proof, in Unix seconds, instead of the clock's
        #[arg(long, value_name = "SECONDS")]
        now: Option<u64>,
    },
    /// Verifies a proof and the token that came with it. Whether the proof was seen before, it cannot know
    Verify {
        /// The workload identity token that came with the proof
        #[arg(long, value_name = "FILE")]
        wit: PathBuf,
        #[command(flatten)]
        trusted: Trusted,
        #[command(flatten)]
        bound: Bound,
        #[command(flatten)]
        shown: Shown,
        file: PathBuf,
    },
}

/// Whose keys are trusted.
#[derive(Debug, Args)]
pub(crate) struct Trusted {
    /// An origin, such as spiffe://example.org; its keys follow as `--keys`. Both may be given several times, in pairs
    #[arg(long = "origin", value_name = "ORIGIN", required = true)]
    pub(crate) origins: Vec<Origin>,
    /// The keys of the origin: a JWK set or a SPIFFE bundle. For a spiffe origin the document is read as a SPIFFE bundle when it has a member
    /// `spiffe_sequence`, or a key whose `use` is `wit-svid`; else as a plain JWK set. For a wimse origin it is a plain JWK set
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) keys: Vec<PathBuf>,
}

/// What a proof is bound to.
#[derive(Debug, Args)]
pub(crate) struct Bound {
    /// The target's URI without query and fragment, or a name that both sides agreed upon
    #[arg(long, value_name = "URI")]
    pub(crate) audience: String,
    /// The OAuth access token of the message
    #[arg(long, value_name = "FILE")]
    pub(crate) access_token: Option<PathBuf>,
    /// The transaction token of the message
    #[arg(long, value_name = "FILE")]
    pub(crate) txn_token: Option<PathBuf>,
    /// A header field, its name in lower case, and a file that holds its value. May be given several times
    #[arg(long = "header", value_name = "NAME=FILE", value_parser = header)]
    pub(crate) headers: Vec<(String, PathBuf)>,
}

/// When, and how the answer looks.
#[derive(Debug, Args)]
pub(crate) struct Shown {
    /// The present time, in Unix seconds, instead of the clock's
    #[arg(long, value_name = "SECONDS")]
    pub(crate) now: Option<u64>,
    /// Answers with one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

fn key_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_KEY_ID_LEN {
        return Err(format!("1 to {MAX_KEY_ID_LEN} bytes"));
    }
    Ok(text.to_owned())
}

fn header(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("NAME=FILE")?;
    if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("a field name in lower case".to_owned());
    }
    Ok((name.to_owned(), PathBuf::from(file)))
}
