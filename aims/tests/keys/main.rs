//! Keys as they are published, from pages that change, fail, hang and panic when told to, with a
//! guard on top. Time is paused: nothing here waits.

#![cfg(feature = "fetch")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and one double is told to panic"
)]

mod age;
#[path = "../common/mod.rs"]
mod common;
mod discovery;
mod documents;
mod removed;
mod rotation;
mod sleep;
mod support;
mod watch;
