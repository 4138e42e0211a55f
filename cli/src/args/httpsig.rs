//! The command line of `aims httpsig`.

use std::path::PathBuf;

use aims_http_sig::Component;
use aims_jose::alg::Algorithm;
use aims_wimse_id::Origin;
use clap::{Args, Subcommand, ValueEnum};

use super::Shown;

#[derive(Debug, Subcommand)]
pub(crate) enum HttpSig {
    /// Verifies the signature of a request, or of a response. Whether it was seen before, it cannot
    /// know
    Verify(Box<Verify>),
    /// Signs a request, or a response, and prints the message with the fields that it then has
    Sign(Box<Sign>),
    /// Prints the signature base, byte for byte: of what `sign` would sign, or of the signature
    /// that is there, where neither `--cover` nor a profile is given
    Base(Box<Sign>),
}

/// The messages, as they stood on the wire.
#[derive(Debug, Args)]
pub(crate) struct Messages {
    /// A file with one HTTP/1.1 request
    #[arg(long, value_name = "FILE")]
    pub(crate) request: PathBuf,
    /// A file with the response to it: then the signature is that of the response
    #[arg(long, value_name = "FILE")]
    pub(crate) response: Option<PathBuf>,
    /// The scheme by which the request came. An HTTP/1.1 message does not state it, and @scheme and
    /// @target-uri are made of it: with another one than the signer's, a signature that covers
    /// these does not fit
    #[arg(long, value_enum, value_name = "SCHEME", default_value_t = Scheme::Https)]
    pub(crate) scheme: Scheme,
    /// Lines end in LF, as editors write them, and all behind the head of a request that says no
    /// length is its content
    #[arg(long)]
    pub(crate) unix_lines: bool,
    /// Takes fields that are folded over lines, which HTTP/1.1 has given up
    #[arg(long)]
    pub(crate) folded_lines: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// Which signatures.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum SignatureProfile {
    /// RFC 9421, with what the command line asks for
    None,
    /// Web Bot Auth: a request of an agent that publishes its keys
    WebBotAuth,
    /// WIMSE: by the key of the workload identity token in the message
    Wimse,
}

/// Who may have signed, and for whom.
#[derive(Debug, Args)]
pub(crate) struct Sender {
    /// The keys that are trusted: a JWK set. For `wimse`, those of the `--origin` before it, or its
    /// SPIFFE bundle; may be given several times then, in pairs
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Vec<PathBuf>,
    /// For `wimse`: an origin, such as spiffe://example.org, whose `--keys` follow
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub(crate) origins: Vec<Origin>,
    /// For `wimse`, instead of `--origin`: takes this public key, a JWK, for that of the request's
    /// token, WITHOUT VERIFYING THE TOKEN
    #[arg(long, value_name = "FILE", conflicts_with_all = ["origins", "keys"])]
    pub(crate) wit_key: Option<PathBuf>,
    /// For `wimse`: the receiver of the request, as it knows itself
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
    /// Which signature is asked for
    #[arg(long, value_enum, default_value_t = SignatureProfile::None)]
    pub(crate) profile: SignatureProfile,
    #[command(flatten)]
    pub(crate) sender: Sender,
    /// A key for hmac-sha256 that the sender has as well, a JWK with `kty` `oct`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keys", "wit_key"])]
    pub(crate) shared_key: Option<PathBuf>,
    /// As `--wit-key`, for the token of the response
    #[arg(long, value_name = "FILE", requires = "wit_key")]
    pub(crate) response_wit_key: Option<PathBuf>,
    /// The signature with this label; else the one that there is
    #[arg(long, value_name = "NAME")]
    pub(crate) label: Option<String>,
    /// The signature with this tag; without it, a signature with a tag is taken only by its
    /// `--label`
    #[arg(long, value_name = "TEXT")]
    pub(crate) tag: Option<String>,
    /// A component that must be covered, such as @method or '"@query-param";name="q"'. May be given
    /// several times
    #[arg(long = "require", value_name = "COMPONENT")]
    pub(crate) required: Vec<Component>,
    /// Takes a signature that covers nothing of the message, or of a response nothing but what it
    /// answers. It says nothing of the message: anybody can put it on another one
    #[arg(long)]
    pub(crate) allow_nothing_covered: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    pub(crate) messages: Messages,
    /// Which signature is made
    #[arg(long, value_enum, default_value_t = SignatureProfile::None)]
    pub(crate) profile: SignatureProfile,
    /// The private key: a JWK, or PKCS#8 in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The algorithm of a key in PEM, as for `aims key generate`
    #[arg(long, value_name = "ALG")]
    pub(crate) pem_alg: Option<Algorithm>,
    /// A key for hmac-sha256 that the receiver has as well, a JWK with `kty` `oct`
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) shared_key: Option<PathBuf>,
    /// A component to cover, such as @method or '"content-digest";req'. May be given several times
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) cover: Vec<Component>,
    /// Makes a signature that covers nothing of the message, or of a response nothing but what it
    /// answers. It says nothing of the message: anybody can put it on another one
    #[arg(long)]
    pub(crate) allow_nothing_covered: bool,
    /// The label of the signature; `sig1` unless the profile has its own
    #[arg(long, value_name = "NAME")]
    pub(crate) label: Option<String>,
    /// The time of signing, in Unix seconds, instead of the clock's
    #[arg(long, value_name = "SECONDS")]
    pub(crate) created: Option<u64>,
    /// The time from which on nobody takes the signature, in Unix seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) expires: Option<u64>,
    /// A nonce that the verifier asked for
    #[arg(long, value_name = "TEXT")]
    pub(crate) nonce: Option<String>,
    /// The name of the key
    #[arg(long, value_name = "ID")]
    pub(crate) keyid: Option<String>,
    /// What the signature is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) tag: Option<String>,
    /// Writes the algorithm of the key into the signature
    #[arg(long)]
    pub(crate) alg: bool,
    /// Adds a Content-Digest where there is none; one that is there must be that of the content
    #[arg(long, value_enum, value_name = "ALG")]
    pub(crate) digest: Option<Digest>,
    /// For `wimse`: the workload identity token, which is added to the message where it has none
    #[arg(long, value_name = "FILE")]
    pub(crate) wit: Option<PathBuf>,
    /// For `wimse`: takes no response that is not signed
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
