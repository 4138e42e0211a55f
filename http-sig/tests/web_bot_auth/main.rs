//! Web Bot Auth: for each rule, messages that differ from a valid one in one property.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod directory;
mod draft01;
mod request;
mod support;
