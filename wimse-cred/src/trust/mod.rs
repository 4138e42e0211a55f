//! Trusted origins: one bundle of keys for each origin.

mod bundle;
mod bundle_map;
mod store;

pub use bundle::Bundle;
pub use bundle_map::{BrokenBundle, BundleMap};
pub(crate) use store::select;
pub use store::{Trust, TrustStore};
