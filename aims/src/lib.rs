#![cfg_attr(
    all(
        feature = "agent",
        feature = "axum",
        feature = "introspection",
        feature = "redis",
        feature = "testing",
        feature = "web-bot-auth"
    ),
    doc = "[task index]: guide\n"
)]
#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(inline)]
pub use aims_error::index as errors;
pub use aims_error::{ErrorKind, Report};
#[cfg(any(feature = "agent", feature = "fetch", feature = "web-bot-auth"))]
#[doc(inline)]
pub use aims_fetch as fetch;
#[cfg(any(feature = "agent", feature = "tool", feature = "web-bot-auth"))]
#[doc(inline)]
pub use aims_http_sig as http_sig;
#[doc(inline)]
pub use aims_jose as jose;
#[cfg(any(feature = "agent", feature = "introspection"))]
#[doc(inline)]
pub use aims_oauth_client as oauth_client;
#[cfg(feature = "tool")]
#[doc(inline)]
pub use aims_oauth_rs as oauth_rs;
#[cfg(any(feature = "agent", feature = "tool"))]
#[doc(inline)]
pub use aims_oauth_wire as oauth_wire;
#[doc(inline)]
pub use aims_replay as replay;
#[cfg(feature = "tool")]
#[doc(inline)]
pub use aims_txn_token as txn_token;
#[doc(inline)]
pub use aims_wimse_cred as cred;
#[doc(inline)]
pub use aims_wimse_id as id;
#[doc(inline)]
pub use aims_wimse_wpt as wpt;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "tool")]
pub mod decision;
#[cfg(feature = "tool")]
pub mod guard;
#[cfg(all(
    any(doc, doctest),
    feature = "agent",
    feature = "axum",
    feature = "introspection",
    feature = "redis",
    feature = "testing",
    feature = "web-bot-auth"
))]
pub mod guide;
#[cfg(feature = "introspection")]
pub mod introspect;
#[cfg(feature = "fetch")]
pub mod keys;
#[cfg(feature = "tool")]
mod principal;
#[cfg(feature = "tool")]
pub mod record;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub mod redis;
#[cfg(feature = "tool")]
mod refusal;
#[cfg(feature = "tool")]
mod requirements;
#[cfg(feature = "tool")]
pub mod resolve;
#[cfg(feature = "tool")]
pub mod revoked;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod trace;
#[cfg(feature = "web-bot-auth")]
pub mod web_bot_auth;

#[cfg(feature = "agent")]
pub use agent::Agent;
#[cfg(feature = "tool")]
pub use guard::{Guard, Proof};
#[cfg(feature = "tool")]
pub use principal::Principal;
#[cfg(feature = "tool")]
pub use refusal::Refusal;
#[cfg(feature = "tool")]
pub use requirements::Requirements;

/// Compiles the examples of the project's README as they are printed there.
#[cfg(all(doctest, feature = "agent", feature = "axum", feature = "fetch"))]
#[doc = include_str!("../../README.md")]
struct Readme;
