//! The error type of this crate.

mod class;

use std::fmt;
use std::sync::Arc;

use aims_error::{ErrorKind, shown};
use aims_oauth_wire::delegate::Amplification;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::metadata::attempt::{Attempts, Outcome};
use aims_oauth_wire::names::{Issuer, Resource};
use aims_oauth_wire::token::TokenError;

pub use self::class::ErrorClass;

/// The error of a function that the program gives.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Error returned when no token was obtained, or no authorization server was found.
///
/// No message contains a token. No message repeats its source; [`aims_jose::Chain`] prints both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message was refused, by this client or by the server. The code is that of
    /// `aims-oauth-wire`, such as `oauth.refused`.
    #[error(transparent)]
    Wire(Arc<aims_oauth_wire::Error>),
    /// The server lists its grant types, and this one is not in the list (RFC 8414 §2).
    #[error("the server does not take this grant type")]
    GrantType,
    /// The type of the token is not supported.
    #[error("the server gave a token that cannot be presented")]
    TokenType,
    /// The server gave a bearer token although the request had a DPoP proof (RFC 9449 §5).
    #[error(
        "the server gave a token that is not bound to the client's DPoP key; if it ignores DPoP for \
         this client, accept that by `TokenRules::new().accept_unbound_tokens()`"
    )]
    Unbound,
    /// The client requires tokens that are bound to its certificate, and the server does not
    /// announce them (RFC 8705 §3.3).
    #[error(
        "the server does not announce `tls_client_certificate_bound_access_tokens`; if it binds \
         tokens nevertheless, accept that by `TokenRules::new().accept_unbound_tokens()`"
    )]
    CertificateUnsupported,
    /// The token has no `cnf` with the client's certificate (RFC 8705 §3.1).
    #[error(
        "the server gave a token that is not bound to the client's certificate; does the HTTP \
         client present it at the token endpoint?"
    )]
    CertificateUnbound,
    /// The token is bound to another certificate than the client's (RFC 8705 §3.1).
    #[error(
        "the server gave a token that is bound to another certificate; does the HTTP client \
         present the one that the client states?"
    )]
    CertificateDiffers,
    /// A token that is bound to a DPoP key was to be sent without a proof.
    #[error("the token is bound to a DPoP key; use `Token::authorize`, which adds the proof")]
    NeedsProof,
    /// The server does not support the algorithm of the DPoP key (RFC 9449 §5.1).
    #[error(
        "the server does not accept DPoP proofs by {found}; use a key of an algorithm in its \
         `dpop_signing_alg_values_supported`"
    )]
    DpopAlgorithm {
        /// The algorithm of the key.
        found: &'static str,
    },
    /// The token has another type than the requested one (RFC 8693 §2.2.1).
    #[error("the server issued a token of the type {found}: expected `{expected}`")]
    IssuedTokenType {
        /// The requested type.
        expected: &'static str,
        /// `issued_token_type` of the response, as the message shows it.
        found: Box<str>,
    },
    /// The exchanged token does not name the actor that was asked for (RFC 8693 §4.1).
    #[error(
        "the exchanged token does not name the actor in `act`; the server may ignore \
         `actor_token`, and would let the agent pass for its user"
    )]
    Actor,
    /// The exchanged token lives longer than the subject token, or than the maximum.
    #[error(
        "the exchanged token ends at {found}: expected at most {limit}; if this server gives \
         exchanged tokens a new lifetime, accept it by `accept_new_lifetime`"
    )]
    Lifetime {
        /// The end of the token, in Unix seconds.
        found: u64,
        /// The last end that was allowed, in Unix seconds.
        limit: u64,
    },
    /// The exchanged token permits more than the subject token, or that cannot be decided.
    #[error(transparent)]
    Amplified(Amplification),
    /// The exchanged token or the subject token is not a JWT of a known kind, so they cannot be
    /// compared.
    #[error("the tokens of the exchange cannot be compared: expected JWTs of one kind")]
    Incomparable,
    /// The issued assertion is not the requested one.
    #[error("the server issued an assertion that was not asked for: {reason}")]
    Assertion {
        /// The finding.
        reason: &'static str,
    },
    /// The issued transaction token is not the requested one.
    #[error("the server issued a transaction token that was not asked for: {reason}")]
    Transaction {
        /// The finding.
        reason: &'static str,
    },
    /// The token of an approval is not for the approved call (RFC 9396 §7).
    #[error(
        "the server gave a token that is not for the approved call alone: {reason}; expected one \
         entry of the type `aims_tool` with its tool, arguments and digest"
    )]
    Approval {
        /// The finding.
        reason: &'static str,
    },
    /// The server granted other authorization details than the requested ones, or does not state
    /// them (RFC 9396 §7).
    #[error(
        "the server granted other authorization details than the requested ones: {reason}; if that \
         is intended, accept it by `TokenRules::accept_other_details` or `accept_unstated_details`"
    )]
    GrantedDetails {
        /// The finding, with the types as the message shows them.
        reason: Box<str>,
    },
    /// The authorization details have another form (RFC 9396 §2).
    #[error("invalid authorization details: expected a JSON array of objects with a `type`")]
    Details,
    /// The redirect URI cannot be used.
    #[error(
        "invalid redirect URI: expected https, http on this machine, or a private scheme with a \
         dot, without fragment"
    )]
    Redirect,
    /// The authorization server lacks something that a login or a request for an approval needs.
    #[error("the authorization server does not support this login or approval: {reason}")]
    UnsupportedServer {
        /// The missing feature, or what the request lacks.
        reason: &'static str,
    },
    /// The answer of the browser cannot be read.
    #[error("the answer of the authorization server cannot be used: {reason}")]
    Callback {
        /// The finding.
        reason: &'static str,
    },
    /// The answer of the browser is for another request, or was given before.
    #[error("the answer has another `state`; start the login again, in one tab")]
    State,
    /// The answer of the browser is of another authorization server (RFC 9207 §2.4).
    #[error(
        "the answer is of another authorization server: expected `iss` `{}`, found {found}",
        expected.as_str()
    )]
    AnswerIssuer {
        /// The server that the user was sent to.
        expected: Issuer,
        /// `iss` of the answer, as the message shows it.
        found: Box<str>,
    },
    /// The authorization server refused the request, or the user did (RFC 6749 §4.1.2.1).
    #[error("the authorization was refused: {0}")]
    AuthorizationRefused(Box<TokenError>),
    /// The ID token that came with the access token is not the one of this login.
    #[error("the ID token is not that of this login: {reason}")]
    IdToken {
        /// The finding.
        reason: &'static str,
    },
    /// No port of this machine can be listened on.
    #[error("cannot listen for the answer of the browser")]
    Listen(#[source] Arc<std::io::Error>),
    /// The browser could not be opened, or the code of a device login could not be shown.
    #[error("the browser could not be opened; open the URL by hand, or on another machine")]
    Browser(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The user did not answer in time, in the browser or on another device.
    #[error("the user did not answer in time")]
    LoginTimeout,
    /// The user or the program gave the login up.
    #[error("the login was cancelled")]
    Cancelled,
    /// There are no random bytes.
    #[error("no random bytes")]
    Random(#[source] aims_jose::Error),
    /// No grant is configured that the authorization server offers.
    #[error(
        "no way to a token of `{}`: {closed}; configure a grant that the server offers",
        issuer.as_str()
    )]
    NoWay {
        /// The server.
        issuer: Issuer,
        /// Each grant, and why it is not possible.
        closed: Box<str>,
    },
    /// The tool requires scopes that the program does not allow.
    #[error(
        "the tool requires scopes that are not allowed: {wider}; allow them by `allow_scopes`, or \
         name them in the approval's `scopes`"
    )]
    ScopeNotAllowed {
        /// The scopes, as the message shows them.
        wider: Box<str>,
    },
    /// The tool, the registration of the client or the program requires tokens that are bound by
    /// DPoP, and that is not possible (RFC 9728 §2, RFC 9449 §5.2).
    #[error(
        "{by} requires tokens that are bound by DPoP, and {reason}; expected \
         `Connector::with_dpop` with a store whose `is_sealed` is true or without one, or \
         `Connector::with_dpop_keys`, and a tool and a server that accept the algorithm of the key"
    )]
    DpopRequired {
        /// The party that requires it.
        by: &'static str,
        /// The reason.
        reason: &'static str,
    },
    /// The client has no identity at this authorization server.
    #[error(
        "the client has no identity at `{}`: expected one that is registered there, a metadata \
         document that the server takes, or permission to register",
        issuer.as_str()
    )]
    NoIdentity {
        /// The server.
        issuer: Issuer,
    },
    /// The URL cannot be that of a client's metadata document.
    #[error(
        "the URL cannot identify a client: expected https with a path, in normal form, without \
         fragment"
    )]
    DocumentUrl,
    /// The metadata of the client cannot be used.
    #[error("the metadata of the client cannot be used: {reason}")]
    ClientMetadata {
        /// The finding.
        reason: &'static str,
    },
    /// The server refused the registration (RFC 7591 §3.2.2).
    #[error("the server refused to register the client: {0}")]
    RegistrationRefused(Box<TokenError>),
    /// The answer to the registration cannot be used.
    #[error("the registration cannot be used: {reason}")]
    Registration {
        /// The finding.
        reason: &'static str,
    },
    /// The server does not know the registration, or its access token, any more (RFC 7592 §2).
    #[error("the server does not know the registration any more; register the client again")]
    RegistrationGone,
    /// The store of tokens cannot be read or written.
    #[error("the store of tokens cannot be read or written")]
    Store(#[source] Arc<std::io::Error>),
    /// The store has no room, and no value that it may remove.
    #[error("the store of tokens is full; log users out, or allow more values")]
    StoreFull,
    /// The content of the store cannot be used.
    #[error(
        "the store of tokens cannot be opened: expected a file sealed with this key; remove both \
         files and log in again, or give the key file"
    )]
    StoreContent,
    /// A file of the store can be read by others, or belongs to another user.
    #[error(
        "the file `{path}` must belong to the user of this program with the permissions 600: found \
         {mode:o}, {}",
        if *is_own { "of this user" } else { "of another user" }
    )]
    StorePermissions {
        /// The path.
        path: Box<str>,
        /// The permissions.
        mode: u32,
        /// Whether it belongs to the user of this program.
        is_own: bool,
    },
    /// There is no token, and only a user can grant one.
    #[error("a user must grant access; log the user in again")]
    NeedsUser {
        /// The reason why the earlier grant of the user cannot be used any more.
        #[source]
        last: Option<Arc<Self>>,
    },
    /// The DPoP proof could not be made.
    #[error(transparent)]
    Dpop(Arc<aims_oauth_wire::dpop::Error>),
    /// The DPoP key does not sign, or could not be generated.
    #[error("the DPoP key does not sign")]
    Sign(#[source] aims_jose::Error),
    /// The token has scopes that were not requested (RFC 6749 §3.3).
    #[error(
        "the server gave a token with scopes that were not asked for: {wider}; if this server adds \
         scopes of its own, accept them by `TokenRules::accept_unrequested_scopes`, or \
         `aims login --accept-unrequested-scope`"
    )]
    Scope {
        /// The additional scopes, as the message shows them.
        wider: Box<str>,
    },
    /// The token had expired when it arrived, or has no lifetime.
    #[error("the server gave a token that has expired")]
    Expired,
    /// The client accepts none of the tool's authorization servers.
    #[error(
        "the tool `{}` names no authorization server that this client accepts: it names {}, and \
         accepted are {}; {}",
        tool.as_str(), Listed(named), Listed(accepted), way_out(named)
    )]
    NoServer {
        /// The tool, as its metadata names it.
        tool: Resource,
        /// The servers that this client accepts.
        accepted: Arc<[Issuer]>,
        /// The servers that the resource names.
        named: Arc<[Issuer]>,
    },
    /// The authorization server lists its resources, and the tool is not in the list (RFC 9728 §4).
    #[error(
        "the authorization server does not serve the resource `{}`: it serves {served}; name one of \
         these, or have the server list the resource",
        resource.as_str()
    )]
    NotServed {
        /// The tool.
        resource: Resource,
        /// The first resources in the list of the server, as the message shows them.
        served: Box<str>,
    },
    /// No metadata document was found at any well-known URL.
    #[error("no metadata of {sought} were found; asked: {asked}; {}", sought.advice())]
    NotFound {
        /// The tool or server whose metadata was requested.
        sought: Sought,
        /// The URLs that were asked, and the answer of each.
        asked: Attempts,
    },
    /// The answer of the last URL ended discovery, because it cannot be used. The code is that of
    /// the source.
    #[error("discovery ended; asked: {asked}")]
    Metadata {
        /// The URLs that were asked, and the answer of each.
        asked: Attempts,
        /// Whether the server may answer later, or its document was refused.
        outcome: Outcome,
        /// The error of the last URL.
        #[source]
        source: Arc<Self>,
    },
    /// The workload has no identity for client authentication.
    #[cfg(feature = "workload")]
    #[error(transparent)]
    Identity(aims_wimse_cred::Error),
    /// The request could not be sent, or no answer arrived.
    #[error("the request could not be sent")]
    Transport(#[source] aims_fetch::Error),
    /// The server refused an assertion of a platform that it had accepted before, so the platform
    /// must replace it first.
    #[error("the platform's token was used; a new one is awaited: {0}")]
    AssertionUsed(Box<TokenError>),
    /// The last attempt failed shortly before, and the next one is not due yet.
    #[error("it failed shortly before")]
    BackingOff {
        /// The error of the last attempt.
        #[source]
        last: Arc<Self>,
    },
    /// The request was given up: its task ended without a result, or the identity's key changed
    /// repeatedly during the request.
    #[error("the request was given up")]
    Interrupted,
    /// The maximum number of tokens is being requested at the same time.
    #[error("no room for another token")]
    Busy,
}

