//! The list of revocations, as a guard uses it (T-142).

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../jose/tests/twin/mod.rs"]
mod twin;

mod list;
mod reach;
mod scene;
mod time;
