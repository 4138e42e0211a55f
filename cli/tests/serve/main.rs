//! `aims authority serve`: the program itself, over loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod agents;
mod served;
mod start;
mod users;
