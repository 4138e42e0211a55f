//! Workload identity tokens.

mod cache;
mod issue;
mod rules;
mod verify;

pub use cache::WitCache;
pub use issue::WitIssuer;
pub(crate) use issue::{check_lifetime, check_svid_signer, sign};
pub use rules::WitRules;
pub use verify::Wit;
pub(crate) use verify::claimed_id;

/// The `typ` of a WIT (draft-ietf-wimse-workload-creds §5.1).
pub(crate) const TYP: &str = "wit+jwt";
