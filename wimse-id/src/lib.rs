#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-wimse-id/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod id;
mod parse;
mod pattern;
#[cfg(feature = "serde")]
mod text;

pub use error::{Error, Reason};
pub use id::{Origin, Scheme, TrustDomain, WorkloadId};
pub use pattern::IdPattern;
