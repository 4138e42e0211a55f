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

/// Error of reading a [`VerifiedBody`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError<E> {
    /// The content does not match its digest, or is too long.
    #[error(transparent)]
    Digest(Error),
    /// The underlying body could not be read.
    #[error("the body could not be read")]
    Body(#[source] E),
}

pin_project! {
    /// A body that ends successfully only if its content matches the given digest.
    ///
    /// It hashes the body while it is read, in constant memory. If a digest does not match, the
    /// body yields an error *instead* of its end, and never yields the last piece of content. To
    /// make that possible, it holds each piece back until the next one arrives or the comparison is
    /// done. A reader that acts on a part of the body before the end acts on unverified content.
    ///
    /// A sender must know the digest before the body begins. Wrapped in this type, a body that has
    /// changed since then is aborted. Digests in trailers are neither written nor read: an
    /// intermediary may drop trailers, and a receiver has used the content before they arrive (RFC
    /// 9530 §6.4).
    ///
    /// ```
    /// use aims_http_sig::digest::{ContentDigest, VerifiedBody};
    /// use bytes::Bytes;
    /// use http_body_util::{BodyExt as _, Full};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let digest = ContentDigest::of(b"hello");
    /// let body = VerifiedBody::new(Full::new(Bytes::from("hello")), &digest, 1024)?;
    /// assert_eq!(body.collect().await?.to_bytes(), "hello");
    ///
    /// let body = VerifiedBody::new(Full::new(Bytes::from("other")), &digest, 1024)?;
    /// assert!(body.collect().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
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
    /// Prints neither the body, nor the piece that is held back, nor the trailers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedBody")
            .field("limit", &self.limit)
            .field("is_matched", &self.matched.is_some())
            .finish_non_exhaustive()
    }
}

impl<B: Body> VerifiedBody<B> {
    /// Wraps a body that must match this digest and has at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// `digest.insecure` if the field has neither `sha-256` nor `sha-512`.
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

    /// Returns the result of the comparison, or `None` before the content was read to its end.
    #[must_use]
    pub const fn matched(&self) -> Option<&Matched> {
        self.matched.as_ref()
    }
}

/// Yields the pieces as [`Bytes`], without a copy if the inner body yields `Bytes`.
///
/// After an error it yields no more frames.
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
                            // This is not the last piece. Yield it, so that polling ends.
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

/// Ends the body with an error. The piece that is held back is dropped.
fn fail<E>(
    held: &mut Option<Bytes>,
    error: BodyError<E>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError<E>>>> {
    *held = None;
    Poll::Ready(Some(Err(error)))
}
