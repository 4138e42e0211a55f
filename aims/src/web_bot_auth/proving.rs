//! An HTTP client that accepts only valid directories, and of these only the keys that have signed
//! them.

use std::fmt;
use std::sync::Arc;

use aims_fetch::{Error, Fetch, FetchFuture};
use aims_http_sig::profile::web_bot_auth::{
    DIRECTORY_MEDIA_TYPE, DIRECTORY_PATH, Directory, DirectoryRules, proven,
};
use aims_http_sig::{HttpRequest, HttpResponse};
use aims_jose::provider::Provider;
use aims_jose::time::{Clock, Skew};
use http::header::ACCEPT;
use http::{HeaderValue, Request, Response, StatusCode};

/// Tells whether the keys of a directory must have signed it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Proof {
    Required,
    Unneeded,
}

pub(super) struct Proving {
    fetch: Arc<dyn Fetch>,
    provider: &'static dyn Provider,
    clock: Arc<dyn Clock>,
    proof: Proof,
}

impl Proving {
    pub(super) fn new(
        fetch: Arc<dyn Fetch>,
        provider: &'static dyn Provider,
        clock: Arc<dyn Clock>,
        proof: Proof,
    ) -> Self {
        Self {
            fetch,
            provider,
            clock,
            proof,
        }
    }

    async fn directory(&self, mut request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let accept = HeaderValue::from_static(DIRECTORY_MEDIA_TYPE);
        request.headers_mut().insert(ACCEPT, accept);
        let (asked, _) = request.clone().into_parts();
        let answer = self.fetch.send(request).await?;
        if answer.status() != StatusCode::OK {
            // A 304 leaves the verified directory in the cache; other statuses are failures.
            return Ok(answer);
        }
        let body = aims_fetch::expect_type(&answer, &[DIRECTORY_MEDIA_TYPE])?;
        let now = self.clock.now();
        let rules = DirectoryRules::well_known();
        let directory = Directory::parse(body, &rules, self.provider, now);
        let mut directory = directory.or(Err(Error::Rejected))?;
        let (parts, body) = answer.into_parts();
        if self.proof == Proof::Required {
            let asked = HttpRequest::to_send(&asked).or(Err(Error::Url { reason: "no URI" }))?;
            let answered = HttpResponse::new(&parts);
            let skew = Skew::default();
            directory =
                proven(&directory, &answered, &asked, &body, skew, now).or(Err(Error::Rejected))?;
        }
        if directory.keys().is_empty() {
            return Err(Error::Rejected);
        }
        // Keep all members of the keys, because `exp` is checked whenever a key is used.
        let kept = directory.excerpt(&body).into_bytes();
        Ok(Response::from_parts(parts, kept))
    }
}

impl Fetch for Proving {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        if request.uri().path() == DIRECTORY_PATH {
            Box::pin(self.directory(request))
        } else {
            self.fetch.send(request)
        }
    }
}

impl fmt::Debug for Proving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proving")
            .field("fetch", &self.fetch)
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}