impl From<aims_oauth_wire::Error> for Error {
    fn from(error: aims_oauth_wire::Error) -> Self {
        Self::Wire(Arc::new(error))
    }
}

impl From<aims_oauth_wire::dpop::Error> for Error {
    fn from(error: aims_oauth_wire::dpop::Error) -> Self {
        Self::Dpop(Arc::new(error))
    }
}

impl Error {
    aims_error::codes! {
        Self::GrantType => Forbidden "grant.unsupported",
        Self::TokenType => Forbidden "grant.token_type",
        Self::Unbound => Forbidden "grant.unbound",
        Self::CertificateUnsupported => Configuration "grant.certificate_unsupported",
        Self::CertificateUnbound => Forbidden "grant.certificate_unbound",
        Self::CertificateDiffers => Mismatch "grant.certificate_differs",
        Self::NeedsProof => Configuration "grant.needs_proof",
        Self::DpopAlgorithm { .. } => Configuration "grant.dpop_algorithm",
        Self::Sign(_) => Unavailable "grant.sign",
        Self::IssuedTokenType { .. } => Forbidden "grant.issued_token_type",
        Self::Actor => Forbidden "grant.actor",
        Self::Lifetime { .. } => Forbidden "grant.lifetime",
        Self::Incomparable => Forbidden "grant.incomparable",
        Self::Assertion { .. } => Mismatch "grant.assertion",
        Self::Transaction { .. } => Mismatch "grant.transaction",
        Self::Approval { .. } => Mismatch "grant.approval",
        Self::Details => Configuration "grant.details",
        Self::GrantedDetails { .. } => Forbidden "grant.other_details",
        Self::Redirect => Configuration "authorize.redirect",
        Self::UnsupportedServer { .. } => Forbidden "authorize.unsupported",
        Self::Callback { .. } => Malformed "authorize.response",
        Self::State => Mismatch "authorize.state",
        Self::AnswerIssuer { .. } => Mismatch "authorize.issuer",
        Self::AuthorizationRefused(_) => Forbidden "authorize.refused",
        Self::IdToken { .. } => Mismatch "authorize.id_token",
        Self::Listen(_) => Unavailable "authorize.listen",
        Self::Browser(_) => Unavailable "authorize.browser",
        Self::LoginTimeout => Expired "authorize.timeout",
        Self::Cancelled => Forbidden "authorize.cancelled",
        Self::NoWay { .. } => Configuration "connect.no_way",
        Self::ScopeNotAllowed { .. } => Forbidden "connect.scope",
        Self::DpopRequired { .. } => Configuration "connect.dpop",
        Self::NoIdentity { .. } => Configuration "client.none",
        Self::DocumentUrl => Configuration "client.document",
        Self::ClientMetadata { .. } => Configuration "client.metadata",
        Self::RegistrationGone => Forbidden "client.registration_gone",
        Self::RegistrationRefused(_) => Forbidden "client.registration_refused",
        Self::Registration { .. } => Malformed "client.registration",
        Self::Store(_) => Unavailable "store.unavailable",
        Self::StoreFull => Unavailable "store.full",
        Self::StoreContent => Untrusted "store.content",
        Self::StorePermissions { .. } => Configuration "store.permissions",
        Self::NeedsUser { .. } => Forbidden "grant.needs_user",
        Self::Scope { .. } => Forbidden "grant.scope",
        Self::Expired => Expired "grant.expired",
        Self::Transport(_) => Unavailable "grant.transport",
        Self::AssertionUsed(_) => Unavailable "grant.assertion_used",
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
        Self::Amplified(source) => source.code(), source.kind();
        Self::Random(source) => source.code(), source.kind();
        Self::Dpop(source) => source.code(), source.kind();
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

    /// Returns whether the token endpoint did not answer like one, so that it may have moved.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Transport(_)) || self.is_unreadable()
    }

