//! The cache of documents over a client that counts, fails, hangs and panics when told to. Time is paused: nothing here waits.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fetch::{DocumentKey, Documents, DocumentsBuilder, Error, Fetch, FetchFuture};
use http::{Request, Response};
use tokio::time::{advance, timeout};

/// What the next request comes to.
#[derive(Clone, Debug)]
enum Act {
    /// A status, headers, and the body.
    Answer(u16, Vec<(&'static str, &'static str)>, &'static str),
    Slow(u64),
    Hang,
    Break,
    Panic,
}

/// Plays a script, its last act for ever, and writes down what was asked.
#[derive(Debug, Default)]
struct Script {
    acts: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<(String, Option<String>)>>,
}

impl Script {
    fn new(acts: &[Act]) -> Arc<Self> {
        let acts = Mutex::new(acts.iter().cloned().collect());
        Arc::new(Self {
            acts,
            seen: Mutex::default(),
        })
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn asked_with(&self, at: usize) -> Option<String> {
        self.seen.lock().unwrap()[at].1.clone()
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

fn answer(
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

fn good(age: &'static str) -> Act {
    Act::Answer(200, vec![("cache-control", age)], "{\"good\":1}")
}

fn key() -> DocumentKey {
    key_of("https://as.example/jwks")
}

fn key_of(url: &str) -> DocumentKey {
    DocumentKey::new("jwks", "https://as.example", url).unwrap()
}

fn over(script: &Arc<Script>) -> DocumentsBuilder {
    Documents::builder(script.clone())
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

async fn code(documents: &Documents, key: &DocumentKey) -> &'static str {
    match documents.get(key).await {
        Ok(document) if document.is_stale() => "stale",
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

async fn refresh_code(documents: &Documents, key: &DocumentKey) -> &'static str {
    match documents.refresh(key).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_is_kept_while_fresh() {
    let script = Script::new(&[good("max-age=600")]);
    let documents = over(&script).build();
    let first = documents.get(&key()).await.unwrap();
    assert_eq!(first.bytes(), b"{\"good\":1}");
    assert!(!first.is_stale());
    assert_eq!(first.fresh_until() - first.fetched(), secs(600));
    advance(secs(599)).await;
    assert!(documents.get(&key()).await.unwrap().is_same(&first));
    assert_eq!(script.count(), 1);
    advance(secs(1)).await;
    assert!(!documents.get(&key()).await.unwrap().is_same(&first));
    assert_eq!(script.count(), 2);
}

/// T-088: neither "never" nor "for ever".
#[tokio::test(start_paused = true)]
async fn the_bounds_hold() {
    for (control, lifetime) in [
        ("no-store", 60),
        ("max-age=0", 60),
        ("max-age=31536000", 24 * 3600),
    ] {
        let script = Script::new(&[good(control)]);
        let documents = over(&script).build();
        documents.get(&key()).await.unwrap();
        advance(secs(lifetime - 1)).await;
        documents.get(&key()).await.unwrap();
        assert_eq!(script.count(), 1, "{control}");
        advance(secs(1)).await;
        documents.get(&key()).await.unwrap();
        assert_eq!(script.count(), 2, "{control}");
    }
    let script = Script::new(&[good("max-age=31536000")]);
    let documents = over(&script).lifetime(secs(1), secs(2)).build();
    documents.get(&key()).await.unwrap();
    advance(secs(2)).await;
    documents.get(&key()).await.unwrap();
    assert_eq!(script.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_unchanged_is_not_sent_again() {
    let tagged = Act::Answer(
        200,
        vec![("cache-control", "max-age=100"), ("etag", "\"a\"")],
        "{}",
    );
    let unchanged = Act::Answer(304, vec![("cache-control", "max-age=200")], "");
    let changed = Act::Answer(200, vec![("etag", "\"b\"")], "{\"b\":1}");
    let script = Script::new(&[tagged, unchanged, changed.clone(), changed]);
    let documents = over(&script).build();
    let first = documents.get(&key()).await.unwrap();
    advance(secs(100)).await;
    let second = documents.get(&key()).await.unwrap();
    assert!(second.is_same(&first));
    assert_eq!(second.fresh_until() - second.fetched(), secs(200));
    advance(secs(200)).await;
    assert_eq!(documents.get(&key()).await.unwrap().bytes(), b"{\"b\":1}");
    advance(secs(300)).await;
    documents.get(&key()).await.unwrap();
    assert_eq!(script.asked_with(0), None);
    assert_eq!(script.asked_with(1).as_deref(), Some("\"a\""));
    assert_eq!(script.asked_with(2).as_deref(), Some("\"a\""));
    assert_eq!(script.asked_with(3).as_deref(), Some("\"b\""));
}

/// A server that says "not modified" to one who has nothing, or gave no entity tag.
#[tokio::test(start_paused = true)]
async fn unchanged_from_nothing_is_an_error() {
    let unchanged = Act::Answer(304, vec![], "");
    let script = Script::new(&[unchanged.clone()]);
    assert_eq!(code(&over(&script).build(), &key()).await, "fetch.status");
    let script = Script::new(&[good("max-age=60"), unchanged]);
    let documents = over(&script).build();
    assert_eq!(code(&documents, &key()).await, "ok");
    advance(secs(60)).await;
    assert_eq!(code(&documents, &key()).await, "fetch.status");
}

/// T-084, F-19: what is no document, each differing from a good answer in one thing.
#[tokio::test(start_paused = true)]
async fn nonsense_is_a_failure() {
    let html = Act::Answer(200, vec![("content-type", "text/html")], "{}");
    for (act, expected) in [
        (good("max-age=60"), "ok"),
        (html, "fetch.content_type"),
        (Act::Answer(500, vec![], "{}"), "fetch.status"),
        (Act::Answer(206, vec![], "{}"), "fetch.status"),
        (Act::Answer(200, vec![], "{\"keys\":[]}"), "fetch.rejected"),
        (
            Act::Answer(200, vec![], "{\"much too long\":1}"),
            "fetch.body_too_long",
        ),
        (Act::Break, "fetch.resolve"),
        (Act::Hang, "fetch.timeout"),
        (Act::Panic, "fetch.interrupted"),
    ] {
        let script = Script::new(&[act]);
        let documents = over(&script)
            .max_document(16)
            .check(|key, body| key.purpose() == "jwks" && body != b"{\"keys\":[]}")
            .build();
        assert_eq!(code(&documents, &key()).await, expected);
        if expected != "ok" {
            assert_eq!(code(&documents, &key()).await, "fetch.backing_off");
        }
        assert_eq!(script.count(), 1);
    }
}
