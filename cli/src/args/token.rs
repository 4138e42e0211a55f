//! The arguments of `aims token`.

use std::path::PathBuf;

use aims_oauth_wire::names::{Issuer, Scope};
use clap::{Args, Subcommand, ValueEnum};

use super::{GetToken, Shown};

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Shows header and claims of a JWT, without verifying it
    Inspect {
        #[command(flatten)]
        shown: Shown,
        /// The token, as it is sent: three parts separated by dots
        file: PathBuf,
    },
    /// Prints an access token of a user who logged in by `aims login`, renewed if necessary. Only
    /// the standard output gets it
    Get(Box<GetToken>),
    /// Verifies an OAuth access token, a JWT, as its resource server would. With `--dpop` or
    /// `--certificate` it also checks that the sender proves what the token is bound to
    Verify(Box<VerifyToken>),
}

/// Selects the accepted access tokens.
#[derive(Debug, Args)]
pub(crate) struct VerifyToken {
    /// The authorization server, exactly as in the claim `iss`
    #[arg(long, value_name = "URL", value_parser = issuer)]
    pub(crate) issuer: Issuer,
    /// The resource server that the claim `aud` must name. For the profile `cognito`, whose tokens
    /// have no audience, the client identifier. May be repeated; one must match
    #[arg(long = "audience", value_name = "TEXT", required = true, value_parser = audience)]
    pub(crate) audiences: Vec<String>,
    /// The keys of the authorization server, a JWK set
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: PathBuf,
    /// The format of the server's access tokens
    #[arg(long, value_enum, default_value_t = AccessProfile::Rfc9068)]
    pub(crate) profile: AccessProfile,
    /// For the profile `jwt`: a claim, optionally with =VALUE, that access tokens of this server
    /// have and its ID tokens do not; `typ=VALUE` is the `typ` of the header
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) marker: Option<String>,
    /// A scope that the token must have. May be repeated
    #[arg(long = "require-scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<Scope>,
    /// The DPoP proof of a request with the token, as it is sent in the field DPoP. Needs
    /// `--method` and `--uri`. Whether the proof was used before, a file cannot tell
    #[arg(long, value_name = "FILE", requires_all = ["method", "uri"])]
    pub(crate) dpop: Option<PathBuf>,
    /// The method of that request
    #[arg(long, value_name = "METHOD", requires = "dpop")]
    pub(crate) method: Option<String>,
    /// The URI of that request; query and fragment do not count
    #[arg(long, value_name = "URI", requires = "dpop")]
    pub(crate) uri: Option<String>,
    /// The nonce that the proof must have
    #[arg(long, value_name = "NONCE", requires = "dpop")]
    pub(crate) nonce: Option<String>,
    /// The certificate of the client of the mutual TLS connection, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shown: Shown,
    /// The access token, as it is sent in the field Authorization after `Bearer` or `DPoP`
    pub(crate) file: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum AccessProfile {
    /// The standard format: header `typ` `at+jwt`
    Rfc9068,
    /// Microsoft Entra ID, of the tenant in the issuer's URL; version 1.0 or 2.0 by the claim `ver`
    Entra,
    /// Auth0
    Auth0,
    /// A custom authorization server of Okta
    Okta,
    /// Keycloak; the audiences are also the clients whose roles count
    Keycloak,
    /// Amazon Cognito; the audiences are client identifiers
    Cognito,
    /// Any other server, with `--marker`
    Jwt,
}

impl AccessProfile {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rfc9068 => "rfc9068",
            Self::Entra => "entra",
            Self::Auth0 => "auth0",
            Self::Okta => "okta",
            Self::Keycloak => "keycloak",
            Self::Cognito => "cognito",
            Self::Jwt => "jwt",
        }
    }
}

fn issuer(text: &str) -> Result<Issuer, String> {
    Issuer::loopback(text).map_err(|error| error.to_string())
}

fn audience(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an audience that is not empty".to_owned());
    }
    Ok(text.to_owned())
}
