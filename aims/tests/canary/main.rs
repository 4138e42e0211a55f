//! Secrets are planted wherever a server gives or gets one. Then everything that a program can see
//! is searched for them: logs, events, errors, `Debug`, and the values that go to the loop of its
//! model.

#![cfg(all(feature = "agent", feature = "tool"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod connected;
mod guarded;
mod net;
mod proving;
mod seen;

/// The beginning of each planted secret.
const CANARY: &str = "c4n4ry";

fn planted(name: &str) -> String {
    format!("{CANARY}-{name}")
}
