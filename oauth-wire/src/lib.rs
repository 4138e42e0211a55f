#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-oauth-wire/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod assertion;
pub mod attestation;
pub mod authorization_details;
pub mod bearer;
pub mod call;
pub mod certificate;
pub mod challenge;
pub mod client_auth;
pub mod confirmation;
pub mod delegate;
mod diagnostic;
pub mod dpop;
mod error;
mod inbound;
pub mod introspection;
pub mod media;
mod members;
pub mod metadata;
pub mod names;
mod received;
mod shown;
pub mod token;
pub mod transaction;

pub use diagnostic::Diagnostic;
pub use error::Error;
pub use inbound::InboundToken;
pub use received::Received;
