//! Whom we trust: one bundle of keys for each origin.

mod bundle;
mod store;

pub use bundle::Bundle;
pub(crate) use store::select;
pub use store::{Trust, TrustStore};
