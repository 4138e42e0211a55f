//! Calls with streaming bodies: the trait and its body type.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Frame, SizeHint};

/// The cause of a failure, of any type.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The future of [`Call::call`].
pub type CallFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send + 'a>>;

/// Sends one request and returns the head of the answer. Both bodies stream.
///
/// Calls of tools use this trait. It has one method, so any HTTP client can implement it.
/// [`Fetcher`](crate::Fetcher) implements it with the feature `client`. For whole documents, use
/// [`Fetch`](crate::Fetch).
///
/// The caller may have signed the request, so an implementation must send the method, the URL and
/// the header fields unchanged, or fail. It must not follow redirects or decode the content.
///
/// ```
/// use aims_fetch::{Body, Call, CallFuture};
/// use http::{Request, Response};
///
/// /// Answers each call with the content of its request.
/// #[derive(Debug)]
/// struct Echo;
///
/// impl Call for Echo {
///     fn call(&self, request: Request<Body>) -> CallFuture<'_> {
///         Box::pin(std::future::ready(Ok(Response::new(request.into_body()))))
///     }
/// }
/// ```
pub trait Call: fmt::Debug + Send + Sync {
    /// Sends the request and waits for the head of the answer.
    fn call(&self, request: Request<Body>) -> CallFuture<'_>;
}

impl<T: Call + ?Sized> Call for Arc<T> {
    fn call(&self, request: Request<Body>) -> CallFuture<'_> {
        (**self).call(request)
    }
}

/// A streaming body of a call or of its answer.
///
/// ```
/// use aims_fetch::Body;
/// use http_body::Body as _;
///
/// assert!(Body::empty().is_end_stream());
/// assert_eq!(Body::from("{}").size_hint().exact(), Some(2));
/// let any = Body::new(String::from("a body of any type"));
/// assert_eq!(any.size_hint().exact(), Some(18));
/// ```
pub struct Body(Content);

enum Content {
    /// The content is in memory. `None` if it was empty or was taken.
    Whole(Option<Bytes>),
    /// The content streams. The lock makes the body `Sync`, as HTTP clients require, and never
    /// blocks.
    Stream(Mutex<Pieces>),
}

type Pieces = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

impl Body {
    /// Creates an empty body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Content::Whole(None))
    }

    /// Wraps a body of any type.
    #[must_use]
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Content::Stream(Mutex::new(Box::pin(Erased(Box::pin(
            body,
        ))))))
    }

    /// Returns the content, if it is in memory.
    #[cfg(feature = "client")]
    pub(crate) fn into_whole(self) -> Result<Bytes, Self> {
        match self.0 {
            Content::Whole(bytes) => Ok(bytes.unwrap_or_default()),
            stream @ Content::Stream(_) => Err(Self(stream)),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Whole(Some(bytes).filter(|it| !it.is_empty())))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

/// Shows whether the content is in memory, and never the content.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Content::Whole(_) => "Body(whole)",
            Content::Stream(_) => "Body(stream)",
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
            Content::Stream(body) => {
                let body = body.get_mut().unwrap_or_else(PoisonError::into_inner);
                body.as_mut().poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Stream(body) => body
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Content::Stream(body) => body
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .size_hint(),
        }
    }
}

/// Converts a body of any type into one of bytes. It keeps the size hint.
struct Erased<B>(Pin<Box<B>>);

impl<B> http_body::Body for Erased<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = self.0.as_mut().poll_frame(cx);
        frame.map(|frame| {
            frame.map(|frame| {
                let frame = frame.map_err(Into::into)?;
                Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
