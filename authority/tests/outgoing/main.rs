//! Authorization grants for another domain, by token exchange. No grant permits more than the
//! subject token.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lines.rs"]
mod lines;

mod grants;
mod identity;
mod world;
