#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-wimse-cred/0.1")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "enrolment")]
#[cfg_attr(docsrs, doc(cfg(feature = "enrolment")))]
pub mod enrolment;
mod error;
pub mod source;
mod svid;
mod trust;
mod wit;

pub use error::Error;
pub use source::{FixedSource, Identity, IdentitySource};
pub use svid::{JwtSvid, JwtSvidIssuer, JwtSvidRules};
pub use trust::{BrokenBundle, Bundle, BundleMap, Trust, TrustStore};
pub use wit::{Wit, WitCache, WitIssuer, WitRules};
