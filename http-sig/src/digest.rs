//! Digest fields: `Content-Digest`, `Repr-Digest`, and preferences for them (RFC 9530).
//!
//! A signature covers `Content-Digest` and not the body itself. The receiver compares the body with
//! that digest (RFC 9421 §7.2.8), by
//! [`VerifiedSignature::check_content`](crate::VerifiedSignature::check_content). Without this
//! comparison the body is unauthenticated. So is a digest that no signature covers. A comparison
//! returns a [`Matched`]; a parsed digest proves nothing.
//!
//! - A field must have a `sha-256` or `sha-512` digest, and each of these must match. Other
//!   algorithms are ignored: a matching `md5` is not enough.
//! - The digest is over the content as sent. Compare it before you decode `Content-Encoding`.
//! - A field is parsed from its raw lines and has one valid spelling: no repeated algorithm,
//!   canonical base64, limited size.
//!
//! Use [`ContentDigest::verify`] for a body in memory, [`ContentDigest::hashing`] for a body in
//! pieces, and `VerifiedBody` (feature `body`) for an `http_body::Body`.

mod algorithm;
#[cfg(feature = "body")]
mod body;
mod dictionary;
mod digests;
mod field;
mod hasher;
mod want;

pub use algorithm::Algorithm;
#[cfg(feature = "body")]
#[cfg_attr(docsrs, doc(cfg(feature = "body")))]
pub use body::{BodyError, VerifiedBody};
pub use field::{ContentDigest, ReprDigest};
pub use hasher::{Hasher, Hashing, Matched};
pub use want::{WANT_CONTENT_DIGEST, WANT_REPR_DIGEST, Wanted};
