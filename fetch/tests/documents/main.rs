//! The cache of documents. Time is paused, so no test waits.

#![cfg(feature = "client")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and one double is told to panic"
)]

mod flights;
mod freshness;
mod keys;
mod pauses;
mod support;
