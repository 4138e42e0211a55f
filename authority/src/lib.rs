#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-authority/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod authority;
mod base;
mod builder;
mod endpoint;
mod error;
#[cfg(feature = "server")]
mod http_server;
mod identity;
mod keys;
mod limit;
mod oauth;
mod reason;
#[cfg(feature = "server")]
mod router;
mod state;
mod trail;

pub use crate::authority::Authority;
pub use crate::builder::Builder;
pub use crate::error::Error;
#[cfg(feature = "server")]
#[cfg_attr(docsrs, doc(cfg(feature = "server")))]
pub use crate::http_server::{Server, serve};
pub use crate::identity::{Challenge, Credential, Enrolment, IdentityServer, PresentedProof};
pub use crate::keys::Purpose;
pub use crate::limit::{Limits, Rate};
#[cfg(feature = "pki")]
#[cfg_attr(docsrs, doc(cfg(feature = "pki")))]
pub use crate::oauth::CertificateName;
pub use crate::oauth::{
    Approver, AuthenticateUser, AuthorizationServer, Client, DetailsType, DevUser, Exchange,
    ExchangePolicy, ExchangeTable, FindApprover, IncomingGrants, MapSubject, NameSubject,
    OutgoingGrants, Replacement, ReplacementRequest, Resource, SelfDescribed, StatedSubjects,
    Statement, ToolDetails, Transaction, TransactionPolicy, User, UserAnswer, UserRequest,
};
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use crate::state::SqliteState;
pub use crate::state::{Change, Entry, Kind, MemoryState, State, Stored};
