#![doc = include_str!("../README.md")]

mod cache;
mod challenge;
mod confirmation;
mod error;
mod issuers;
mod profile;
mod resource;
mod token;

pub use cache::TokenCache;
pub use challenge::{bearer_token, challenge, insufficient_scope};
pub use confirmation::{CertificateThumbprint, Confirmation, ProvenKey};
pub use error::{BindingFailure, Error};
pub use issuers::{IssuerStore, Issuers};
pub use profile::ProfileName;
pub use resource::ProtectedResource;
pub use token::{AccessToken, AccessTokenRules, Actor, TokenSource};
