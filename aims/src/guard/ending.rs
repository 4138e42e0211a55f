//! The end of a streamed request or response: its credentials expired or were revoked, or that is
//! not known.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Sleep;

use super::lifetime::Standing;
use super::post_admission::AdmittedRequest;
use crate::refusal::GRPC_STATUS;

/// Error of a body of a request or response that ended early: the credentials of the request have
/// expired, one of them was revoked, or the source of revocations is not current.
///
/// [`Requirements::outlive_credentials`](crate::Requirements::outlive_credentials) lets the
/// bodies of a route stream on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the credentials of the request {0}")]
pub struct StreamEnded(pub(super) Why);

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
pub(super) enum Why {
    #[error("have expired; send a new request with current ones")]
    Expired,
    #[error("were revoked; send a new request with current ones")]
    Revoked,
    #[error("may have been revoked, which the guard does not know; send a new request later")]
    Stale,
}

/// Watches the credentials of one body while it streams.
pub(super) struct Ending {
    request: Arc<AdmittedRequest>,
    /// Whether the body is a response of gRPC, which ends with a status.
    grpc: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// Asks the issuer of the access token again. The lock makes the body `Sync`; it is never
    /// waited for.
    asking: Option<Mutex<Asking>>,
    ended: bool,
}

type Asking = Pin<Box<dyn Future<Output = Result<(), Why>> + Send>>;

impl Ending {
    pub(super) const fn new(request: Arc<AdmittedRequest>) -> Self {
        Self {
            request,
            grpc: false,
            timer: None,
            asking: None,
            ended: false,
        }
    }

    /// Sets whether the body is a response of gRPC.
    pub(super) fn of_grpc(mut self, grpc: bool) -> Self {
        self.grpc = grpc;
        self
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns why the body ends now, if it does. It is pending while the issuer of the access
    /// token is asked again.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<StreamEnded>> {
        if let Some(error) = self.request.ended() {
            return Poll::Ready(Some(self.end(error)));
        }
        let mut standing = self.standing();
        if matches!(standing, Standing::Ask) {
            let request = &self.request;
            let asking = self.asking.get_or_insert_with(|| {
                let asking: Asking = Box::pin(Arc::clone(request).ask_again());
                Mutex::new(asking)
            });
            let asking = asking.get_mut().unwrap_or_else(PoisonError::into_inner);
            let answer = ready!(asking.as_mut().poll(context));
            self.asking = None;
            standing = match answer {
                Ok(()) => self.standing(),
                Err(why) => Standing::Ended(why),
            };
        }
        match standing {
            // The answer counts for the next piece, even if it is old already.
            Standing::Good(_) | Standing::Ask => Poll::Ready(None),
            Standing::Ended(why) => {
                let error = self.request.end(why);
                Poll::Ready(Some(self.end(error)))
            }
        }
    }

    /// Checks again from time to time, while there is nothing to pass on.
    pub(super) fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<StreamEnded> {
        loop {
            if self.asking.is_none() {
                if tokio::runtime::Handle::try_current().is_err() {
                    return Poll::Pending;
                }
                let left = match self.standing() {
                    Standing::Good(left) => left,
                    Standing::Ask | Standing::Ended(_) => Duration::ZERO,
                };
                let wait = left.clamp(SHORTEST, INTERVAL);
                let timer = self
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
                ready!(timer.as_mut().poll(context));
                self.timer = None;
            }
            if let Some(error) = ready!(self.poll(context)) {
                return Poll::Ready(error);
            }
        }
    }

    fn standing(&self) -> Standing {
        let lifetime = self.request.lifetime();
        let good = || Standing::Good(INTERVAL);
        lifetime.map_or_else(good, |it| self.request.standing(it))
    }

    const fn end(&mut self, error: StreamEnded) -> StreamEnded {
        self.ended = true;
        error
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

/// How often the credentials of an idle body are checked.
const INTERVAL: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(10);
