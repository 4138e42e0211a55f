//! Requests for the authorization of a user: `resource`, authorization details, hints, and what
//! the metadata of the server exclude.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod backchannel;
mod parameters;
mod push;
mod world;
