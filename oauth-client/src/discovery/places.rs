//! The places of one document, asked in turn.

use std::sync::Arc;

use aims_fetch::Limits;
use aims_oauth_wire::metadata::attempt::{Attempts, Follow, Outcome};
use aims_oauth_wire::metadata::{MAX_METADATA, document};
use aims_oauth_wire::names::Endpoint;
use http::header::{ACCEPT, HeaderValue};
use http::{Request, Response};

use crate::{Error, Sought};

/// The places that are left, the one that is being asked, and what the others answered.
#[derive(Debug)]
pub(super) struct Places {
    sought: Sought,
    asking: Endpoint,
    left: std::vec::IntoIter<Endpoint>,
    attempts: Attempts,
}

impl Places {
    /// Asks the first place.
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

    /// The place that is being asked.
    pub(super) const fn asking(&self) -> &Endpoint {
        &self.asking
    }

    /// Whether there is another place to ask.
    pub(super) fn has_more(&self) -> bool {
        !self.left.as_slice().is_empty()
    }

    /// Judges an answer, and notes it.
    pub(super) fn answered(&mut self, answer: &Response<Vec<u8>>) -> Follow {
        let (status, headers) = (answer.status(), answer.headers());
        self.attempts
            .answered(self.asking.as_str(), status, headers);
        Follow::of(status, headers, answer.body())
    }

    /// Judges that there is no answer that can be used, and notes it.
    pub(super) fn failed(&mut self, error: &aims_fetch::Error) -> Follow {
        self.attempts.failed(self.asking.as_str(), error.code());
        Follow::of_error(error)
    }

    /// Asks the next place.
    pub(super) fn next(mut self) -> Result<(Request<Vec<u8>>, Self), Error> {
        let Some(next) = self.left.next() else {
            let (sought, asked) = (self.sought, self.attempts);
            return Err(Error::NotFound { sought, asked });
        };
        let request = get(&next, &self.sought)?;
        self.asking = next;
        Ok((request, self))
    }

    /// Ends the attempt: the answer cannot be used now.
    pub(super) fn end(self, answer: &Response<Vec<u8>>) -> Error {
        let source = document(answer).map_or_else(Error::from, |_document| Error::Interrupted);
        self.error(Outcome::Unavailable, source)
    }

    /// Ends the attempt: there is no answer.
    pub(super) fn unanswered(self, error: &aims_fetch::Error) -> Error {
        self.error(Outcome::Unavailable, Error::Transport(error.clone()))
    }

    /// Ends the attempt: the document cannot be used.
    pub(super) fn refuse(self, source: aims_oauth_wire::Error) -> Error {
        self.error(Outcome::of(&source), source.into())
    }

    /// Ends the attempt for this reason.
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
