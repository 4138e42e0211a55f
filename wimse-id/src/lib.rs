#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod id;
mod parse;
mod pattern;
#[cfg(feature = "serde")]
mod text;

pub use error::Error;
pub use id::{Origin, Scheme, TrustDomain, WorkloadId};
pub use pattern::IdPattern;
