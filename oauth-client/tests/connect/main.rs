//! From the URL of a tool to its tokens: the server, the identity and the grant are found.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/user.rs"]
mod user;

mod again;
mod binding;
mod bound;
mod device;
mod errors;
mod grant;
mod identity;
mod management;
mod offline;
mod registration;
mod scope;
mod server;
mod signed_metadata;
mod store;
mod world;
