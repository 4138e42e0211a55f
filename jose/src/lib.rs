#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-jose/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod alg;
pub mod base64url;
mod chain;
pub mod digest;
mod error;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod jwt;
pub mod key;
pub mod provider;
pub mod random;
pub mod secret;
pub mod time;
pub mod verified;

pub use alg::{Algorithm, AlgorithmSet};
pub use chain::Chain;
pub use error::Error;
