//! Calls with streaming bodies.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use tokio::time::Instant;

use super::idle::{Idle, Progress, Watched};
use super::{Fetcher, failed};
use crate::{Body, Call, CallFuture, Error};

/// Checks the URL as for a document, follows no redirect, and does not limit the length of bodies.
///
/// The errors are those of [`Error`], for the call and in the body of the answer.
impl Call for Fetcher {
    fn call(&self, request: Request<Body>) -> CallFuture<'_> {
        Box::pin(async move { Ok(self.stream(request).await?) })
    }
}

impl Fetcher {
    async fn stream(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let url = self.judged(request.uri())?;
        let (head, body) = request.into_parts();
        let progress = Progress::start();
        let body = match body.into_whole() {
            Ok(bytes) => {
                progress.note(true);
                bytes.into()
            }
            Err(body) => reqwest::Body::wrap(Watched::new(body, progress.clone())),
        };
        let client = self.client_of(&url);
        let sent = client.request(head.method, url);
        let sent = sent.headers(head.headers).body(body).send();
        let received = within(sent, &progress, self.timeout, self.idle_timeout).await?;
        let (head, body) = Response::<reqwest::Body>::from(received.map_err(failed)?).into_parts();
        let mut answer = Response::new(Body::new(Idle::new(body, self.idle_timeout)));
        *answer.status_mut() = head.status;
        *answer.version_mut() = head.version;
        *answer.headers_mut() = head.headers;
        Ok(answer)
    }
}

async fn within<T>(
    work: impl Future<Output = T>,
    progress: &Progress,
    head: Duration,
    idle: Duration,
) -> Result<T, Error> {
    let mut work = pin!(work);
    loop {
        let deadline = progress.deadline(head, idle);
        if let Ok(done) = tokio::time::timeout_at(deadline, &mut work).await {
            return Ok(done);
        }
        // A part of the request may have been sent in the meantime.
        if progress.deadline(head, idle) <= Instant::now() {
            return Err(Error::Timeout);
        }
    }
}
