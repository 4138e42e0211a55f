//! HTTP message signatures through the public API: RFC 9421 and its surroundings.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod accept;
mod appendix_b;
mod cavage;
mod components;
mod content;
mod debug;
mod error;
mod fields;
mod keys;
mod limits;
mod policy;
mod short;
mod signing;
mod support;
mod wimse;
mod work;
