//! Bodies of responses: the handler's own body, which streams, or one that the guard wrote.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use super::ending::{Ending, StreamEnded};

pin_project! {
    /// The body of a response behind [`Guard::layer`](crate::Guard::layer).
    ///
    /// It is the body of the inner service, which streams, or one that the guard wrote: a refusal,
    /// a signed response or the metadata of the resource. It ends with an error when the
    /// credentials of the request end ([`Guard::layer`](crate::Guard::layer)).
    #[derive(Debug)]
    #[project = Projection]
    pub struct ResponseBody<R> {
        #[pin]
        inner: Inner<R>,
        // Ends the body of the service together with the credentials of its request.
        ending: Option<Box<Ending>>,
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
            ending: None,
        }
    }

    /// Ends the body when the credentials of its request end.
    pub(super) fn ending(mut self, ending: Option<Box<Ending>>) -> Self {
        self.ending = ending;
        self
    }

    pub(super) fn guard(content: Vec<u8>) -> Self {
        let body = Full::from(content);
        Self {
            inner: Inner::Guard { body },
            ending: None,
        }
    }
}

/// The pieces are converted to [`Bytes`]. This copies nothing if they are [`Bytes`] already.
///
/// The error is the one of the service's body, or [`StreamEnded`](super::layer::StreamEnded).
impl<R> Body for ResponseBody<R>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        match this.inner.project() {
            InnerProjection::Service { body } => {
                if let Some(ending) = this.ending {
                    if ending.has_ended() {
                        return Poll::Ready(None);
                    }
                    if let Some(error) = ready!(ending.poll(context)) {
                        return Poll::Ready(Some(end(ending, error)));
                    }
                }
                match body.poll_frame(context) {
                    Poll::Ready(frame) => Poll::Ready(frame.map(|frame| {
                        let frame = frame.map_err(Into::into)?;
                        Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
                    })),
                    Poll::Pending => match this.ending {
                        Some(ending) => ending
                            .poll_idle(context)
                            .map(|error| Some(end(ending, error))),
                        None => Poll::Pending,
                    },
                }
            }
            InnerProjection::Guard { body } => {
                let frame = ready!(body.poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Service { body } => {
                body.is_end_stream() || self.ending.as_ref().is_some_and(|it| it.has_ended())
            }
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

/// The last frame of a response that ends early.
fn end(ending: &Ending, error: StreamEnded) -> Result<Frame<Bytes>, BoxError> {
    let trailers = ending.trailers(error);
    trailers.map_or_else(|| Err(error.into()), |it| Ok(Frame::trailers(it)))
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
