//! The WIMSE profile: each requirement line (SIG-xx) by messages that differ from a good one in one
//! thing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accept;
mod body;
mod examples;
mod request;
mod response;
mod select;
mod support;
