#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-wimse-wpt/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod binding;
mod error;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod fields;
mod revision;
mod sign;
mod verify;

pub use binding::Binding;
pub use error::Error;
pub use revision::{Revision, Revisions};
pub use verify::{UnspentWpt, WptProof, WptRules, verify};

/// The `typ` of a WPT (draft-ietf-wimse-wpt §2). The older `wimse-proof+jwt` is not accepted.
pub(crate) const TYP: &str = "wpt+jwt";
