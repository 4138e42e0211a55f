//! The suite, run on `provider::AWS_LC`.
#![cfg(feature = "aws-lc-rs")]

use jose::provider::Provider;

fn provider() -> &'static dyn Provider {
    jose::provider::AWS_LC
}

#[path = "suite/mod.rs"]
mod suite;
