#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-txn-token/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cache;
mod error;
mod fields;
mod issue;
mod revision;
mod token;

pub use cache::TxnTokenCache;
pub use error::Error;
pub use fields::{TXN_TOKEN, from_headers};
pub use issue::TxnTokenRequest;
pub use revision::{REVISION, TOKEN_TYPE};
pub use token::{TxnToken, TxnTokenRules};
