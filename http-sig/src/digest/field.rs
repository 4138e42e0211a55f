//! `Content-Digest` and `Repr-Digest` (RFC 9530 §2, §3).

use core::fmt;

use http::HeaderMap;

use super::digests::Digests;
use super::{Algorithm, Hasher, Hashing, Matched};
use crate::{Error, Message, Section};

/// The digests of the content of one message, as it is sent: behind `Content-Encoding`, before
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

/// The digests of a whole representation of the resource (RFC 9530 §3): of an answer to `HEAD` or
/// to a range it is not that of the content.
///
/// It says nothing of the content of a message; use [`ContentDigest`] to hold a body to a
/// signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReprDigest(pub(super) Digests);

macro_rules! field {
    ($it:ident, $name:literal, $make:ident) => {
        impl $it {
            /// The name of the field, in lower case.
            pub const FIELD: &'static str = $name;

            /// The `sha-256` digest of these bytes.
            #[must_use]
            pub fn of(bytes: &[u8]) -> Self {
                Self::with(&[Algorithm::Sha256], bytes)
            }

            /// The digests of these bytes; of `sha-256` where no algorithm is named.
            #[must_use]
            pub fn with(algorithms: &[Algorithm], bytes: &[u8]) -> Self {
                let mut hasher = Hasher::new(algorithms.iter().copied());
                hasher.update(bytes);
                hasher.$make()
            }

            /// Reads the field from the values of its lines, in their order.
            ///
            /// Algorithms that do not count are kept by name; the value of each has to be a byte
            /// sequence all the same.
            ///
            /// # Errors
            ///
            /// `digest.missing` where there is no line or an empty one, `digest.size`,
            /// `digest.syntax`, `digest.base64`, `digest.repeated`, `digest.length`.
            pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Error> {
                Digests::parse(Self::FIELD, lines).map(Self)
            }

            /// Reads the field from headers.
            ///
            /// # Errors
            ///
            /// As [`parse`](Self::parse).
            pub fn from_headers(headers: &HeaderMap) -> Result<Self, Error> {
                let lines = headers.get_all(Self::FIELD).iter();
                Self::parse(lines.map(http::HeaderValue::as_bytes))
            }

            /// Reads the field from a section of a message.
            ///
            /// # Errors
            ///
            /// As [`parse`](Self::parse).
            pub fn from_message(
                message: &(impl Message + ?Sized),
                section: Section,
            ) -> Result<Self, Error> {
                // Mostly there is one line, and that needs no memory.
                let (mut first, mut others) = (None, Vec::new());
                message.lines(section, Self::FIELD, &mut |line| match first {
                    None => first = Some(line),
                    Some(_) => others.push(line),
                });
                Self::parse(first.into_iter().chain(others))
            }

            /// The algorithms that count; where there is none, nothing verifies.
            pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
                self.0.algorithms()
            }

            /// The names of the algorithms that do not count, as they came.
            pub fn others(&self) -> impl Iterator<Item = &str> {
                self.0.others()
            }

            /// A digest that counts, of [`Algorithm::length`] bytes.
            #[must_use]
            pub fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
                self.0.get(algorithm)
            }

            /// Compares every digest that counts with these bytes.
            ///
            /// # Errors
            ///
            /// `digest.insecure` where there is none that counts, `digest.mismatch`.
            pub fn verify(&self, bytes: &[u8]) -> Result<Matched, Error> {
                let mut hashing = self.hashing()?;
                hashing.update(bytes);
                hashing.finish()
            }

            /// Whether there is one that counts.
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

            /// The same for bytes that come in pieces.
            ///
            /// # Errors
            ///
            /// `digest.insecure` where there is no digest that counts.
            pub fn hashing(&self) -> Result<Hashing, Error> {
                self.check_counts()?;
                Ok(Hashing::of(&self.0))
            }
        }

        /// The value of the field.
        impl fmt::Display for $it {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

field!(ContentDigest, "content-digest", content_digest);
field!(ReprDigest, "repr-digest", repr_digest);
