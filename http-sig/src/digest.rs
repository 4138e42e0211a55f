//! Digest fields: `Content-Digest`, `Repr-Digest` and what peers want of them (RFC 9530).
//!
//! A signature does not cover a body. It covers `Content-Digest`, and whoever reads the body
//! compares it (RFC 9421 §7.2.8), by
//! [`VerifiedSignature::check_content`](crate::VerifiedSignature::check_content): without the
//! comparison the body is anybody's, and a digest that nobody signed is whoever's. So a comparison
//! gives a [`Matched`], and what was only parsed verifies nothing.
//!
//! - At least one digest has to count (`sha-256`, `sha-512`), and every one that counts has to
//!   match. The others are read past: a matching `md5` is nothing.
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
