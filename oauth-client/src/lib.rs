#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod discovery;
mod error;
mod grant;
#[cfg(feature = "tokio")]
mod source;
mod token;

pub use error::Error;
pub use grant::{ClientCredentials, PendingToken};
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use source::TokenSource;
pub use token::Token;
