#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-jose/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod alg;
pub mod base64url;
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

#[doc(inline)]
pub use aims_error::Chain;
pub use alg::{Algorithm, AlgorithmSet};
pub use error::Error;
