//! Bodies of requests, which may have to be sent again, and of answers, which stream.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use aims_fetch::{Body, BoxError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Error;

/// The body of an answer.
///
/// It streams. If the agent requires signed answers, the content was read and verified before.
///
/// Errors have the code `agent.answer` or a code of the client, such as `fetch.timeout`.
pub struct Answer(Body);

impl Answer {
    pub(super) const fn new(body: Body) -> Self {
        Self(body)
    }

    /// Reads the whole content, up to `limit` bytes.
    ///
    /// ```
    /// async fn read(agent: &aims::Agent) -> Result<(), Box<dyn std::error::Error>> {
    ///     let request = http::Request::get("https://tools.example/mcp").body(String::new())?;
    ///     let content = agent.send(request).await?.into_body().bytes(64 * 1024).await?;
    ///     println!("{} bytes", content.len());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `agent.answer_too_long` if the content is longer than `limit` bytes, `agent.answer` if it
    /// breaks off, and the errors of the client.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut content = Vec::new();
        while let Some(frame) = self.frame().await {
            let Ok(piece) = frame?.into_data() else {
                continue;
            };
            if content.len().saturating_add(piece.len()) > limit {
                return Err(Error::AnswerTooLong { limit });
            }
            content.extend_from_slice(&piece);
        }
        Ok(content.into())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").field(&self.0).finish()
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        frame.map(|frame| frame.map(|it| it.map_err(|cause| as_own_error(cause, Error::Answer))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// Returns the cause itself if it is one of our errors, and wraps it otherwise.
pub(super) fn as_own_error(cause: BoxError, or: fn(BoxError) -> Error) -> Error {
    match cause.downcast::<aims_fetch::Error>() {
        Ok(error) => Error::Send(*error),
        Err(cause) => or(cause),
    }
}

/// The reason why the content could not be read completely.
pub(super) enum Uncollected {
    Broken(BoxError),
    TooLong,
    Trailers,
}

/// Reads a content that a proof covers, up to `limit` bytes.
pub(super) async fn collected(body: Body, limit: usize) -> Result<Bytes, Uncollected> {
    let collected = Limited::new(body, limit).collect().await;
    let collected = collected.map_err(|cause| match cause.is::<LengthLimitError>() {
        true => Uncollected::TooLong,
        false => Uncollected::Broken(cause),
    })?;
    match collected.trailers() {
        Some(_uncovered) => Err(Uncollected::Trailers),
        None => Ok(collected.to_bytes()),
    }
}

/// The body of a request, for one or more attempts.
pub(super) enum Outgoing {
    /// The content was read, because a proof covers it.
    Whole(Bytes),
    /// The content streams and can be sent once.
    Once(Option<Body>),
    /// The content streams, and a copy is kept.
    Kept(Kept),
}

impl Outgoing {
    /// Returns whether the body can be sent once more.
    pub(super) fn is_repeatable(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Once(body) => body.is_some(),
            Self::Kept(kept) => lock(&kept.0).whole,
        }
    }

    /// Returns the body for the next attempt, or `None` if it cannot be sent again.
    pub(super) fn next(&mut self) -> Option<Body> {
        match self {
            Self::Whole(bytes) => Some(bytes.clone().into()),
            Self::Once(body) => body.take(),
            Self::Kept(kept) => kept.next(),
        }
    }
}

/// A body that streams and is copied while it is sent, up to a limit. A second attempt sends the
/// copy first and then the rest of the stream.
pub(super) struct Kept(Arc<Mutex<Shared>>);

struct Shared {
    body: Body,
    frames: Vec<Piece>,
    length: usize,
    limit: usize,
    /// Whether the copy has everything that was sent.
    whole: bool,
    /// The number of the attempt that may read.
    attempt: u32,
}

#[derive(Clone)]
enum Piece {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

impl Kept {
    pub(super) fn new(body: Body, limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            body,
            frames: Vec::new(),
            length: 0,
            limit,
            whole: true,
            attempt: 0,
        })))
    }

    fn next(&self) -> Option<Body> {
        let mut shared = lock(&self.0);
        if !shared.whole {
            return None;
        }
        shared.attempt = shared.attempt.saturating_add(1);
        Some(Body::new(Attempt {
            attempt: shared.attempt,
            sent: 0,
            shared: Arc::clone(&self.0),
        }))
    }
}

