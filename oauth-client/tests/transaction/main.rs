//! Transaction tokens: requested for an access token, replaced, kept for one transaction, and
//! exchanged for a grant at the border of their domain.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod answer;
mod kept;
mod other_domain;
mod world;
