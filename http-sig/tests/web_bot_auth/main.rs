//! Web Bot Auth: each rule by messages that differ from a good one in one thing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod directory;
mod draft01;
mod request;
mod support;