    /// Returns whether the answer was not one of a token endpoint.
    fn is_unreadable(&self) -> bool {
        match self {
            Self::Wire(error) => matches!(**error, aims_oauth_wire::Error::Response { .. }),
            _ => false,
        }
    }

    /// Returns the error response of the token endpoint, if it refused the request (RFC 6749 §5.2).
    #[must_use]
    pub fn refusal(&self) -> Option<&TokenError> {
        match self {
            Self::Wire(error) => match &**error {
                aims_oauth_wire::Error::Refused(refusal) => Some(refusal),
                _ => None,
            },
            Self::AssertionUsed(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// Returns the kind of an error that ends discovery as unavailable, whatever its source is.
const fn unavailable(_source: &Error) -> ErrorKind {
    ErrorKind::Unavailable
}

/// The tool or server whose metadata was requested.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Sought {
    /// A tool (RFC 9728).
    Tool(Resource),
    /// An authorization server (RFC 8414, OpenID Connect Discovery).
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

/// Returns what to do where none of these servers is accepted.
const fn way_out(named: &[Issuer]) -> &'static str {
    match named {
        [] => "the operator of the tool must list its server in `authorization_servers`",
        [..] => "add the one that you trust to the accepted issuers",
    }
}

/// Displays the first issuers of a list.
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
