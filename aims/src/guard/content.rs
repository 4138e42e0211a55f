//! Bodies of requests: passed on unchanged, or compared with their digest if an accepted proof
//! covers it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aims_http_sig::Error;
use aims_http_sig::digest::{BodyError, ContentDigest, VerifiedBody};
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use pin_project_lite::pin_project;

use super::ending::{Ending, StreamEnded};
use super::post_admission::AdmittedRequest;

pin_project! {
    /// The body of a request behind [`Guard::layer`](crate::Guard::layer).
    ///
    /// - A content that no accepted proof covers streams unchanged.
    /// - A content of up to 64 KiB that an HTTP signature covers was compared with its digest
    ///   before the service was called.
    /// - A longer content is compared while the service reads it. If it differs from the signed
    ///   content or breaks off, the body ends with an error and the guard records an event. A body
    ///   that is dropped before its end is not compared.
    ///
    /// Trailers of a covered content are dropped, because no signature covers them.
    ///
    /// The body ends with an error when the credentials of the request end
    /// ([`Guard::layer`](crate::Guard::layer)).
    #[derive(Debug)]
    pub struct RequestBody<B> {
        ahead: VecDeque<Bytes>,
        #[pin]
        rest: Rest<B>,
        // The accepted request, if the guard accepted it before the whole content had arrived.
        admitted: Option<Arc<AdmittedRequest>>,
        // Ends the body together with the credentials of its request.
        ending: Option<Box<Ending>>,
    }
}

/// Error of a [`RequestBody`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestBodyError<E> {
    /// The content differs from the signed one, or could not be read.
    #[error(transparent)]
    Content(BodyError<E>),
    /// The credentials of the request have ended before the content.
    #[error(transparent)]
    Ended(StreamEnded),
}

pin_project! {
    #[derive(Debug)]
    #[project = RestProjection]
    enum Rest<B> {
        Read,
        Uncovered { #[pin] body: B },
        Covered { #[pin] body: VerifiedBody<Pin<Box<B>>> },
    }
}

/// The next frame of a content.
type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

/// The number of bytes that are compared before the inner service is called.
const AHEAD: u64 = 64 * 1024;

impl<B: Body> RequestBody<B> {
    /// Creates a body whose content no accepted proof covers.
    pub(super) const fn uncovered(body: B) -> Self {
        Self::new(VecDeque::new(), Rest::Uncovered { body })
    }

    /// Returns whether a part of the content is compared while the service reads it.
    pub(super) const fn has_more_to_compare(&self) -> bool {
        matches!(self.rest, Rest::Covered { .. })
    }

    /// Sets the accepted request for the event that reports a wrong content.
    pub(super) fn admitted_by(&mut self, request: &Arc<AdmittedRequest>) {
        self.admitted = Some(Arc::clone(request));
    }

    /// Ends the body when the credentials of its request end.
    pub(super) fn set_ending(&mut self, ending: Ending) {
        self.ending = Some(Box::new(ending));
    }

    /// Creates a body whose content a proof covers, of at most `limit` bytes. Without a digest the
    /// content must be empty.
    ///
    /// # Errors
    ///
    /// `digest.mismatch`, `digest.missing`, `digest.insecure`, `digest.body_size`.
    pub(super) async fn covered(
        body: B,
        digest: Option<&ContentDigest>,
        limit: u64,
    ) -> Result<Self, BodyError<B::Error>> {
        let body = Box::pin(body);
        let Some(digest) = digest else {
            return Self::empty(body).await;
        };
        let mut body = VerifiedBody::new(body, digest, limit).map_err(BodyError::Digest)?;
        let mut ahead = Pieces::default();
        while ahead.length <= AHEAD {
            let Some(frame) = body.frame().await else {
                return Ok(Self::new(ahead.finish(), Rest::Read));
            };
            // Drop trailers, because no proof covers them.
            if let Ok(data) = frame?.into_data() {
                ahead.push(data);
            }
        }
        Ok(Self::new(ahead.finish(), Rest::Covered { body }))
    }

    const fn new(ahead: VecDeque<Bytes>, rest: Rest<B>) -> Self {
        Self {
            ahead,
            rest,
            admitted: None,
            ending: None,
        }
    }

    /// Creates a body that must be empty, because no content was signed.
    async fn empty(mut body: Pin<Box<B>>) -> Result<Self, BodyError<B::Error>> {
        while !body.is_end_stream()
            && let Some(frame) = body.frame().await
        {
            let frame = frame.map_err(BodyError::Body)?;
            // Trailers without content would not be covered either.
            if frame.data_ref().is_none_or(Buf::has_remaining) {
                let field = "content-digest";
                return Err(BodyError::Digest(Error::DigestMissing { field }));
            }
        }
        Ok(Self::new(VecDeque::new(), Rest::Read))
    }
}

/// The pieces are converted to [`Bytes`]. This copies nothing if they are [`Bytes`] already.
impl<B: Body> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = RequestBodyError<B::Error>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled<Self::Error> {
        let ended = |error| Some(Err(RequestBodyError::Ended(error)));
        if let Some(ending) = self.as_mut().project().ending {
            if ending.has_ended() {
                return Poll::Ready(None);
            }
            if let Some(error) = ready!(ending.poll(context)) {
                return Poll::Ready(ended(error));
            }
        }
        match self.as_mut().poll_content(context) {
            Poll::Ready(frame) => {
                Poll::Ready(frame.map(|it| it.map_err(RequestBodyError::Content)))
            }
            Poll::Pending => match self.project().ending {
                Some(ending) => ending.poll_idle(context).map(ended),
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        let has_ended = self.ending.as_ref().is_some_and(|it| it.has_ended());
        let is_read = || match &self.rest {
            Rest::Read => true,
            Rest::Uncovered { body } => body.is_end_stream(),
            Rest::Covered { body } => body.is_end_stream(),
        };
        has_ended || self.ahead.is_empty() && is_read()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Rest::Read => SizeHint::with_exact(0),
            Rest::Uncovered { body } => body.size_hint(),
            Rest::Covered { body } => body.size_hint(),
        };
        let ahead = self.ahead.iter().fold(0_u64, |sum, data| {
            sum.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX))
        });
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint.set_lower(rest.lower().saturating_add(ahead));
        hint
    }
}

