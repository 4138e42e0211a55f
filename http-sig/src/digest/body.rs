//! A body that is compared with its digest while it is read.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{ContentDigest, Hashing, Matched};
use crate::Error;

/// Why a [`VerifiedBody`] broke off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError<E> {
    /// The content is not the one of its digest, or too long.
    #[error(transparent)]
    Digest(Error),
    /// The body itself could not be read.
    #[error("the body could not be read")]
    Body(#[source] E),
}

pin_project! {
    /// A body whose end is an end only if its content has the digest that came with it.
    ///
    /// While it is read it is hashed, in constant memory. Where a digest does not match, there is
    /// an error *instead* of the end, and the last piece of the content is never handed out: a
    /// piece is held back until another one follows or the comparison is done. Who acts on a part
    /// of a body still acts on what nobody has vouched for.
    ///
    /// A sender has to know the digest before the body begins; wrapped in this, a body that has
    /// changed since is broken off and not sent to its end. A digest in a trailer is neither made
    /// nor read here: whatever lies between may drop trailers, and a receiver would have acted on
    /// the content before (RFC 9530 §6.4).
    pub struct VerifiedBody<B> {
        #[pin]
        body: B,
        hashing: Option<Hashing>,
        limit: u64,
        held: Option<Bytes>,
        trailers: Option<HeaderMap>,
        matched: Option<Matched>,
    }
}

impl<B> fmt::Debug for VerifiedBody<B> {
    /// Without the body, the piece that is held back, and the trailers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedBody")
            .field("limit", &self.limit)
            .field("is_matched", &self.matched.is_some())
            .finish_non_exhaustive()
    }
}

impl<B: Body> VerifiedBody<B> {
    /// A body that must have this digest, and is at most `limit` bytes long.
    ///
    /// # Errors
    ///
    /// `digest.insecure` where no digest counts.
    pub fn new(body: B, digest: &ContentDigest, limit: u64) -> Result<Self, Error> {
        Ok(Self {
            body,
            hashing: Some(digest.hashing()?),
            limit,
            held: None,
            trailers: None,
            matched: None,
        })
    }

    /// What matched; none before the content was read to its end.
    #[must_use]
    pub const fn matched(&self) -> Option<&Matched> {
        self.matched.as_ref()
    }
}

/// The pieces come as [`Bytes`], which costs nothing where they were such before.
///
/// After an error there are no more frames.
impl<B: Body> Body for VerifiedBody<B> {
    type Data = Bytes;
    type Error = BodyError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        loop {
            let Some(mut hashing) = this.hashing.take() else {
                let held = this.held.take().map(Frame::data);
                let rest = held.or_else(|| this.trailers.take().map(Frame::trailers));
                return Poll::Ready(rest.map(Ok));
            };
            let ended = this.body.is_end_stream();
            let known = this.body.size_hint().lower();
            if hashing.length().saturating_add(known) > *this.limit {
                return fail(this.held, too_long(*this.limit));
            }
            let frame = if ended {
                None
            } else {
                let Poll::Ready(frame) = this.body.as_mut().poll_frame(cx) else {
                    *this.hashing = Some(hashing);
                    return Poll::Pending;
                };
                frame
            };
            let trailers = match frame {
                Some(Err(error)) => return fail(this.held, BodyError::Body(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => {
                        let piece = data.copy_to_bytes(data.remaining());
                        hashing.update(&piece);
                        if hashing.length() > *this.limit {
                            return fail(this.held, too_long(*this.limit));
                        }
                        *this.hashing = Some(hashing);
                        if piece.is_empty() {
                            // Not the last piece, and no reason to poll without end.
                            return Poll::Ready(Some(Ok(Frame::data(piece))));
                        }
                        match this.held.replace(piece) {
                            Some(before) => return Poll::Ready(Some(Ok(Frame::data(before)))),
                            None => continue,
                        }
                    }
                    Err(frame) => frame.into_trailers().ok(),
                },
                None => None,
            };
            match hashing.finish() {
                Ok(matched) => *this.matched = Some(matched),
                Err(error) => return fail(this.held, BodyError::Digest(error)),
            }
            *this.trailers = trailers;
        }
    }

    fn is_end_stream(&self) -> bool {
        self.hashing.is_none() && self.held.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, Bytes::len);
        let held = u64::try_from(held).unwrap_or(u64::MAX);
        let mut hint = SizeHint::new();
        if self.hashing.is_none() {
            hint.set_exact(held);
            return hint;
        }
        let inner = self.body.size_hint();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(inner.lower().saturating_add(held));
        hint
    }
}

const fn too_long<E>(limit: u64) -> BodyError<E> {
    BodyError::Digest(Error::DigestBodySize { limit })
}

/// The last word: what is held back is never handed out.
fn fail<E>(
    held: &mut Option<Bytes>,
    error: BodyError<E>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError<E>>>> {
    *held = None;
    Poll::Ready(Some(Err(error)))
}
