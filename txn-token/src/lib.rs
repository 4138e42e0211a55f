#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-txn-token/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "agents")]
mod agents;
mod cache;
#[cfg(feature = "chaining")]
mod chaining;
mod error;
mod fields;
mod issue;
mod revision;
mod token;

#[cfg(feature = "agents")]
pub use agents::{AGENTS_REVISION, AgentRules, Agents, Assurance};
pub use cache::TxnTokenCache;
#[cfg(feature = "chaining")]
pub use chaining::{
    CHAINING_REVISION, ChainGrant, ChainGrantRequest, ChainGrantRules, UnspentChainGrant,
};
pub use error::Error;
pub use fields::{TXN_TOKEN, from_headers};
pub use issue::TxnTokenRequest;
pub use revision::{REVISION, TOKEN_TYPE};
pub use token::{TxnToken, TxnTokenRules};
