#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-oauth-rs/0.1")]

mod cache;
mod challenge;
mod error;
mod issuers;
mod profile;
mod resource;
mod rules;
mod token;

pub use aims_oauth_wire::confirmation::{CertificateThumbprint, Confirmation, ProvenKey};
pub use cache::TokenCache;
pub use challenge::{
    TokenChallenge, TokenScheme, bearer_challenge, bearer_or_dpop_token, bearer_token, challenge,
    dpop_challenge, insufficient_scope, insufficient_user_authentication,
};
pub use error::{BindingFailure, Error, NotAccessToken};
pub use issuers::{IssuerStore, Issuers, RefreshFuture, RefreshKeys};
pub use profile::{JwtProfile, Marker, ProfileName, TokenProfile};
pub use resource::ProtectedResource;
pub use rules::{AccessTokenRules, IssuerRules};
pub use token::{AccessToken, Actor, TokenSource};