impl<B: Body> RequestBody<B> {
    /// Polls the content, whatever the credentials of its request are.
    fn poll_content(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Polled<BodyError<B::Error>> {
        let this = self.project();
        if let Some(data) = this.ahead.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match this.rest.project() {
            RestProjection::Read => Poll::Ready(None),
            RestProjection::Uncovered { body } => {
                let frame = ready!(body.poll_frame(context));
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => {
                        Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
                    }
                    Err(error) => Err(BodyError::Body(error)),
                }))
            }
            RestProjection::Covered { body } => match ready!(body.poll_frame(context)) {
                // Trailers are not covered.
                Some(Ok(frame)) if frame.is_trailers() => Poll::Ready(None),
                Some(Err(error)) => {
                    if let Some(admitted) = this.admitted.take() {
                        admitted.refused(&error);
                    }
                    Poll::Ready(Some(Err(error)))
                }
                frame => Poll::Ready(frame),
            },
        }
    }
}

/// The content so far. Small pieces are joined to save memory.
#[derive(Default)]
struct Pieces {
    whole: VecDeque<Bytes>,
    small: BytesMut,
    length: u64,
}

impl Pieces {
    fn push(&mut self, data: Bytes) {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(length);
        if data.len() < SMALL {
            self.small.extend_from_slice(&data);
        } else {
            self.join();
            self.whole.push_back(data);
        }
    }

    fn join(&mut self) {
        if !self.small.is_empty() {
            self.whole.push_back(self.small.split().freeze());
        }
    }

    fn finish(mut self) -> VecDeque<Bytes> {
        self.join();
        self.whole
    }
}

/// Pieces with fewer bytes are copied.
const SMALL: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_joined_in_their_order() {
        let mut pieces = Pieces::default();
        for length in [1, 1, SMALL - 1, SMALL, SMALL, 1, 1] {
            let byte = u8::try_from(pieces.length % 251).unwrap();
            pieces.push(Bytes::from(vec![byte; length]));
        }
        assert_eq!(pieces.length, 3 * 2_048 + 3);
        let lengths: Vec<_> = pieces.finish().iter().map(Bytes::len).collect();
        assert_eq!(lengths, [SMALL + 1, SMALL, SMALL, 2]);
    }

    #[test]
    fn many_small_pieces_are_one() {
        let mut pieces = Pieces::default();
        for at in 0..10_000_u32 {
            pieces.push(Bytes::copy_from_slice(&at.to_le_bytes()[..1]));
        }
        let joined = Vec::from(pieces.finish());
        assert_eq!(joined.len(), 1);
        assert_eq!(joined.concat().len(), 10_000);
    }
}
