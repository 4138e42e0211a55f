//! The arguments of `aims httpsig`.

use std::path::PathBuf;

use aims_http_sig::Component;
use aims_jose::alg::Algorithm;
use aims_wimse_id::Origin;
use clap::{Args, Subcommand, ValueEnum};

use super::Shown;

#[derive(Debug, Subcommand)]
pub(crate) enum HttpSig {
    /// Verifies the signature of a request, or of a response. It cannot detect that a signature was
    /// used before
    Verify(Box<Verify>),
    /// Signs a request, or a response, and prints the message with the added fields
    Sign(Box<Sign>),
    /// Prints the signature base, byte for byte: of the signature that `sign` would make, or
    /// without `--cover` and a profile, of the signature in the message
    Base(Box<Sign>),
}

/// The messages, as they are sent over HTTP.
#[derive(Debug, Args)]
pub(crate) struct Messages {
    /// A file with one HTTP/1.1 request
    #[arg(long, value_name = "FILE")]
    pub(crate) request: PathBuf,
    /// A file with the response to the request; the signature is then that of the response
    #[arg(long, value_name = "FILE")]
    pub(crate) response: Option<PathBuf>,
    /// The scheme of the request. An HTTP/1.1 message does not contain it, but @scheme and
    /// @target-uri depend on it; it must be the scheme that the signer used
    #[arg(long, value_enum, value_name = "SCHEME", default_value_t = Scheme::Https)]
    pub(crate) scheme: Scheme,
    /// Lines end in LF, as editors write them, and everything after the head of a request without a
    /// length is its content
    #[arg(long)]
    pub(crate) unix_lines: bool,
    /// Accepts fields that are folded over several lines, which HTTP/1.1 has deprecated
    #[arg(long)]
    pub(crate) folded_lines: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// Selects the kind of signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum SignatureProfile {
    /// RFC 9421, with the options of the command line
    None,
    /// Web Bot Auth: a request of an agent that publishes its keys
    WebBotAuth,
    /// WIMSE: a request signed with the key of its workload identity token
    Wimse,
}

/// Selects the accepted signers and the receiver.
#[derive(Debug, Args)]
pub(crate) struct Sender {
    /// The trusted keys: a JWK set. For `wimse`, the keys or the SPIFFE bundle of the `--origin`
    /// before it; may then be repeated, in pairs
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Vec<PathBuf>,
    /// For `wimse`: an origin, such as spiffe://example.org; its keys follow as `--keys`
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub(crate) origins: Vec<Origin>,
    /// For `wimse`, instead of `--origin`: uses this public key, a JWK, as the key of the request's
    /// token, WITHOUT VERIFYING THE TOKEN
    #[arg(long, value_name = "FILE", conflicts_with_all = ["origins", "keys"])]
    pub(crate) wit_key: Option<PathBuf>,
    /// For `wimse`: the receiver of the request, by its own URL
    #[arg(long, value_name = "URI")]
    pub(crate) audience: Option<String>,
    /// For `web-bot-auth`: the URL of the JWK Set with the agent's keys, such as
    /// https://crawler.example/keys.json, which Signature-Agent names
    #[arg(long, value_name = "URL")]
    pub(crate) directory: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) messages: Messages,
    /// The expected kind of signature
    #[arg(long, value_enum, default_value_t = SignatureProfile::None)]
    pub(crate) profile: SignatureProfile,
    #[command(flatten)]
    pub(crate) sender: Sender,
    /// A key for hmac-sha256 that is shared with the sender, a JWK with `kty` `oct`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keys", "wit_key"])]
    pub(crate) shared_key: Option<PathBuf>,
    /// Like `--wit-key`, for the token of the response
    #[arg(long, value_name = "FILE", requires = "wit_key")]
    pub(crate) response_wit_key: Option<PathBuf>,
    /// The label of the signature. Defaults to the only signature of the message
    #[arg(long, value_name = "NAME")]
    pub(crate) label: Option<String>,
    /// The tag of the signature. Without it, a signature with a tag is accepted only by its
    /// `--label`
    #[arg(long, value_name = "TEXT")]
    pub(crate) tag: Option<String>,
    /// A component that must be covered, such as @method or '"@query-param";name="q"'. May be
    /// repeated
    #[arg(long = "require", value_name = "COMPONENT")]
    pub(crate) required: Vec<Component>,
    /// Accepts a signature that covers nothing of the message, or of a response only its request.
    /// It proves nothing about the message: anyone can attach it to another one
    #[arg(long)]
    pub(crate) allow_nothing_covered: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    pub(crate) messages: Messages,
    /// The kind of signature to make
    #[arg(long, value_enum, default_value_t = SignatureProfile::None)]
    pub(crate) profile: SignatureProfile,
    /// The private key: a JWK, or PKCS#8 in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The algorithm of a key in PEM, as for `aims key generate`
    #[arg(long, value_name = "ALG")]
    pub(crate) pem_alg: Option<Algorithm>,
    /// A key for hmac-sha256 that is shared with the receiver, a JWK with `kty` `oct`
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) shared_key: Option<PathBuf>,
    /// A component to cover, such as @method or '"content-digest";req'. May be repeated
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) cover: Vec<Component>,
    /// Makes a signature that covers nothing of the message, or of a response only its request. It
    /// proves nothing about the message: anyone can attach it to another one
    #[arg(long)]
    pub(crate) allow_nothing_covered: bool,
    /// The label of the signature. Defaults to `sig1`, or the label of the profile
    #[arg(long, value_name = "NAME")]
    pub(crate) label: Option<String>,
    /// The time of signing, in Unix seconds. Defaults to the current time
    #[arg(long, value_name = "SECONDS")]
    pub(crate) created: Option<u64>,
    /// The time after which the signature is no longer valid, in Unix seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) expires: Option<u64>,
    /// A nonce that the verifier requested
    #[arg(long, value_name = "TEXT")]
    pub(crate) nonce: Option<String>,
    /// The name of the key
    #[arg(long, value_name = "ID")]
    pub(crate) keyid: Option<String>,
    /// The purpose of the signature
    #[arg(long, value_name = "TEXT")]
    pub(crate) tag: Option<String>,
    /// Writes the algorithm of the key into the signature
    #[arg(long)]
    pub(crate) alg: bool,
    /// Adds a Content-Digest if there is none; an existing one must match the content
    #[arg(long, value_enum, value_name = "ALG")]
    pub(crate) digest: Option<Digest>,
    /// For `wimse`: the workload identity token, which is added to the message if it has none
    #[arg(long, value_name = "FILE")]
    pub(crate) wit: Option<PathBuf>,
    /// For `wimse`: demands a signed response
    #[arg(long)]
    pub(crate) ask_signed_response: bool,
    #[command(flatten)]
    pub(crate) sender: Sender,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Digest {
    #[value(name = "sha-256")]
    Sha256,
    #[value(name = "sha-512")]
    Sha512,
}
