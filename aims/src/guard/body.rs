//! Bodies of responses: the handler's own body, which streams, or one that the guard wrote.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response behind [`Guard::layer`](crate::Guard::layer).
    ///
    /// It is the body of the inner service, which streams, or one that the guard wrote: a refusal,
    /// a signed response or the metadata of the resource.
    #[derive(Debug)]
    #[project = Projection]
    pub struct ResponseBody<R> {
        #[pin]
        inner: Inner<R>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = InnerProjection]
    enum Inner<R> {
        Service { #[pin] body: R },
        Guard { #[pin] body: Full<Bytes> },
    }
}

impl<R> ResponseBody<R> {
    pub(super) const fn service(body: R) -> Self {
        Self {
            inner: Inner::Service { body },
        }
    }

    pub(super) fn guard(content: Vec<u8>) -> Self {
        let body = Full::from(content);
        Self {
            inner: Inner::Guard { body },
        }
    }
}

/// The pieces are converted to [`Bytes`]. This copies nothing if they are [`Bytes`] already.
impl<R: Body> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().inner.project() {
            InnerProjection::Service { body } => {
                let frame = ready!(body.poll_frame(context));
                Poll::Ready(frame.map(|frame| {
                    frame.map(|it| it.map_data(|mut data| data.copy_to_bytes(data.remaining())))
                }))
            }
            InnerProjection::Guard { body } => {
                let frame = ready!(body.poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Service { body } => body.is_end_stream(),
            Inner::Guard { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Service { body } => body.size_hint(),
            Inner::Guard { body } => body.size_hint(),
        }
    }
}
