//! Handles what happens after a request was accepted: a wrong content, or the signing of a
//! response. Each failure is a separate event.

use std::fmt;
use std::time::Duration;

use aims_http_sig::digest::BodyError;
use http::request::Parts;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::admission::within;
use super::body::ResponseBody;
use super::lifetime::Lifetime;
use super::record::Admitted;
use super::refused::Refused;
use super::signed::{Signatures, Unsignable};
use super::{Deferred, Guard};
use crate::decision::Reason;
use crate::principal::Principal;
use crate::refusal::Refusal;

/// An accepted request, as it arrived.
pub(super) struct AdmittedRequest {
    guard: Guard<Deferred>,
    head: Parts,
    admitted: Admitted,
    /// The credentials that end the streams of the request, if they end.
    lifetime: Option<Lifetime>,
}

impl AdmittedRequest {
    pub(super) fn new(guard: &Guard<Deferred>, request: &Parts, admitted: Admitted) -> Self {
        let mut head = Request::new(()).into_parts().0;
        head.method = request.method.clone();
        head.uri = request.uri.clone();
        head.version = request.version;
        head.headers = request.headers.clone();
        Self {
            guard: guard.clone(),
            head,
            admitted,
            lifetime: None,
        }
    }

    /// Keeps what later events need: the method, the target and the trace.
    pub(super) fn brief(guard: &Guard<Deferred>, request: &Parts, admitted: Admitted) -> Self {
        let mut head = Request::new(()).into_parts().0;
        head.method = request.method.clone();
        head.uri = request.uri.clone();
        if let Some(trace) = request.headers.get(TRACEPARENT) {
            head.headers.insert(TRACEPARENT, trace.clone());
        }
        Self {
            guard: guard.clone(),
            head,
            admitted,
            lifetime: None,
        }
    }

    /// Sets what ends the streams of the request.
    pub(super) fn with_lifetime(mut self, lifetime: Option<Lifetime>) -> Self {
        self.lifetime = lifetime;
        self
    }

    pub(super) const fn lifetime(&self) -> Option<&Lifetime> {
        self.lifetime.as_ref()
    }

    pub(super) const fn guard(&self) -> &Guard<Deferred> {
        &self.guard
    }

    pub(super) const fn principal(&self) -> &Principal {
        &self.admitted.principal
    }

    /// Refuses the response of the service.
    pub(super) fn refuse(&self, refused: Refused) -> Refusal {
        for reason in &refused.reasons {
            self.record(reason);
        }
        refused.refusal
    }

    /// Records what happened after the request was accepted.
    pub(super) fn record(&self, reason: &Reason) {
        let now = self.guard.inner.clock.now();
        self.guard
            .record_later(&self.head, &self.admitted, reason, now);
    }

    /// Records that the content differs from the signed one or did not arrive completely.
    pub(super) fn refused<E>(&self, error: &BodyError<E>) {
        let reason = match error {
            BodyError::Digest(error) => {
                Reason::new(error.code(), aims_jose::Chain(error).to_string())
            }
            _ => Reason::new("guard.content", CONTENT_UNREAD),
        };
        let now = self.guard.inner.clock.now();
        let (head, admitted) = (&self.head, &self.admitted);
        self.guard.record_later(head, admitted, &reason, now);
    }

    /// Reads a response completely and signs it.
    pub(super) async fn sign<R>(
        &self,
        response: Response<R>,
    ) -> Result<Response<ResponseBody<R>>, Refusal>
    where
        R: Body,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let signed = self.try_sign(response).await;
        signed.map_err(|why| {
            let now = self.guard.inner.clock.now();
            self.guard.unsignable(&self.head, &self.admitted, why, now)
        })
    }

    async fn try_sign<R>(
        &self,
        response: Response<R>,
    ) -> Result<Response<ResponseBody<R>>, Unsignable>
    where
        R: Body,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some((signatures, verified)) = self.guard.signature_to_answer(&self.admitted.principal)
        else {
            return Ok(response.map(ResponseBody::service));
        };
        let (mut parts, body) = response.into_parts();
        let content = whole(body, signatures).await?;
        parts.headers.remove(header::TRANSFER_ENCODING);
        let now = self.guard.inner.clock.now();
        signatures
            .sign_waiting(&self.head, verified, &mut parts, &content, now)
            .await?;
        Ok(Response::from_parts(parts, ResponseBody::guard(content)))
    }
}

/// Reads the content of a response that must be signed.
async fn whole<R>(body: R, signatures: &Signatures) -> Result<Vec<u8>, Unsignable>
where
    R: Body,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (most, deadline) = (signatures.max_response(), signatures.response_deadline());
    let content = Limited::new(Box::pin(body), most).collect();
    let content = within(deadline, content)
        .await
        .ok_or_else(|| not_in_time(deadline))?;
    let content = content.map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_long(most)
        } else {
            Unsignable::of(error.as_ref())
        }
    })?;
    if content.trailers().is_some() {
        return Err(Unsignable("the response has trailers".to_owned()));
    }
    Ok(content.to_bytes().to_vec())
}

fn not_in_time(deadline: Duration) -> Unsignable {
    Unsignable(format!(
        "the content of the response did not end within {} s; mark a route whose responses stream by `Requirements::streams`, or call `HttpSignatures::with_response_deadline`",
        deadline.as_secs()
    ))
}

fn too_long(most: usize) -> Unsignable {
    Unsignable(format!(
        "length limit exceeded: the content of the response has more than {most} bytes; mark a route whose responses stream by `Requirements::streams`, or call `HttpSignatures::with_max_response`"
    ))
}

/// Omits the head of the request, which holds its tokens.
impl fmt::Debug for AdmittedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdmittedRequest")
            .field(&self.admitted.principal)
            .finish()
    }
}

pub(super) const CONTENT_UNREAD: &str = "the content of the request could not be read";
const TRACEPARENT: &str = "traceparent";
