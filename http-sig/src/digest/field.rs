//! `Content-Digest` and `Repr-Digest` (RFC 9530 §2, §3).

use core::fmt;

use http::HeaderMap;

use super::digests::Digests;
use super::{Algorithm, Hasher, Hashing, Matched};
use crate::{Error, Message, Section};

/// The digests of the content of one message as sent: after `Content-Encoding`, before
/// `Transfer-Encoding` (RFC 9530 §2).
///
/// ```
/// use aims_http_sig::digest::ContentDigest;
///
/// let body = b"{\"hello\": \"world\"}\n";
/// let field = b"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
/// let digest = ContentDigest::parse([&field[..]])?;
/// assert_eq!(digest.verify(body)?.length(), 19);
/// assert_eq!(digest.verify(b"{}").unwrap_err().code(), "digest.mismatch");
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContentDigest(pub(super) Digests);

/// The digests of a whole representation of the resource (RFC 9530 §3). In a response to `HEAD`, or
/// to a range request, they are not the digests of the content.
///
/// They do not protect the content of a message. Use [`ContentDigest`] to bind a body to a
/// signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReprDigest(pub(super) Digests);

macro_rules! field {
    ($it:ident, $name:literal, $make:ident) => {
        impl $it {
            /// The name of the field, in lower case.
            pub const FIELD: &'static str = $name;

            /// Computes the `sha-256` digest of these bytes.
            #[must_use]
            pub fn of(bytes: &[u8]) -> Self {
                Self::with(&[Algorithm::Sha256], bytes)
            }

            /// Computes the digests of these bytes, or the `sha-256` digest if no algorithm is
            /// named.
            #[must_use]
            pub fn with(algorithms: &[Algorithm], bytes: &[u8]) -> Self {
                let mut hasher = Hasher::new(algorithms.iter().copied());
                hasher.update(bytes);
                hasher.$make()
            }

            /// Parses the field from the values of its lines, in their order.
            ///
            /// Algorithms other than `sha-256` and `sha-512` are kept by name. Their values must be
            /// byte sequences too.
            ///
            /// # Errors
            ///
            /// `digest.missing` if there is no line or an empty one, `digest.size`,
            /// `digest.syntax`, `digest.base64`, `digest.repeated`, `digest.length`.
            pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Error> {
                Digests::parse(Self::FIELD, lines).map(Self)
            }

            /// Parses the field from headers.
            ///
            /// # Errors
            ///
            /// Those of [`parse`](Self::parse).
            pub fn from_headers(headers: &HeaderMap) -> Result<Self, Error> {
                let lines = headers.get_all(Self::FIELD).iter();
                Self::parse(lines.map(http::HeaderValue::as_bytes))
            }

            /// Parses the field from a section of a message.
            ///
            /// # Errors
            ///
            /// Those of [`parse`](Self::parse).
            pub fn from_message(
                message: &(impl Message + ?Sized),
                section: Section,
            ) -> Result<Self, Error> {
                // Usually there is one line, which needs no allocation.
                let (mut first, mut others) = (None, Vec::new());
                message.lines(section, Self::FIELD, &mut |line| match first {
                    None => first = Some(line),
                    Some(_) => others.push(line),
                });
                Self::parse(first.into_iter().chain(others))
            }

            /// Returns the algorithms that count as verification. If there is none,
            /// [`verify`](Self::verify) fails.
            pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
                self.0.algorithms()
            }

            /// Returns the names of the other algorithms, as received.
            pub fn others(&self) -> impl Iterator<Item = &str> {
                self.0.others()
            }

            /// Returns the digest of an algorithm, [`Algorithm::length`] bytes long.
            #[must_use]
            pub fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
                self.0.get(algorithm)
            }

            /// Compares the `sha-256` and `sha-512` digests of the field with these bytes.
            ///
            /// # Errors
            ///
            /// `digest.insecure` if the field has neither; `digest.mismatch` if one of them
            /// differs.
            pub fn verify(&self, bytes: &[u8]) -> Result<Matched, Error> {
                let mut hashing = self.hashing()?;
                hashing.update(bytes);
                hashing.finish()
            }

            /// Checks that the field has a `sha-256` or `sha-512` digest.
            ///
            /// # Errors
            ///
            /// `digest.insecure`
            pub(crate) fn check_counts(&self) -> Result<(), Error> {
                match self.algorithms().next() {
                    Some(_) => Ok(()),
                    None => Err(Error::DigestInsecure { field: Self::FIELD }),
                }
            }

            /// Begins a comparison with bytes that arrive in pieces.
            ///
            /// # Errors
            ///
            /// `digest.insecure` if the field has neither `sha-256` nor `sha-512`.
            pub fn hashing(&self) -> Result<Hashing, Error> {
                self.check_counts()?;
                Ok(Hashing::of(&self.0))
            }
        }

        /// Writes the value of the field.
        impl fmt::Display for $it {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

field!(ContentDigest, "content-digest", content_digest);
field!(ReprDigest, "repr-digest", repr_digest);
