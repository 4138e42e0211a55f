//! The suite, run on `provider::RUSTCRYPTO`.
#![cfg(feature = "rustcrypto")]

use jose::provider::Provider;

fn provider() -> &'static dyn Provider {
    jose::provider::RUSTCRYPTO
}

#[path = "suite/mod.rs"]
mod suite;
