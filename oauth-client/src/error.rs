//! Why there is no token.

use std::fmt;
use std::sync::Arc;

use aims_error::{ErrorKind, shown};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::metadata::attempt::{Attempts, Outcome};
use aims_oauth_wire::names::{Issuer, Resource};
use aims_oauth_wire::token::TokenError;

/// No token was got, or no server was found to get one from.
///
/// No message holds a token. None repeats its source: [`aims_jose::Chain`] shows both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message was refused, by us or by the server: its code is that of `oauth-wire`, such as
    /// `oauth.refused`.
    #[error(transparent)]
    Wire(Arc<aims_oauth_wire::Error>),
    /// The server says which grant types it takes, and this is none of them (RFC 8414 §2).
    #[error("the server does not take this grant type")]
    GrantType,
    /// The token is not of a type that can be presented.
    #[error("the server gave a token that cannot be presented")]
    TokenType,
    /// The token is good for more than was asked for (RFC 6749 §3.3).
    #[error(
        "the server gave a token with scopes that were not asked for: {wider}; if this server adds \
         scopes of its own, accept them by \
         `TokenSource::with_rules(TokenRules::new().accept_wider_scopes())`"
    )]
    Scope {
        /// Those scopes, as the message shows them.
        wider: Box<str>,
    },
    /// The token has expired on its way, or lasts no time at all.
    #[error("the server gave a token that has expired")]
    Expired,
    /// None of the tool's authorization servers is one that this client accepts.
    #[error(
        "the tool `{}` names no authorization server that this client accepts: it names {}, and \
         accepted are {}; add the one that you trust to the accepted issuers",
        tool.as_str(), Listed(named), Listed(accepted)
    )]
    NoServer {
        /// The tool, as its metadata name it.
        tool: Resource,
        /// The servers that this client accepts.
        accepted: Arc<[Issuer]>,
        /// The servers that the resource names.
        named: Arc<[Issuer]>,
    },
    /// The authorization server says which resources it serves, and the tool is none of them (RFC
    /// 9728 §4).
    #[error(
        "the authorization server does not serve the resource `{}`: it serves {served}; name one of \
         these, or have the server list the resource",
        resource.as_str()
    )]
    NotServed {
        /// The tool.
        resource: Resource,
        /// The first of the resources that the server says it serves, as the message shows them.
        served: Box<str>,
    },
    /// No document was found at any of the places where the standards put it.
    #[error("no metadata of {sought} were found; asked: {asked}; {}", sought.advice())]
    NotFound {
        /// Whose metadata were looked for.
        sought: Sought,
        /// The places, and what each answered.
        asked: Attempts,
    },
    /// The last place that was asked ended the discovery: its answer cannot be used. The code is
    /// that of the source.
    #[error("discovery ended; asked: {asked}")]
    Metadata {
        /// The places, and what each answered.
        asked: Attempts,
        /// Whether it is unavailable for now, or refused.
        outcome: Outcome,
        /// Why the answer cannot be used.
        #[source]
        source: Arc<Self>,
    },
    /// The workload has no identity to authenticate with.
    #[cfg(feature = "workload")]
    #[error(transparent)]
    Identity(aims_wimse_cred::Error),
    /// The request could not be sent, or no answer came.
    #[error("the request could not be sent")]
    Transport(#[source] aims_fetch::Error),
    /// It failed shortly before; it is not tried again yet.
    #[error("it failed shortly before")]
    BackingOff {
        /// How it failed.
        #[source]
        last: Arc<Self>,
    },
    /// The request was given up: its task ended without an outcome, or the identity's key changed
    /// again and again.
    #[error("the request was given up")]
    Interrupted,
    /// As many tokens are being asked for as can be kept.
    #[error("no room for another token")]
    Busy,
}

impl From<aims_oauth_wire::Error> for Error {
    fn from(error: aims_oauth_wire::Error) -> Self {
        Self::Wire(Arc::new(error))
    }
}

impl Error {
    aims_error::codes! {
        Self::GrantType => Forbidden "grant.unsupported",
        Self::TokenType => Forbidden "grant.token_type",
        Self::Scope { .. } => Forbidden "grant.scope",
        Self::Expired => Expired "grant.expired",
        Self::Transport(_) => Unavailable "grant.transport",
        Self::BackingOff { .. } => Unavailable "grant.backing_off",
        Self::Interrupted => Unavailable "grant.interrupted",
        Self::Busy => Unavailable "grant.busy",
        Self::NoServer { .. } => Mismatch "discovery.no_server",
        Self::NotServed { .. } => Mismatch "discovery.not_served",
        Self::NotFound { .. } => Unavailable "discovery.not_found",
        ;
        Self::Metadata { source, outcome: Outcome::Refused, .. } => source.code(), source.kind();
        Self::Metadata { source, outcome: Outcome::Unavailable, .. }
            => source.code(), unavailable(source);
        Self::Wire(source) => source.code(), source.kind();
        #[cfg(feature = "workload")]
        Self::Identity(source) => source.code(), source.kind();
    }

    pub(crate) fn not_served(resource: &Resource, server: &ServerMetadata) -> Self {
        let served = server.protected_resources().into_iter().flatten();
        Self::NotServed {
            resource: resource.clone(),
            served: shown(served.map(String::as_str)),
        }
    }

    /// Whether a token endpoint did not answer as one: it may have moved.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Wire(error) => matches!(**error, aims_oauth_wire::Error::Response { .. }),
            _ => false,
        }
    }

    /// What the token endpoint said, where it refused (RFC 6749 §5.2).
    #[must_use]
    pub fn refusal(&self) -> Option<&TokenError> {
        match self {
            Self::Wire(error) => match &**error {
                aims_oauth_wire::Error::Refused(refusal) => Some(refusal),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Whatever the answer was, it cannot be used now.
const fn unavailable(_source: &Error) -> ErrorKind {
    ErrorKind::Unavailable
}

/// Whose metadata were looked for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Sought {
    /// A tool's (RFC 9728).
    Tool(Resource),
    /// An authorization server's (RFC 8414, OpenID Connect Discovery).
    Server(Issuer),
}

impl Sought {
    const fn advice(&self) -> &'static str {
        match self {
            Self::Tool(_) => {
                "expected a document whose `resource` is byte for byte the tool's URL; check the \
                 URL, and that the tool serves its metadata (`Guard::layer`, \
                 `Guard::metadata_routes`)"
            }
            Self::Server(_) => {
                "expected a document whose `issuer` is byte for byte this one; check the issuer"
            }
        }
    }
}

impl fmt::Display for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(tool) => write!(f, "the tool `{}`", tool.as_str()),
            Self::Server(issuer) => write!(f, "the authorization server `{}`", issuer.as_str()),
        }
    }
}

/// The first issuers of a list.
struct Listed<'a>(&'a [Issuer]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (number, issuer) in self.0.iter().take(MAX_LISTED).enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}`{}`", issuer.as_str())?;
        }
        match self.0.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

const MAX_LISTED: usize = 4;
