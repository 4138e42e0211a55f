//! Runs the suite on `provider::RUSTCRYPTO`.
#![cfg(feature = "rustcrypto")]
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly, as tests do"
)]

use aims_jose::provider::Provider;

fn provider() -> &'static dyn Provider {
    aims_jose::provider::RUSTCRYPTO
}

#[path = "suite/mod.rs"]
mod suite;
