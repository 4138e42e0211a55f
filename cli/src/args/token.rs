//! The arguments of `aims token`.

use std::path::PathBuf;

use aims_oauth_wire::names::{Issuer, Scope};
use clap::{Args, Subcommand, ValueEnum};

use super::Shown;

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Shows header and claims of a JWT, without verifying anything
    Inspect {
        #[command(flatten)]
        shown: Shown,
        /// The token, as it is sent: three parts with dots between
        file: PathBuf,
    },
    /// Verifies an OAuth access token, a JWT, as the resource server that it is for would. Whether
    /// its sender can prove what it is bound to, it cannot know
    Verify(VerifyToken),
}

/// Which access tokens are accepted.
#[derive(Debug, Args)]
pub(crate) struct VerifyToken {
    /// The authorization server, byte for byte as the claim `iss` names it
    #[arg(long, value_name = "URL", value_parser = issuer)]
    pub(crate) issuer: Issuer,
    /// What the claim `aud` must name: the resource server. For the profile `cognito`, whose tokens
    /// name no audience, the client identifier. May be given several times; one must fit
    #[arg(long = "audience", value_name = "TEXT", required = true, value_parser = audience)]
    pub(crate) audiences: Vec<String>,
    /// The keys of the authorization server, a JWK set
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: PathBuf,
    /// How this server writes its access tokens
    #[arg(long, value_enum, default_value_t = AccessProfile::Rfc9068)]
    pub(crate) profile: AccessProfile,
    /// For the profile `jwt`: a claim that access tokens of this server have and its ID tokens do
    /// not, with =VALUE its value; `typ=VALUE` is the `typ` of the header
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) marker: Option<String>,
    /// A scope that the token must have. May be given several times
    #[arg(long = "require-scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<Scope>,
    #[command(flatten)]
    pub(crate) shown: Shown,
    /// The access token, as it is sent in the field Authorization behind `Bearer`
    pub(crate) file: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum AccessProfile {
    /// The standard: header `typ` `at+jwt`
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
