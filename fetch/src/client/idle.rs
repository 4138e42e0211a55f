//! Timeouts of streaming bodies.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::{BoxError, Error};

/// The body of an answer. Each piece must arrive within a time.
pub(super) struct Idle<B> {
    body: B,
    most: Duration,
    /// Runs while the body waits for a piece.
    timer: Option<Pin<Box<Sleep>>>,
    failed: bool,
}

impl<B> Idle<B> {
    pub(super) const fn new(body: B, most: Duration) -> Self {
        Self {
            body,
            most,
            timer: None,
            failed: false,
        }
    }
}

impl<B> Body for Idle<B>
where
    B: Body<Data = Bytes, Error = reqwest::Error> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.timer = None;
            this.failed = matches!(frame, Some(Err(_)));
            return Poll::Ready(frame.map(|it| it.map_err(|error| super::failed(error).into())));
        }
        let most = this.most;
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(most)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.failed = true;
        Poll::Ready(Some(Err(Error::Timeout.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How much of the body of a request was sent.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<(Instant, bool)>>);

impl Progress {
    pub(super) fn start() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), false))))
    }

    /// Notes that a piece was sent, and whether it was the last.
    pub(super) fn note(&self, ended: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), ended);
    }

    /// Returns when the head of the answer must arrive: a time after the end of the request, or
    /// after its last piece while it is being sent.
    pub(super) fn deadline(&self, head: Duration, idle: Duration) -> Instant {
        let (last, ended) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if ended { head } else { idle };
        last.checked_add(most).unwrap_or(last)
    }
}

/// The body of a request. It notes each piece that the connection takes.
pub(super) struct Watched<B> {
    body: B,
    progress: Progress,
}

impl<B> Watched<B> {
    pub(super) const fn new(body: B, progress: Progress) -> Self {
        Self { body, progress }
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.progress.note(true);
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_ready() {
            this.progress.note(this.body.is_end_stream());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
