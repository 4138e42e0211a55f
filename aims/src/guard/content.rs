//! The content of a request, held to its digest where a signature covers that.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_sig::Error;
use http_sig::digest::{BodyError, ContentDigest, VerifiedBody};
use pin_project_lite::pin_project;

pin_project! {
    /// The body that the inner service of a [`MessageLayer`](super::message::MessageLayer) gets.
    ///
    /// That of a signed request was compared with its digest before, up to 64 KiB. What is longer is compared while it is read, and ends in an error where it is another
    /// content than was signed (T-062). Its trailers, which nobody signed, are dropped. That of any other request is passed on as it is.
    #[derive(Debug)]
    pub struct Content<B> {
        ahead: VecDeque<Frame<Bytes>>,
        #[pin]
        rest: Rest<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = RestProjection]
    enum Rest<B> {
        Read,
        Unsigned { #[pin] body: B },
        Signed { #[pin] body: VerifiedBody<B> },
    }
}

/// What is compared before the inner service is called, in bytes.
const AHEAD: u64 = 64 * 1024;

impl<B: Body<Data = Bytes>> Content<B> {
    /// The content of a request that no signature is about.
    pub(super) const fn unsigned(body: B) -> Self {
        Self {
            ahead: VecDeque::new(),
            rest: Rest::Unsigned { body },
        }
    }

    /// The content of a signed request, of at most `limit` bytes. Without a digest that was signed there must be none.
    ///
    /// # Errors
    ///
    /// `digest.mismatch`, `digest.missing`, `digest.insecure`, `digest.body_size`.
    pub(super) async fn signed(
        body: B,
        digest: Option<&ContentDigest>,
        limit: u64,
    ) -> Result<Self, BodyError<B::Error>>
    where
        B: Unpin,
    {
        let Some(digest) = digest else {
            return Self::empty(body).await;
        };
        let mut body = VerifiedBody::new(body, digest, limit).map_err(BodyError::Digest)?;
        let (mut ahead, mut length) = (VecDeque::new(), 0_u64);
        while length <= AHEAD {
            let Some(frame) = body.frame().await else {
                let rest = Rest::Read;
                return Ok(Self { ahead, rest });
            };
            let frame = frame?;
            let data = frame.data_ref().map_or(0, Bytes::len);
            length = length.saturating_add(u64::try_from(data).unwrap_or(u64::MAX));
            // An empty frame is nothing to keep, and there could be many; trailers are nothing that was signed.
            if data > 0 {
                ahead.push_back(frame);
            }
        }
        let rest = Rest::Signed { body };
        Ok(Self { ahead, rest })
    }

    /// A body that must be empty, as nobody signed any (SIG-05).
    async fn empty(mut body: B) -> Result<Self, BodyError<B::Error>>
    where
        B: Unpin,
    {
        while !body.is_end_stream()
            && let Some(frame) = body.frame().await
        {
            let frame = frame.map_err(BodyError::Body)?;
            // Trailers without content would be what nobody signed either.
            if frame.data_ref().is_none_or(|data| !data.is_empty()) {
                let field = "content-digest";
                return Err(BodyError::Digest(Error::DigestMissing { field }));
            }
        }
        let (ahead, rest) = (VecDeque::new(), Rest::Read);
        Ok(Self { ahead, rest })
    }
}

impl<B: Body<Data = Bytes>> Body for Content<B> {
    type Data = Bytes;
    type Error = BodyError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        if let Some(frame) = this.ahead.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match this.rest.project() {
            RestProjection::Read => Poll::Ready(None),
            RestProjection::Unsigned { body } => {
                let frame = ready!(body.poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Body)))
            }
            RestProjection::Signed { body } => match ready!(body.poll_frame(context)) {
                // Nobody signed them.
                Some(Ok(frame)) if frame.is_trailers() => Poll::Ready(None),
                frame => Poll::Ready(frame),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty()
            && match &self.rest {
                Rest::Read => true,
                Rest::Unsigned { body } => body.is_end_stream(),
                Rest::Signed { body } => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Rest::Read => SizeHint::with_exact(0),
            Rest::Unsigned { body } => body.size_hint(),
            Rest::Signed { body } => body.size_hint(),
        };
        let data = self.ahead.iter().filter_map(Frame::data_ref);
        let ahead = data.fold(0_u64, |sum, data| {
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
