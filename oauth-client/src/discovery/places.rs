//! The well-known URLs of one document, which are asked in order.

use std::sync::Arc;

use aims_fetch::Limits;
use aims_oauth_wire::metadata::attempt::{Attempts, Follow, Outcome};
use aims_oauth_wire::metadata::{MAX_METADATA, document};
use aims_oauth_wire::names::Endpoint;
use http::header::{ACCEPT, HeaderValue};
use http::{Request, Response};

use crate::{Error, Sought};

/// The remaining URLs, the current one, and the answers of the earlier ones.
#[derive(Debug)]
pub(super) struct Places {
    sought: Sought,
    asking: Endpoint,
    left: std::vec::IntoIter<Endpoint>,
    attempts: Attempts,
}

impl Places {
    /// Returns the request to the first URL.
    pub(super) fn begin(
        all: Vec<Endpoint>,
        sought: Sought,
    ) -> Result<(Request<Vec<u8>>, Self), Error> {
        let mut left = all.into_iter();
        let attempts = Attempts::new();
        let Some(asking) = left.next() else {
            return Err(Error::NotFound {
                sought,
                asked: attempts,
            });
        };
        let request = get(&asking, &sought)?;
        let places = Self {
            sought,
            asking,
            left,
            attempts,
        };
        Ok((request, places))
    }

    /// Returns the current URL.
    pub(super) const fn asking(&self) -> &Endpoint {
        &self.asking
    }

    /// Returns whether there is another URL to ask.
    pub(super) fn has_more(&self) -> bool {
        !self.left.as_slice().is_empty()
    }

    /// Decides by an answer, and notes it.
    pub(super) fn answered(&mut self, answer: &Response<Vec<u8>>) -> Follow {
        let (status, headers) = (answer.status(), answer.headers());
        self.attempts
            .answered(self.asking.as_str(), status, headers);
        Follow::of(status, headers, answer.body())
    }

    /// Decides by an error of fetching, and notes it.
    pub(super) fn failed(&mut self, error: &aims_fetch::Error) -> Follow {
        self.attempts.failed(self.asking.as_str(), error.code());
        Follow::of_error(error)
    }

    /// Returns the request to the next URL.
    pub(super) fn next(mut self) -> Result<(Request<Vec<u8>>, Self), Error> {
        let Some(next) = self.left.next() else {
            let (sought, asked) = (self.sought, self.attempts);
            return Err(Error::NotFound { sought, asked });
        };
        let request = get(&next, &self.sought)?;
        self.asking = next;
        Ok((request, self))
    }

    /// Returns the error for an answer that cannot be used now.
    pub(super) fn end(self, answer: &Response<Vec<u8>>) -> Error {
        let source = document(answer).map_or_else(Error::from, |_document| Error::Interrupted);
        self.error(Outcome::Unavailable, source)
    }

    /// Returns the error for a missing answer.
    pub(super) fn unanswered(self, error: &aims_fetch::Error) -> Error {
        self.error(Outcome::Unavailable, Error::Transport(error.clone()))
    }

    /// Returns the error for a document that cannot be used.
    pub(super) fn refuse(self, source: aims_oauth_wire::Error) -> Error {
        self.error(Outcome::of(&source), source.into())
    }

    /// Returns the error with this outcome and source.
    pub(super) fn error(self, outcome: Outcome, source: Error) -> Error {
        Error::Metadata {
            asked: self.attempts,
            outcome,
            source: Arc::new(source),
        }
    }
}

fn get(url: &Endpoint, sought: &Sought) -> Result<Request<Vec<u8>>, Error> {
    let uri = url.as_str().parse().map_err(|_invalid| Error::NotFound {
        sought: sought.clone(),
        asked: Attempts::new(),
    })?;
    let mut request = Request::new(Vec::new());
    *request.uri_mut() = uri;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(ACCEPT, json);
    Limits::new()
        .with_max_body(MAX_METADATA)
        .apply(&mut request);
    Ok(request)
}
