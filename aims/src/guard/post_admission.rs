//! What is found out after a request was let in: its content is another one, or its response cannot
//! be signed. It becomes an event of its own.

use std::fmt;

use aims_http_sig::digest::BodyError;
use aims_jose::digest::Fingerprint;
use aims_jose::time::UnixTime;
use aims_oauth_rs::AccessToken;
use aims_wimse_cred::Wit;
use http::Request;
use http::request::Parts;

use super::Guard;
use super::judge::CONTENT_UNREAD;
use crate::decision::Reason;
use crate::principal::Principal;
use crate::record::{Event, Fingerprints, Outcome};
use crate::trace::TraceContext;

/// A request that was let in before its content had come.
pub(super) struct AdmittedRequest {
    guard: Guard,
    request: Parts,
    principal: Principal,
}

impl AdmittedRequest {
    pub(super) fn new(guard: &Guard, request: &Parts, principal: &Principal) -> Box<Self> {
        Box::new(Self {
            guard: guard.clone(),
            request: head_of(request),
            principal: principal.clone(),
        })
    }

    /// The content is not the one that was signed, or never came to its end.
    pub(super) fn refused<E>(&self, error: &BodyError<E>) {
        let reason = match error {
            BodyError::Digest(error) => {
                Reason::new(error.code(), aims_jose::Chain(error).to_string())
            }
            _ => Reason::new("guard.content", CONTENT_UNREAD),
        };
        let now = self.guard.inner.clock.now();
        self.guard
            .record_later(&self.request, &self.principal, reason, now);
    }
}

/// The head of a request holds its tokens.
impl fmt::Debug for AdmittedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdmittedRequest")
            .field(&self.principal)
            .finish()
    }
}

impl Guard {
    /// Tells the seam *record* what became of a request that was accepted.
    pub(super) fn record_later(
        &self,
        request: &Parts,
        principal: &Principal,
        reason: Reason,
        now: UnixTime,
    ) {
        let token = principal.access_token();
        self.inner.record.record(&Event {
            agent: principal.agent(),
            proven: principal.agent().is_some(),
            subject: token.map(AccessToken::subject),
            client: principal.client(),
            resource: &self.inner.resource,
            method: &request.method,
            path: request.uri.path(),
            outcome: Outcome::Refused,
            code: Some(&reason.code),
            reasons: std::slice::from_ref(&reason),
            time: now,
            trace: TraceContext::of(&request.headers),
            proofs: principal.proofs(),
            fingerprints: Fingerprints {
                wit: principal.wit().map(Wit::hash).map(Fingerprint::of_sha256),
                access_token: token.map(AccessToken::hash).map(Fingerprint::of_sha256),
                ..Fingerprints::default()
            },
        });
    }
}

/// A request's head, without its extensions.
pub(super) fn head_of(request: &Parts) -> Parts {
    let mut head = Request::new(()).into_parts().0;
    head.method = request.method.clone();
    head.uri = request.uri.clone();
    head.version = request.version;
    head.headers = request.headers.clone();
    head
}
