#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod binding;
mod error;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod fields;
mod sign;
mod verify;

pub use binding::Binding;
pub use error::Error;
pub use verify::{UnspentWpt, WptProof, WptRules, verify};

/// The `typ` of a WPT (draft-ietf-wimse-wpt §2). The older `wimse-proof+jwt` is not accepted
/// (WPT-01).
pub(crate) const TYP: &str = "wpt+jwt";
