//! The body of a message. A signature covers its digest and not the body itself
//! (draft-ietf-wimse-http-signature §3).

use crate::digest::{ContentDigest, Hashing, Matched};
use crate::{Error, Message, Section, VerifiedSignature};

/// The body of a message to be signed.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is a body or there is none")]
pub enum Content<'a> {
    /// There is a body, and `Content-Digest` has this digest of it.
    Digest(&'a ContentDigest),
    /// There is no body.
    Empty,
}

impl Content<'_> {
    /// Checks that the fields of the message agree.
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

/// Whether the framing of a message tells if it has a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framed {
    /// `Content-Length` and `Transfer-Encoding` describe the body.
    ByFields,
    /// There is no body, whatever the fields state: a response to `HEAD`, 204, 304 (RFC 9112 §6.3).
    Never,
}

impl Framed {
    /// Requires a digest in a message whose framing announces a body.
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

/// The digest that the body must match, as it was signed.
///
/// It outlives the verification of the head, so that the body can be read afterwards. Use
/// [`check`](Self::check) for a body in memory, [`hashing`](Self::hashing) for a body in pieces,
/// and `body` (feature `body`) for an `http_body::Body`.
#[derive(Clone, Debug)]
#[must_use = "the body is unauthenticated until it is compared"]
pub struct ContentCheck {
    /// `None` means that there must be no body.
    digest: Option<ContentDigest>,
}

impl ContentCheck {
    /// Takes the digest from the signed values, not from the message.
    pub(super) fn of(signature: &VerifiedSignature, framed: Framed) -> Result<Self, Error> {
        if framed == Framed::Never {
            return Ok(Self { digest: None });
        }
        let digest = signature.covered_digest()?;
        if let Some(digest) = &digest {
            // Refuse a digest that cannot be compared before the body is read.
            digest.check_counts()?;
        }
        Ok(Self { digest })
    }

    /// Returns the digest. Without one, there must be no body.
    #[must_use]
    pub const fn digest(&self) -> Option<&ContentDigest> {
        self.digest.as_ref()
    }

    /// Compares a body in memory as it was sent, before `Content-Encoding` is decoded.
    ///
    /// # Errors
    ///
    /// `digest.missing` for a body without digest, `digest.mismatch` for another body.
    pub fn check(self, body: &[u8]) -> Result<Matched, Error> {
        match self.digest {
            Some(digest) => digest.verify(body),
            None if body.is_empty() => Ok(Matched::empty()),
            None => Err(missing()),
        }
    }

    /// Begins a comparison with a body that arrives in pieces. Without a digest, the body must be
    /// empty.
    ///
    /// # Errors
    ///
    /// `digest.insecure`
    pub fn hashing(self) -> Result<Hashing, Error> {
        self.or_empty().hashing()
    }

    /// Wraps a body of at most `limit` bytes. It ends successfully only if it is the signed body.
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
