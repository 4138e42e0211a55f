//! The command line.

mod delegate;
mod httpsig;
mod login;
mod survey;
mod token;
mod txn;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use aims_jose::alg::Algorithm;
use aims_jose::jwk::MAX_KEY_ID_LEN;
use aims_wimse_id::{Origin, WorkloadId};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use http::HeaderName;

use crate::secret;

pub(crate) use delegate::{Delegate, Explain};
pub(crate) use httpsig::{
    Digest, HttpSig, Messages, Scheme, Sender, Sign, SignatureProfile, Verify,
};
pub(crate) use login::{GetToken, Login, Logout, Session};
pub(crate) use survey::{Resource, Survey};
pub(crate) use token::{AccessProfile, Token, VerifyToken};
pub(crate) use txn::{IssueTxn, Txn, VerifyTxn};

/// Keys, identifiers, workload identity tokens, their proofs, signed HTTP messages, and an
/// authority for development.
///
/// No option takes a key or a token itself, only a FILE that holds it, because other users can read
/// a command line. Exit status: 0 for verified or done, 1 for refused, 2 for a wrong command line,
/// or a file that cannot be read or written. A FILE of `-` is the standard input. One newline at
/// the end of a file is ignored.
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
    /// Transaction tokens
    #[command(subcommand)]
    Txn(Txn),
    /// Tokens that were made from other tokens
    #[command(subcommand)]
    Delegate(Delegate),
    /// Signed HTTP messages (RFC 9421), in files
    #[command(subcommand, name = "httpsig")]
    HttpSig(HttpSig),
    /// Tools, as the clients see them that know their URL alone
    #[command(subcommand)]
    Resource(Resource),
    /// Finds the servers that issue tokens for a tool: the path found, each document, what `aims
    /// login` would use, and why
    Discover(Survey),
    /// Logs a user in to a tool in a browser, and keeps the tokens in a sealed file
    Login(Box<Login>),
    /// Revokes all tokens of a user for a tool at its server, whatever their scopes, and removes
    /// them. The DPoP key stays in the file for the next login
    Logout(Box<Logout>),
    /// An identity server and authorization server for development
    #[command(subcommand)]
    Authority(Authority),
    /// Explains an error code: what it means, its likely cause, and what to do
    Explain {
        /// A code of a refusal, a log or a record, such as wpt.audience
        code: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Generates a private key
    Generate {
        /// ES256, ES384, ES512, EdDSA, Ed25519, RS256 and so on
        #[arg(long, default_value = "ES256")]
        alg: Algorithm,
        /// The key's `kid`
        #[arg(long, value_name = "ID", value_parser = key_id)]
        kid: Option<String>,
        /// A new file that only its owner can read; an existing file is not overwritten. Defaults
        /// to the standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Shows the public part of a key
    Public {
        /// The algorithm of a private key in PEM, as for `aims key generate`
        #[arg(long, value_name = "ALG")]
        pem_alg: Option<Algorithm>,
        /// A JWK, private or public; or PKCS#8 in PEM
        file: PathBuf,
    },
    /// Shows the public parts of keys as one JWK set, for `--keys`
    Set {
        /// The algorithm of private keys in PEM, as for `aims key generate`
        #[arg(long, value_name = "ALG")]
        pem_alg: Option<Algorithm>,
        /// A JWK, private or public; or PKCS#8 in PEM. May be repeated; each key keeps its `kid`
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Shows the SHA-256 thumbprint of a key (RFC 7638)
    Thumbprint {
        /// The algorithm of a private key in PEM, as for `aims key generate`
        #[arg(long, value_name = "ALG")]
        pem_alg: Option<Algorithm>,
        /// A JWK, private or public; or PKCS#8 in PEM
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Id {
    /// Checks a workload identifier and shows its origin
    Check {
        /// The identifier, such as spiffe://example.org/agent
        uri: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Wit {
    /// Signs a workload identity token: a statement that this workload holds this key
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
        /// The time of issue, in Unix seconds. Defaults to the current time
        #[arg(long, value_name = "SECONDS")]
        now: Option<u64>,
    },
    /// Verifies a token with the keys of its origin
    Verify {
        #[command(flatten)]
        trusted: Trusted,
        /// The expected kind of token
        #[arg(long, value_enum, default_value_t = Profile::Wit)]
        profile: Profile,
        #[command(flatten)]
        shown: Shown,
        /// The workload identity token, as printed by `aims wit issue` and sent in the field
        /// Workload-Identity-Token
        file: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Profile {
    /// Any workload identity token
    Wit,
    /// Only WIT-SVIDs
    WitSvid,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Wpt {
    /// Makes a proof that the sender of one message holds the key of a token
    New {
        /// The workload identity token that is sent with the proof
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
        /// The time of the proof, in Unix seconds. Defaults to the current time
        #[arg(long, value_name = "SECONDS")]
        now: Option<u64>,
    },
    /// Verifies a proof and its token. It cannot detect that a proof was used before
    Verify {
        /// The workload identity token that was sent with the proof
        #[arg(long, value_name = "FILE")]
        wit: PathBuf,
        #[command(flatten)]
        trusted: Trusted,
        #[command(flatten)]
        bound: Bound,
        #[command(flatten)]
        shown: Shown,
        /// The proof, as printed by `aims wpt new`: the text after `WPT` in the field
        /// Authorization, or with `--revision 01` the field Workload-Proof-Token
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Authority {
    /// Runs the authority until it is interrupted or terminated. Everything is in memory: each
    /// start creates new keys, and tokens of an earlier start are no longer valid
    Serve(Serve),
    /// Withdraws the identifier of an agent in the state file of a running or later authority: it
    /// gets no identity and no token any more
    Withdraw(Withdraw),
    /// Revokes in the state file everything that was issued for a user or a client up to now:
    /// codes, refresh tokens, and its tokens at the introspection and token endpoints
    Revoke(Revoke),
}

/// A subject, and the file of state.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The file that `aims authority serve --state` uses
    #[arg(long, value_name = "FILE")]
    pub(crate) state: PathBuf,
    /// The `sub` of a user, or a client identifier
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) subject: String,
}

/// The identifier of an agent, and the file of state.
#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// The file that `aims authority serve --state` uses
    #[arg(long, value_name = "FILE")]
    pub(crate) state: PathBuf,
    /// Ends the withdrawal
    #[arg(long)]
    pub(crate) undo: bool,
    /// The identifier, such as spiffe://example.org/agent
    pub(crate) id: WorkloadId,
}

/// The address of the authority, and the agents and tools that it knows.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address to listen on; port 0 selects a free port. The default can be reached only from
    /// this machine
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8400")]
    pub(crate) listen: SocketAddr,
    /// The URL by which agents and tools reach it. Defaults to http:// and the address; set it if a
    /// proxy in front of it ends TLS
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Allows an address that other machines can reach. They can then request identities over
    /// plaintext HTTP
    #[arg(long)]
    pub(crate) dangerous_reachable_from_network: bool,
    /// The trust domain of its identifiers. Defaults to that of the first agent
    #[arg(long, value_name = "NAME")]
    pub(crate) trust_domain: Option<String>,
    /// An agent that may enrol once, and the file with its bootstrap token. If the file does not
    /// exist, it is created with a new token, and only its owner can read it; without =FILE a new
    /// token is printed. May be repeated
    #[arg(long = "agent", value_name = "ID[=FILE]", value_parser = agent)]
    pub(crate) agents: Vec<(WorkloadId, Option<PathBuf>)>,
    /// A tool, by its URL, and the scopes that each `--agent` may request for it, separated by
    /// spaces. May be repeated
    #[arg(long = "resource", value_name = "URL [SCOPE]...", value_parser = resource)]
    pub(crate) resources: Vec<(String, Vec<String>)>,
    /// The lifetime of the identities of each `--agent`
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    pub(crate) lifetime: u64,
    /// Allows the bootstrap token of each `--agent` to be used again: anyone who finds it can act
    /// as that agent
    #[arg(long)]
    pub(crate) reusable_tokens: bool,
    /// A proxy in front of it, by its address, and the header field in which it writes the address
    /// of its client, such as 127.0.0.1=x-forwarded-for. Limits and log then see the clients. May
    /// be repeated
    #[arg(long = "proxy", value_name = "ADDRESS=FIELD", value_parser = proxy)]
    pub(crate) proxies: Vec<(IpAddr, HeaderName)>,
    /// Refuses a second renewal by one key for another key, which otherwise is a warning
    #[arg(long)]
    pub(crate) refuse_second_renewals: bool,
    /// A user who is always signed in, by the name that tokens carry as `sub`: anyone who opens the
    /// authorization endpoint in a browser of this machine is this user. On loopback alone
    #[arg(long, value_name = "NAME")]
    pub(crate) dev_user: Option<String>,
    /// A public client that may ask the `--dev-user` for every `--resource`: its `client_id` and
    /// redirect URIs, separated by spaces. May be repeated
    #[arg(
        long = "client",
        value_name = "ID REDIRECT_URI...",
        value_parser = client,
        requires = "dev_user"
    )]
    pub(crate) clients: Vec<(String, Vec<String>)>,
    /// Lets clients register themselves (RFC 7591), with the scopes of every `--resource`, to ask
    /// the `--dev-user`
    #[arg(long, requires = "dev_user")]
    pub(crate) dynamic_registration: bool,
    /// A SQLite file for codes, refresh tokens, opaque tokens, registered clients and withdrawals,
    /// which then survive a restart. It is created for its owner alone
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// More agents, clients and resources, in JSON, each agent with its own lifetime and rights
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// The trusted keys.
#[derive(Debug, Args)]
pub(crate) struct Trusted {
    /// An origin, such as spiffe://example.org; its keys follow as `--keys`. Both may be repeated,
    /// in pairs
    #[arg(long = "origin", value_name = "ORIGIN", required = true)]
    pub(crate) origins: Vec<Origin>,
    /// The keys of the origin: a JWK set or a SPIFFE bundle. For a spiffe origin the document is
    /// read as a SPIFFE bundle if it has a member `spiffe_sequence`, or a key whose `use` is
    /// `wit-svid`; otherwise as a plain JWK set. For a wimse origin it is a plain JWK set
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) keys: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Revision {
    #[value(name = "02")]
    Draft02,
    #[value(name = "01")]
    Draft01,
}

/// The message that a proof is bound to.
#[derive(Debug, Args)]
pub(crate) struct Bound {
    /// The URI of the target without query and fragment, or a name that both sides have agreed on
    #[arg(long, value_name = "URI")]
    pub(crate) audience: String,
    /// The revision of draft-ietf-wimse-wpt: 02 puts the proof into Authorization, 01 into
    /// Workload-Proof-Token
    #[arg(long, value_enum, default_value_t = Revision::Draft02)]
    pub(crate) revision: Revision,
    /// The OAuth access token of the message, only with `--revision 01`
    #[arg(long, value_name = "FILE")]
    pub(crate) access_token: Option<PathBuf>,
    /// The transaction token of the message
    #[arg(long, value_name = "FILE")]
    pub(crate) txn_token: Option<PathBuf>,
    /// A header field, its name in lower case, and a file that holds its value. May be repeated
    #[arg(long = "header", value_name = "NAME=FILE", value_parser = header)]
    pub(crate) headers: Vec<(String, PathBuf)>,
}

/// The time, and the format of the answer.
#[derive(Debug, Args)]
pub(crate) struct Shown {
    /// The current time, in Unix seconds. Defaults to the clock
    #[arg(long, value_name = "SECONDS")]
    pub(crate) now: Option<u64>,
    /// Prints the answer as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

fn key_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_KEY_ID_LEN {
        return Err(format!("1 to {MAX_KEY_ID_LEN} bytes"));
    }
    // A `kid` is public: it is part of everything that the key signs.
    if secret::may_be_in(text.as_ref()) {
        return Err("a name, and not a token or key".to_owned());
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

fn agent(text: &str) -> Result<(WorkloadId, Option<PathBuf>), String> {
    let (id, file) = match text.split_once('=') {
        Some((_, "")) => return Err("a file after the `=`".to_owned()),
        Some((_, file)) if secret::looks_drawn(file) => {
            return Err("a file after the `=`; a token there can be read by others, so do not use that one any more".to_owned());
        }
        Some((id, file)) => (id, Some(PathBuf::from(file))),
        None => (text, None),
    };
    let id = WorkloadId::parse(id).map_err(|error| error.to_string())?;
    Ok((id, file))
}

fn proxy(text: &str) -> Result<(IpAddr, HeaderName), String> {
    let (address, field) = text.split_once('=').ok_or("ADDRESS=FIELD")?;
    let address = address.parse().map_err(|_malformed| "an IP address")?;
    let field = HeaderName::from_bytes(field.to_ascii_lowercase().as_bytes());
    let field = field.map_err(|_malformed| "the name of a header field")?;
    Ok((address, field))
}

fn client(text: &str) -> Result<(String, Vec<String>), String> {
    match resource(text)? {
        (_, redirect_uris) if redirect_uris.is_empty() => {
            Err("a client_id and a redirect URI".to_owned())
        }
        client => Ok(client),
    }
}

fn resource(text: &str) -> Result<(String, Vec<String>), String> {
    let mut words = text.split_ascii_whitespace().map(str::to_owned);
    let url = words.next().ok_or("a URL")?;
    Ok((url, words.collect()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Each argument has a help text, also one without a name.
    #[test]
    fn each_argument_has_a_help_text() {
        fn walk(command: &clap::Command, seen: &mut usize) {
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string);
                let name = command.get_name();
                assert!(
                    help.is_some_and(|it| it.len() > 8),
                    "{name}: {}",
                    argument.get_id()
                );
                *seen += 1;
            }
            for command in command.get_subcommands() {
                walk(command, seen);
            }
        }
        let (mut command, mut seen) = (Cli::command(), 0);
        command.build();
        walk(&command, &mut seen);
        assert!(seen > 50, "{seen}");
    }

    /// An option whose name has to do with secrets takes the name of a file. The values of all
    /// other options are listed here, so that each new option is reviewed.
    #[test]
    fn no_option_takes_a_secret() {
        const HARMLESS: &[&str] = &[
            "ADDRESS:PORT",
            "ADDRESS=FIELD",
            "ALG",
            "CODE",
            "COMPONENT",
            "ID",
            "ID REDIRECT_URI...",
            "FROM=TO",
            "METHOD",
            "NAME",
            "NAME[=VALUE]",
            "NONCE",
            "ORIGIN",
            "OUTER=INNER",
            "PROFILE",
            "SCHEME",
            "RESOURCE",
            "REVISION",
            "SCOPE",
            "SCOPES",
            "SECONDS",
            "SUBJECT",
            "TEXT",
            "TRUST_DOMAIN",
            "URI",
            "URL",
            "URL [SCOPE]...",
        ];
        const FILES: &[&str] = &["CHILD", "FILE", "ID[=FILE]", "NAME=FILE", "PARENT"];
        fn walk(command: &clap::Command, seen: &mut usize) {
            for argument in command.get_arguments() {
                if !argument.get_action().takes_values() {
                    continue;
                }
                let names = argument.get_value_names().unwrap_or_default();
                let [name] = names else {
                    panic!("{argument:?}")
                };
                let secret = [
                    "key", "token", "wit", "proof", "secret", "agent", "config", "header",
                ];
                let id = argument.get_id().as_str();
                if secret.iter().any(|word| id.contains(word)) && !["kid", "keyid"].contains(&id) {
                    assert!(FILES.contains(&name.as_str()), "{id} takes {name}");
                }
                assert!(
                    FILES.contains(&name.as_str()) || HARMLESS.contains(&name.as_str()),
                    "{id} takes {name}"
                );
                *seen += 1;
            }
            for command in command.get_subcommands() {
                walk(command, seen);
            }
        }
        let (mut command, mut seen) = (Cli::command(), 0);
        command.build();
        walk(&command, &mut seen);
        assert!(seen > 30, "{seen}");
    }
}
