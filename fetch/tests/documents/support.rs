//! A client that counts, fails, hangs and panics on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_fetch::{DocumentKey, Documents, DocumentsBuilder, Error, Fetch, FetchFuture};
use http::{Request, Response};

/// The result of the next request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// A status, header fields, and the body.
    Answer(u16, Vec<(&'static str, &'static str)>, &'static str),
    Slow(u64),
    Hang,
    Break,
    Panic,
}

/// Follows a script, repeats its last step, and records the requests.
#[derive(Debug, Default)]
pub(crate) struct Script {
    acts: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<(String, Option<String>)>>,
}

impl Script {
    pub(crate) fn new(acts: &[Act]) -> Arc<Self> {
        let acts = Mutex::new(acts.iter().cloned().collect());
        Arc::new(Self {
            acts,
            seen: Mutex::default(),
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn asked_with(&self, at: usize) -> Option<String> {
        self.seen.lock().unwrap().get(at).unwrap().1.clone()
    }
}

impl Fetch for Script {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let etag = request.headers().get("if-none-match");
        let etag = etag.map(|it| it.to_str().unwrap().to_owned());
        let url = request.uri().to_string();
        let hangs = url.ends_with("/hang");
        self.seen.lock().unwrap().push((url, etag));
        let mut acts = self.acts.lock().unwrap();
        let act = match acts.len() {
            1 => acts.front().cloned(),
            _ => acts.pop_front(),
        };
        drop(acts);
        Box::pin(async move {
            match act.unwrap() {
                _ if hangs => std::future::pending().await,
                Act::Hang => std::future::pending().await,
                Act::Break => Err(Error::Resolve),
                Act::Panic => panic!("as told"),
                Act::Slow(secs) => {
                    tokio::time::sleep(Duration::from_secs(secs)).await;
                    answer(200, &[], "{}")
                }
                Act::Answer(status, headers, body) => answer(status, &headers, body),
            }
        })
    }
}

pub(crate) fn answer(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let mut answer = Response::builder().status(status);
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        answer = answer.header("content-type", "application/json");
    }
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    Ok(answer.body(body.as_bytes().to_vec()).unwrap())
}

pub(crate) fn good(age: &'static str) -> Act {
    Act::Answer(200, vec![("cache-control", age)], "{\"good\":1}")
}

pub(crate) fn key() -> DocumentKey {
    key_of("https://as.example/jwks")
}

pub(crate) fn key_of(url: &str) -> DocumentKey {
    DocumentKey::new("jwks", "https://as.example", url).unwrap()
}

pub(crate) fn over(script: &Arc<Script>) -> DocumentsBuilder {
    Documents::builder(script.clone())
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) async fn code(documents: &Documents, key: &DocumentKey) -> &'static str {
    match documents.get(key).await {
        Ok(document) if document.is_stale() => "stale",
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

pub(crate) async fn refresh_code(documents: &Documents, key: &DocumentKey) -> &'static str {
    match documents.refresh(key).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}
