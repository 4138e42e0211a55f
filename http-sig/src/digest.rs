//! Digest fields: `Content-Digest`, `Repr-Digest` and what peers want of them (RFC 9530).
//!
//! A signature does not cover a body. It covers `Content-Digest`, and the receiver compares the
//! body with that digest (RFC 9421 §7.2.8), by
//! [`VerifiedSignature::check_content`](crate::VerifiedSignature::check_content). Without this
//! comparison the body is unauthenticated, and so is a digest that no signature covers. A
//! comparison returns a [`Matched`]; a digest that was only parsed proves nothing.
//!
//! - At least one digest has to count (`sha-256`, `sha-512`), and every one that counts has to
//!   match. The others are ignored: a matching `md5` does not count.
//! - The digest is over the content as it is sent: compare before `Content-Encoding` is undone.
//! - A field is read from its raw lines, in one spelling: no algorithm twice, canonical base64,
//!   bounded in size.
//!
//! A body in memory is compared by [`ContentDigest::verify`], one that comes in pieces by
//! [`ContentDigest::hashing`], an `http_body::Body` by `VerifiedBody` (with the feature `body`).

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