/// One attempt to send a body that is copied.
struct Attempt {
    shared: Arc<Mutex<Shared>>,
    attempt: u32,
    /// The number of copied frames that this attempt has sent.
    sent: usize,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl http_body::Body for Attempt {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let shared = &mut *lock(&this.shared);
        if shared.attempt != this.attempt {
            return Poll::Ready(Some(Err("the request is being sent again".into())));
        }
        if let Some(piece) = shared.frames.get(this.sent) {
            this.sent = this.sent.saturating_add(1);
            return Poll::Ready(Some(Ok(match piece.clone() {
                Piece::Data(data) => Frame::data(data),
                Piece::Trailers(trailers) => Frame::trailers(trailers),
            })));
        }
        let Poll::Ready(frame) = Pin::new(&mut shared.body).poll_frame(cx) else {
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(frame)) => shared.keep(frame),
            Some(Err(_broken)) => shared.whole = false,
            None => {}
        }
        this.sent = shared.frames.len();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        self.sent >= shared.frames.len() && shared.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let shared = lock(&self.shared);
        let kept = shared
            .frames
            .iter()
            .skip(self.sent)
            .map(|piece| match piece {
                Piece::Data(data) => data.len(),
                Piece::Trailers(_) => 0,
            });
        let kept = u64::try_from(kept.sum::<usize>()).unwrap_or(u64::MAX);
        let rest = shared.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(kept));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(kept));
        }
        hint
    }
}

impl Shared {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let piece = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Piece::Data(data.clone()),
            (None, Some(trailers)) => Piece::Trailers(trailers.clone()),
            (None, None) => return,
        };
        if let Piece::Data(data) = &piece {
            self.length = self.length.saturating_add(data.len());
        }
        // Empty frames count as well, because they use memory.
        if self.length > self.limit || self.frames.len() >= MAX_PIECES {
            self.whole = false;
            self.frames = Vec::new();
        }
        if self.whole {
            self.frames.push(piece);
        }
    }
}

const MAX_PIECES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body::Body as _;

    use super::*;

    /// Yields its pieces, and then stays pending until more are added.
    #[derive(Clone, Default)]
    struct Pieces(Arc<Mutex<(VecDeque<&'static str>, bool)>>);

    impl Pieces {
        fn of(pieces: &[&'static str], ended: bool) -> Self {
            let this = Self::default();
            this.more(pieces, ended);
            this
        }

        fn more(&self, pieces: &[&'static str], ended: bool) {
            let mut state = self.0.lock().unwrap();
            state.0.extend(pieces);
            state.1 = ended;
        }
    }

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            let mut state = self.0.lock().unwrap();
            match state.0.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece))))),
                None if state.1 => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    /// Returns what a body yields without waiting, and whether it ended.
    fn poll(body: &mut Body) -> (String, &'static str) {
        let mut text = String::new();
        let mut context = Context::from_waker(std::task::Waker::noop());
        loop {
            match Pin::new(&mut *body).poll_frame(&mut context) {
                Poll::Ready(Some(Ok(frame))) => {
                    text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
                }
                Poll::Ready(Some(Err(_))) => return (text, "error"),
                Poll::Ready(None) => return (text, "end"),
                Poll::Pending => return (text, "waits"),
            }
        }
    }

    #[test]
    fn what_was_sent_is_sent_again_and_the_rest_after_it() {
        let pieces = Pieces::of(&["a", "b"], false);
        let mut kept = Outgoing::Kept(Kept::new(Body::new(pieces.clone()), 4));
        let mut first = kept.next().unwrap();
        assert_eq!(poll(&mut first), ("ab".to_owned(), "waits"));
        let mut second = kept.next().unwrap();
        pieces.more(&["c", "d"], true);
        // A connection that still holds the first attempt takes nothing from the second.
        assert_eq!(poll(&mut first), (String::new(), "error"));
        assert_eq!(poll(&mut second), ("abcd".to_owned(), "end"));
        assert_eq!(poll(&mut kept.next().unwrap()), ("abcd".to_owned(), "end"));
    }

    #[test]
    fn what_is_longer_than_the_limit_streams_once() {
        let mut kept = Outgoing::Kept(Kept::new(Body::new(Pieces::of(&["ab", "c"], true)), 2));
        assert_eq!(poll(&mut kept.next().unwrap()), ("abc".to_owned(), "end"));
        assert!(kept.next().is_none());
        let empty = [""; MAX_PIECES + 1];
        let mut kept = Outgoing::Kept(Kept::new(Body::new(Pieces::of(&empty, true)), 2));
        assert_eq!(poll(&mut kept.next().unwrap()), (String::new(), "end"));
        assert!(kept.next().is_none());
    }

    #[test]
    fn an_exact_length_stays_exact() {
        let kept = Kept::new(Body::from("abc"), 10);
        let mut first = kept.next().unwrap();
        assert_eq!(first.size_hint().exact(), Some(3));
        assert_eq!(poll(&mut first), ("abc".to_owned(), "end"));
        assert_eq!(first.size_hint().exact(), Some(0));
        assert_eq!(kept.next().unwrap().size_hint().exact(), Some(3));
    }
}
