//! Published keys from pages that change, fail, hang and panic on demand, with a guard that uses
//! them. Time is paused, so no test waits.

#![cfg(feature = "fetch")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and one double is told to panic"
)]

mod age;
mod announced;
#[path = "../common/mod.rs"]
mod common;
mod discovery;
mod documents;
mod removed;
mod rotation;
mod sleep;
mod support;
mod transactions;
mod watch;
