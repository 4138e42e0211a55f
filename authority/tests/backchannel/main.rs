//! Requests for the approval of a user (OpenID CIBA Core 1.0).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "sqlite")]
#[path = "../common/folder.rs"]
mod folder;
#[path = "../common/lines.rs"]
mod lines;

mod endpoint;
mod grant;
mod one_call;
mod page;
mod payer;
mod ping;
mod signed;
