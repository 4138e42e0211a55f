#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod assertion;
pub mod attestation;
pub mod bearer;
pub mod challenge;
pub mod client_auth;
mod error;
pub mod media;
pub mod metadata;
pub mod names;
pub mod token;

pub use error::Error;
