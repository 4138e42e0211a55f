//! Reads the call of a request from its content, for a guard that compares it.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aims_error::ErrorKind;
use aims_jose::{Chain, Error};
use aims_oauth_wire::call::ToolCall;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::admission::within;
use super::layer::content_unread;
use super::refused::Refused;
use crate::refusal::ErrorResponse;

type BoxError = Box<dyn StdError + Send + Sync>;
type Reading = dyn Fn(&Parts, &[u8]) -> Result<Option<ToolCall>, BoxError> + Send + Sync;

/// Marks a request whose content was read.
#[derive(Clone, Copy, Debug)]
struct Read;

/// Reads which call of a tool a request makes. Give it to [`Guard::call_layer`].
///
/// [`mcp`](Self::mcp) reads messages of MCP. For another API, [`new`](Self::new) takes a function:
///
/// ```
/// use aims::guard::CallReader;
/// use aims::oauth_wire::call::ToolCall;
///
/// // The path names the tool, and the content is its arguments.
/// let calls = CallReader::new(|head, content| match head.uri.path().strip_prefix("/tools/") {
///     // Routers decode parameters: `%74ransfer` would be another tool here, and `transfer` there.
///     Some(tool) if tool.contains('%') => Err("the name of the tool is encoded".into()),
///     Some(tool) => Ok(Some(ToolCall::new(tool, Some(content))?)),
///     None => Ok(None),
/// });
/// # drop(calls);
/// ```
///
/// [`Guard::call_layer`]: crate::Guard::call_layer
#[derive(Clone)]
#[must_use = "give it to `Guard::call_layer`"]
pub struct CallReader {
    read: Arc<Reading>,
    limit: usize,
    deadline: Duration,
}

impl CallReader {
    /// Creates a reader of JSON-RPC messages of MCP: the call is `name` and `arguments` of
    /// `tools/call`.
    ///
    /// A request without content, and a message with another method, has no call. A batch is
    /// refused, because a person approves one call.
    pub fn mcp() -> Self {
        Self::new(|_, content| match content {
            [] => Ok(None),
            content => Ok(ToolCall::from_mcp(content)?),
        })
    }

    /// Creates a reader of another API. The function gets the head and the whole content of a
    /// request, and returns its call, or `None` if the request is no call.
    ///
    /// The tool must act on what the function read: on the [`ToolCall`] in the extensions of the
    /// request, or on the same bytes.
    ///
    /// Return `None` for a request without content that calls no tool: a client that knows nothing
    /// of the tool yet sends one, and an error would hide the challenge of the guard from it.
    ///
    /// Return an error for a request that others could read in another way, such as a path with
    /// percent-encodings: `None`, or the name of another tool, means that the request needs no
    /// [approval](crate::Requirements::approved_tools).
    pub fn new(
        read: impl Fn(&Parts, &[u8]) -> Result<Option<ToolCall>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            read: Arc::new(read),
            limit: 64 * 1024,
            deadline: Duration::from_secs(10),
        }
    }

    /// Sets the maximum content of a request, in bytes. Defaults to 64 KiB.
    pub const fn with_max_content(mut self, most: usize) -> Self {
        self.limit = most;
        self
    }

    /// Sets how long the layer waits for the content. Defaults to 10 s.
    pub const fn with_deadline(mut self, most: Duration) -> Self {
        self.deadline = most;
        self
    }

    /// Returns whether the content of this request was read, so that a call would be known.
    pub(super) fn has_read(head: &Parts) -> bool {
        head.extensions.get::<Read>().is_some()
    }

    /// Reads the whole content, and inserts its call into the extensions of the head.
    pub(super) async fn read<B: Body>(
        &self,
        head: &mut Parts,
        body: B,
    ) -> Result<CallContent, Refused>
    where
        B::Error: Into<BoxError>,
    {
        let content = within(self.deadline, Limited::new(body, self.limit).collect()).await;
        let content = content.ok_or_else(|| late(self.deadline))?;
        let content = content.map_err(|error| match error.is::<LengthLimitError>() {
            true => too_large(self.limit),
            false => content_unread(),
        })?;
        let trailers = content.trailers().cloned();
        let data = content.to_bytes();
        let call = (self.read)(head, &data).map_err(|error| malformed(&*error))?;
        head.extensions.insert(Read);
        // What was read counts, whatever an outer layer has inserted.
        head.extensions.remove::<ToolCall>();
        if let Some(call) = call {
            head.extensions.insert(call);
        }
        let data = Some(data).filter(|it| !it.is_empty());
        Ok(CallContent { data, trailers })
    }
}

impl fmt::Debug for CallReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallReader")
            .field("limit", &self.limit)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// The body of a request whose call was read, as the service gets it: the same bytes and trailers.
#[derive(Debug)]
pub struct CallContent {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for CallContent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.data.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}

fn too_large(limit: usize) -> Refused {
    Refused::new(
        "guard.call_too_large",
        ErrorKind::TooLarge,
        ErrorResponse::ContentTooLarge,
        format!(
            "the content of the call is longer than {limit} bytes; call `CallReader::with_max_content` for longer ones"
        ),
    )
}

fn late(deadline: Duration) -> Refused {
    Refused::new(
        "guard.content_deadline",
        ErrorKind::Unavailable,
        ErrorResponse::Timeout,
        format!(
            "the content of the call did not come within {} s; call `CallReader::with_deadline` for slower senders",
            deadline.as_secs()
        ),
    )
}

fn malformed(error: &(dyn StdError + Send + Sync + 'static)) -> Refused {
    let code = error.downcast_ref::<Error>().map(Error::code);
    let told = match code {
        Some("jws.duplicate_member") => "a member of the content occurs twice",
        Some("json.number") => "a number of the arguments does not fit a double",
        Some("jws.not_an_object") => {
            "expected one JSON object with one call, whose parameters and arguments are objects"
        }
        _ => "the call cannot be read from the content",
    };
    let code = code.map_or_else(String::new, |it| format!("{it}: "));
    Refused::new(
        "guard.call_malformed",
        ErrorKind::Malformed,
        ErrorResponse::Problem(told),
        format!(
            "the call cannot be read from the content: {code}{}",
            Chain(error)
        ),
    )
}
