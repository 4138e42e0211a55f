//! Token exchange and JWT grants: no answer is more than what was asked for (RFC 8693, RFC 7523).

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod answer;
mod assertion;
mod malformed;
mod request;
mod tokens;
