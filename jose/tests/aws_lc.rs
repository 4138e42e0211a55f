//! Runs the suite on `provider::AWS_LC`.
#![cfg(feature = "aws-lc-rs")]
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
    aims_jose::provider::AWS_LC
}

#[path = "suite/mod.rs"]
mod suite;
