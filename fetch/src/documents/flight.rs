//! The task that fetches one document.

use std::sync::Arc;

use http::header::{ACCEPT, IF_NONE_MATCH};
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::slots::Outcome;
use super::{Document, DocumentKey, Shared};
use crate::content::json_object;
use crate::{Error, Landing, decoded, expect_json};

/// Publishes the result, however the task ends.
struct Flight {
    shared: Arc<Shared>,
    key: DocumentKey,
    landing: Landing<Outcome>,
    landed: bool,
}

/// Starts the task. It continues if the callers stop waiting.
pub(super) fn launch(
    shared: Arc<Shared>,
    key: DocumentKey,
    landing: Landing<Outcome>,
    known: Option<Arc<Document>>,
) -> Result<(), Error> {
    let mut flight = Flight {
        shared,
        key,
        landing,
        landed: false,
    };
    // Without a runtime the flight is dropped, which ends it.
    let runtime = Handle::try_current().or(Err(Error::Interrupted))?;
    runtime.spawn(async move {
        let most = flight.shared.settings.timeout;
        let fetched = timeout(most, fetch(&flight.shared, &flight.key, known)).await;
        flight.land(fetched.unwrap_or(Err(Error::Timeout)));
    });
    Ok(())
}

async fn fetch(
    shared: &Shared,
    key: &DocumentKey,
    known: Option<Arc<Document>>,
) -> Result<Arc<Document>, Error> {
    let settings = &shared.settings;
    let mut request = Request::get(key.url())
        .header(ACCEPT, HeaderValue::from_static(key.accept()))
        .body(Vec::new())
        .or(Err(Error::Url { reason: "no URI" }))?;
    let etag = known.as_ref().and_then(|it| it.etag.clone());
    let known = known.filter(|_| etag.is_some());
    if let Some(etag) = &etag {
        request.headers_mut().insert(IF_NONE_MATCH, etag.clone());
    }
    let answer = shared.fetch.send(request).await?;
    // Decode what another client left compressed.
    let answer = decoded(answer, settings.max_document)?;
    let now = Instant::now();
    if let Some(known) = known.filter(|_| answer.status() == StatusCode::NOT_MODIFIED) {
        let bytes = known.bytes.clone();
        let document = Document::arrived(bytes, answer.headers(), etag, settings, now);
        return Ok(Arc::new(document));
    }
    let bytes = document(&answer)?;
    if bytes.len() > settings.max_document {
        let limit = settings.max_document;
        return Err(Error::body_too_long(limit, &answer));
    }
    if !settings
        .check
        .as_ref()
        .is_none_or(|check| check(key, bytes))
    {
        return Err(Error::Rejected);
    }
    let document = Document::arrived(bytes.into(), answer.headers(), None, settings, now);
    Ok(Arc::new(document))
}

/// Returns the body of a successful answer with a whole document (RFC 9110 §15.3).
fn document(answer: &Response<Vec<u8>>) -> Result<&[u8], Error> {
    match answer.status().as_u16() {
        202 | 204 | 205 | 206 => expect_json(answer),
        200..=299 => json_object(answer),
        _ => expect_json(answer),
    }
}

impl Flight {
    fn land(&mut self, result: Result<Arc<Document>, Error>) {
        self.landed = true;
        let mut bytes = [0; 8];
        // Without a random source, use the longest pause.
        let random = getrandom::fill(&mut bytes).map_or(0, |()| u64::from_le_bytes(bytes));
        let (settings, now) = (&self.shared.settings, Instant::now());
        let mut slots = self.shared.slots();
        slots.land(&self.key, &result, settings, random, now);
        drop(slots);
        self.landing.land(result);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        if std::thread::panicking() {
            // A document that causes a panic will do so again, so pause as after every failure.
            self.land(Err(Error::Interrupted));
        } else {
            // The runtime stopped.
            self.shared.slots().abandon(&self.key);
        }
    }
}
