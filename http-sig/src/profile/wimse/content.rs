//! The body of a message, which no signature covers: its digest does
//! (draft-ietf-wimse-http-signature §3).

use crate::digest::{ContentDigest, Hashing, Matched};
use crate::{Error, Message, Section, VerifiedSignature};

/// The body of a message that is about to be signed.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is a body or there is none")]
pub enum Content<'a> {
    /// There is one, and this is the digest that stands in `Content-Digest`.
    Digest(&'a ContentDigest),
    /// There is none.
    Empty,
}

impl Content<'_> {
    /// Whether the message says the same of its body.
    ///
    /// # Errors
    ///
    /// `digest.missing`, `digest.mismatch`, and those of [`ContentDigest::parse`].
    pub(super) fn check(&self, message: &dyn Message, framed: Framed) -> Result<(), Error> {
        match self {
            Self::Digest(digest) => {
                let found = ContentDigest::from_message(message, Section::Headers)?;
                let algorithm = digest.algorithms().next().ok_or(Error::DigestInsecure {
                    field: ContentDigest::FIELD,
                })?;
                if found == **digest {
                    Ok(())
                } else {
                    Err(Error::DigestMismatch { algorithm })
                }
            }
            Self::Empty => framed.check(message),
        }
    }
}

/// Whether the framing of a message says of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framed {
    /// `Content-Length` and `Transfer-Encoding` are about the body.
    ByFields,
    /// There is no body, whatever fields there are: an answer to `HEAD`, 204, 304 (RFC 9112 §6.3).
    Never,
}

impl Framed {
    /// A message whose framing announces a body has a digest of it.
    pub(super) fn check(self, message: &dyn Message) -> Result<(), Error> {
        if super::has(message, ContentDigest::FIELD) {
            return Ok(());
        }
        let mut announced = false;
        if self == Self::ByFields {
            message.lines(Section::Headers, "content-length", &mut |length| {
                announced |= length.trim_ascii().iter().any(|digit| *digit != b'0');
            });
            announced |= super::has(message, "transfer-encoding");
        }
        if announced { Err(missing()) } else { Ok(()) }
    }
}

/// What the body has to be, as it was signed.
///
/// It outlives the verification of the head, so that a body can be read afterwards: in one piece by
/// [`check`](Self::check), in pieces by [`hashing`](Self::hashing), as `http_body::Body` by `body`
/// (with the feature `body`).
#[derive(Clone, Debug)]
#[must_use = "the body is anybody's until it is compared"]
pub struct ContentCheck {
    /// None: there must not be a body.
    digest: Option<ContentDigest>,
}

impl ContentCheck {
    /// Takes the digest from what was signed, not from the message.
    pub(super) fn of(signature: &VerifiedSignature, framed: Framed) -> Result<Self, Error> {
        if framed == Framed::Never {
            return Ok(Self { digest: None });
        }
        let digest = signature.covered_digest()?;
        if let Some(digest) = &digest {
            // A digest that cannot be compared is refused before anybody reads a body.
            digest.check_counts()?;
        }
        Ok(Self { digest })
    }

    /// The digest, where there is one; without one there must be no body.
    #[must_use]
    pub const fn digest(&self) -> Option<&ContentDigest> {
        self.digest.as_ref()
    }

    /// Compares a body in memory, as it was sent: before `Content-Encoding` is undone.
    ///
    /// # Errors
    ///
    /// `digest.missing` where there is a body without digest, `digest.mismatch`.
    pub fn check(self, body: &[u8]) -> Result<Matched, Error> {
        match self.digest {
            Some(digest) => digest.verify(body),
            None if body.is_empty() => ContentDigest::of(b"").verify(body),
            None => Err(missing()),
        }
    }

    /// Compares a body that comes in pieces. Where there is no digest, it is compared with that of
    /// the empty body.
    ///
    /// # Errors
    ///
    /// `digest.insecure`
    pub fn hashing(self) -> Result<Hashing, Error> {
        self.or_empty().hashing()
    }

    /// A body whose end is an end only if it is the one that was signed; at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// `digest.insecure`
    #[cfg(feature = "body")]
    #[cfg_attr(docsrs, doc(cfg(feature = "body")))]
    pub fn body<B: http_body::Body>(
        self,
        body: B,
        limit: u64,
    ) -> Result<crate::digest::VerifiedBody<B>, Error> {
        crate::digest::VerifiedBody::new(body, &self.or_empty(), limit)
    }

    fn or_empty(self) -> ContentDigest {
        self.digest.unwrap_or_else(|| ContentDigest::of(b""))
    }
}

const fn missing() -> Error {
    Error::DigestMissing {
        field: ContentDigest::FIELD,
    }
}
