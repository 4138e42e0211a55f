#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-oauth-client/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod discovery;
mod error;
mod grant;
mod introspection;
#[cfg(feature = "tokio")]
mod known_server;
#[cfg(feature = "tokio")]
mod source;
mod step;
mod token;
#[cfg(feature = "workload")]
mod workload;

pub use error::{Error, Sought};
pub use grant::{ClientCredentials, Grant, PendingToken, Target, TokenFlow, TokenRules};
pub use introspection::IntrospectionFlow;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use known_server::KnownServer;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use source::TokenSource;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use step::drive;
pub use step::{Event, Flow, Step};
pub use token::Token;
#[cfg(feature = "workload")]
#[cfg_attr(docsrs, doc(cfg(feature = "workload")))]
pub use workload::OfIdentity;
