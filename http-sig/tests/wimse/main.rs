//! The WIMSE profile: for each requirement (SIG-xx), messages that differ from a valid one in one
//! property.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accept;
mod body;
mod examples;
mod request;
mod response;
mod select;
mod support;
