//! Transaction tokens come back to the authority: for a replacement within the trust domain, and at
//! its border for an access token. Neither permits more.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod border;
mod domain;
mod replace;
