//! The end of a streamed response: its credentials expired or were revoked, or that is not known.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Sleep;

use super::post_admission::AdmittedRequest;
use crate::decision::Reason;
use crate::refusal::GRPC_STATUS;

/// Error of a response body that ended before the service had finished it: the credentials of its
/// request have expired, one of them was revoked, or the source of revocations is not current.
///
/// [`Requirements::outlive_credentials`](crate::Requirements::outlive_credentials) lets the
/// responses of a route stream on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the credentials of the request {0}")]
pub struct StreamEnded(Why);

impl StreamEnded {
    /// Returns the code: `guard.stream_expired`, `guard.stream_revoked` or `guard.stream_stale`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.0 {
            Why::Expired => "guard.stream_expired",
            Why::Revoked => "guard.stream_revoked",
            Why::Stale => "guard.stream_stale",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Why {
    #[error("have expired; send a new request with current ones")]
    Expired,
    #[error("were revoked; send a new request with current ones")]
    Revoked,
    #[error("may have been revoked, which the guard does not know; send a new request later")]
    Stale,
}

/// Watches the credentials of one response while it streams.
pub(super) struct Ending {
    request: Arc<AdmittedRequest>,
    /// Whether the response is one of gRPC, which ends with a status.
    grpc: bool,
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl Ending {
    pub(super) const fn new(request: Arc<AdmittedRequest>) -> Self {
        Self {
            request,
            grpc: false,
            timer: None,
            ended: false,
        }
    }

    /// Sets whether the response is one of gRPC.
    pub(super) const fn set_grpc(&mut self, grpc: bool) {
        self.grpc = grpc;
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns why the response ends now, if it does. Records it.
    pub(super) fn check(&mut self) -> Option<StreamEnded> {
        let why = match self.request.credentials_left() {
            Some(_) => return None,
            None if self.request.is_revoked() => Why::Revoked,
            None if self.request.is_stale() => Why::Stale,
            None => Why::Expired,
        };
        self.ended = true;
        let error = StreamEnded(why);
        self.request
            .record(&Reason::new(error.code(), error.to_string()));
        Some(error)
    }

    /// Checks again from time to time, while the service has nothing to send.
    pub(super) fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<StreamEnded> {
        loop {
            if tokio::runtime::Handle::try_current().is_err() {
                return Poll::Pending;
            }
            let left = self.request.credentials_left().unwrap_or_default();
            let wait = left.clamp(SHORTEST, INTERVAL);
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            if let Some(error) = self.check() {
                return Poll::Ready(error);
            }
        }
    }

    /// Returns the trailers that end a response of gRPC (status 16, `UNAUTHENTICATED`, or 14,
    /// `UNAVAILABLE`).
    pub(super) fn trailers(&self, error: StreamEnded) -> Option<HeaderMap> {
        self.grpc.then(|| {
            let stale = matches!(error.0, Why::Stale);
            let status = HeaderValue::from_static(if stale { "14" } else { "16" });
            HeaderMap::from_iter([(GRPC_STATUS, status)])
        })
    }
}

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ending")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// How often the credentials of an idle response are checked.
const INTERVAL: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(10);
