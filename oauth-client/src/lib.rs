#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-oauth-client/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "tokio")]
mod approve;
mod authorize;
mod call;
#[cfg(feature = "tokio")]
mod connect;
pub mod discovery;
mod dpop;
mod error;
mod grant;
mod identity;
mod introspection;
#[cfg(feature = "tokio")]
mod known_server;
mod retry_after;
mod revocation;
#[cfg(feature = "http-signature")]
mod signature;
#[cfg(feature = "tokio")]
mod source;
mod step;
#[cfg(feature = "tokio")]
mod store;
mod token;
#[cfg(feature = "tokio")]
mod transaction;
#[cfg(feature = "workload")]
mod workload;

#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use approve::{ApprovalRequest, Approve, ApproveFuture, ByBackchannel, ByBrowser};
#[cfg(feature = "loopback")]
#[cfg_attr(docsrs, doc(cfg(feature = "loopback")))]
pub use authorize::Loopback;
pub use authorize::{
    AuthorizationCode, AuthorizationRequest, Authorizing, Logins, PushFlow, Receive, ReceiveFuture,
    Receiving, RedirectUri,
};
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use connect::{Connection, Connector, Explanation, Progress, Way};
pub use dpop::DpopKey;
pub use error::{Error, ErrorClass, Sought};
pub use grant::{
    Acting, ActorToken, Backchannel, BackchannelFlow, BackchannelRequest, ClientCredentials,
    Delegation, DeviceCode, DeviceFlow, DeviceLogin, DeviceRequest, Grant, GrantAudience, IdJag,
    IdJagRequest, Impersonation, JwtBearer, JwtGrant, JwtGrantRequest, NoActor, PendingToken,
    Pings, Refresh, SubjectToken, Target, TokenExchange, TokenFlow, TokenRules, TransactionToken,
    TransactionTokenRequest, UserGrant, UserHint,
};
pub use identity::{
    ApplicationType, ClientMetadata, Identities, Identity, ManagementFlow, Registered,
    RegistrationFlow, TlsSubject,
};
pub use introspection::IntrospectionFlow;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use known_server::KnownServer;
pub use revocation::RevocationFlow;
#[cfg(feature = "http-signature")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-signature")))]
pub use signature::HttpSignature;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use source::{RevocationSignal, TokenSource};
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use step::drive;
pub use step::{Event, Flow, Step};
#[cfg(feature = "file-store")]
#[cfg_attr(docsrs, doc(cfg(feature = "file-store")))]
pub use store::FileStore;
#[cfg(feature = "seal")]
#[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
pub use store::SealingKey;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use store::SqliteStore;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use store::{MemoryStore, StoreFuture, StoreKey, StoreLease, StoredValue, TokenStore};
pub use token::Token;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use transaction::{Transaction, TransactionService};
#[cfg(feature = "workload")]
#[cfg_attr(docsrs, doc(cfg(feature = "workload")))]
pub use workload::OfIdentity;
