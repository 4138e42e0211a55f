//! A source whose store fails, whose user logs out elsewhere, and whose tokens are revoked.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod logout;
mod signal;
mod stored;
mod world;
