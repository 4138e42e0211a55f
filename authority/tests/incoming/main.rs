//! Authorization grants of another domain, for access tokens. Each negative differs from a good
//! grant in one property.
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

mod claims;
mod platform;
mod profiles;
mod rights;
mod world;
