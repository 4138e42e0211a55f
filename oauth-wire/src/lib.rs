#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod assertion;
pub mod challenge;
pub mod client_auth;
mod error;
mod media;
pub mod metadata;
pub mod names;
pub mod token;

pub use error::Error;
