//! What is found out after a request was accepted: its content is another one, or its response
//! cannot be signed. It becomes an event of its own.

use std::fmt;

use aims_http_sig::digest::BodyError;
use http::Request;
use http::request::Parts;

use super::{Deferred, Guard};
use crate::decision::{Attributes, Reason};
use crate::principal::Principal;

/// A request that was accepted before its content had come.
pub(super) struct AdmittedRequest {
    guard: Guard<Deferred>,
    request: Parts,
    principal: Principal,
}

impl AdmittedRequest {
    pub(super) fn new(guard: &Guard<Deferred>, request: &Parts, who: &Principal) -> Box<Self> {
        Box::new(Self {
            guard: guard.clone(),
            request: head_of(request),
            principal: who.clone(),
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

pub(super) const CONTENT_UNREAD: &str = "the content of the request could not be read";

/// A request's head with what the program knows of the call, and without its other extensions.
pub(super) fn head_of(request: &Parts) -> Parts {
    let mut head = Request::new(()).into_parts().0;
    head.method = request.method.clone();
    head.uri = request.uri.clone();
    head.version = request.version;
    head.headers = request.headers.clone();
    if let Some(attributes) = request.extensions.get::<Attributes>() {
        head.extensions.insert(attributes.clone());
    }
    head
}
