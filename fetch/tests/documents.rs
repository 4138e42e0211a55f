//! The cache of documents over a client that counts, fails, hangs and panics when told to. Time is
//! paused: nothing here waits.

#![cfg(feature = "client")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and one double is told to panic"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_fetch::{DocumentKey, Documents, DocumentsBuilder, Error, Fetch, FetchFuture};
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
    let script = Script::new(std::slice::from_ref(&unchanged));
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

/// F-01: stale only where that was allowed, and only for so long.
#[tokio::test(start_paused = true)]
async fn stale_documents_are_given_by_name_alone() {
    let script = Script::new(&[good("max-age=60"), Act::Break]);
    let documents = over(&script).build();
    assert_eq!(code(&documents, &key()).await, "ok");
    advance(secs(60)).await;
    assert_eq!(code(&documents, &key()).await, "fetch.resolve");

    let script = Script::new(&[good("max-age=60"), Act::Break]);
    let documents = over(&script).serve_stale(secs(1000)).build();
    assert_eq!(code(&documents, &key()).await, "ok");
    advance(secs(60)).await;
    // The failure itself, and the pause after it.
    assert_eq!(code(&documents, &key()).await, "stale");
    assert_eq!(code(&documents, &key()).await, "stale");
    assert_eq!(script.count(), 2);
    advance(secs(999)).await;
    assert_eq!(code(&documents, &key()).await, "stale");
    advance(secs(1)).await;
    assert_eq!(code(&documents, &key()).await, "fetch.backing_off");
}

/// A server that forbids it is obeyed.
#[tokio::test(start_paused = true)]
async fn what_must_be_revalidated_is_not_given_stale() {
    for control in ["no-store", "no-cache", "max-age=60, must-revalidate"] {
        let script = Script::new(&[good(control), Act::Break]);
        let documents = over(&script).serve_stale(secs(1000)).build();
        assert_eq!(code(&documents, &key()).await, "ok");
        advance(secs(60)).await;
        assert_eq!(code(&documents, &key()).await, "fetch.resolve", "{control}");
    }
}

/// T-085: the pause doubles to its bound, half of it at least, and ends with the first success.
#[tokio::test(start_paused = true)]
async fn pauses_double_and_end() {
    let mut acts = vec![Act::Break; 5];
    acts.extend([good("max-age=60"), Act::Break]);
    let script = Script::new(&acts);
    let documents = over(&script).pauses(secs(10), secs(40)).build();
    let pause = async || match documents.get(&key()).await.unwrap_err() {
        Error::BackingOff { retry_in, cause } => {
            assert_eq!(cause.code(), "fetch.resolve");
            retry_in
        }
        other => panic!("{other}"),
    };
    for (count, most) in [(1, 10), (2, 20), (3, 40), (4, 40), (5, 40)] {
        assert_eq!(code(&documents, &key()).await, "fetch.resolve");
        assert_eq!(script.count(), count);
        let left = pause().await;
        assert!(left >= secs(most) / 2 && left <= secs(most), "{left:?}");
        advance(left - Duration::from_millis(1)).await;
        assert_eq!(code(&documents, &key()).await, "fetch.backing_off");
        advance(Duration::from_millis(1)).await;
    }
    assert_eq!(code(&documents, &key()).await, "ok");
    advance(secs(60)).await;
    assert_eq!(code(&documents, &key()).await, "fetch.resolve");
    assert!(pause().await <= secs(10));
}

/// Not every instance comes back at the same moment.
#[tokio::test(start_paused = true)]
async fn pauses_have_jitter() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..32 {
        let documents = over(&Script::new(&[Act::Break])).build();
        documents.get(&key()).await.unwrap_err();
        if let Error::BackingOff { retry_in, .. } = documents.get(&key()).await.unwrap_err() {
            seen.insert(retry_in);
        }
    }
    assert!(seen.len() > 4, "{seen:?}");
}

/// T-085: a thousand made-up key names make us fetch once an interval, whatever the server does,
/// and the known document stays.
#[tokio::test(start_paused = true)]
async fn refreshes_are_rate_limited() {
    for act in [
        good("max-age=600"),
        Act::Answer(200, vec![], "{\"keys\":[]}"),
        Act::Answer(500, vec![], ""),
        Act::Hang,
        Act::Panic,
    ] {
        let script = Script::new(&[good("max-age=86400"), act]);
        let documents = over(&script)
            .refresh_interval(secs(30))
            .timeout(secs(20))
            .check(|_, body| body != b"{\"keys\":[]}")
            .build();
        documents.get(&key()).await.unwrap();
        for _ in 0..1000 {
            assert_eq!(refresh_code(&documents, &key()).await, "ok");
        }
        assert_eq!(script.count(), 1);
        advance(secs(30)).await;
        let crowd: Vec<_> = (0..1000)
            .map(|_| {
                let documents = documents.clone();
                tokio::spawn(async move { documents.refresh(&key()).await.is_ok() })
            })
            .collect();
        tokio::task::yield_now().await;
        // While it is under way, and after it failed, what is known is given at once.
        let at = tokio::time::Instant::now();
        assert_eq!(code(&documents, &key()).await, "ok");
        assert_eq!(at.elapsed(), Duration::ZERO);
        for one in crowd {
            one.await.unwrap();
        }
        assert_eq!(script.count(), 2);
        assert_eq!(refresh_code(&documents, &key()).await, "ok");
        assert_eq!(code(&documents, &key()).await, "ok");
        assert_eq!(script.count(), 2);
    }
}

/// T-085a: who asks early for a key that is still to come delays it by the interval and no more:
/// the next refresh that succeeds has it, and so has everybody from then on.
#[tokio::test(start_paused = true)]
async fn a_key_that_was_asked_for_early_comes() {
    const OLD: &str = "{\"keys\":[1]}";
    const NEW: &str = "{\"keys\":[1,2]}";
    let day = || vec![("cache-control", "max-age=86400")];
    let script = Script::new(&[
        Act::Answer(200, day(), OLD),
        Act::Answer(200, day(), OLD),
        Act::Answer(200, day(), NEW),
    ]);
    let documents = over(&script).refresh_interval(secs(30)).build();
    let body = async |refreshed: bool| {
        let document = match refreshed {
            true => documents.refresh(&key()).await,
            false => documents.get(&key()).await,
        };
        String::from_utf8(document.unwrap().bytes().to_vec()).unwrap()
    };
    assert_eq!(body(false).await, OLD);
    advance(secs(30)).await;
    assert_eq!(body(true).await, OLD, "it is asked for early");
    advance(secs(29)).await;
    for _ in 0..100 {
        assert_eq!(body(true).await, OLD);
    }
    // To ask again and again does not put it off.
    advance(secs(1)).await;
    assert_eq!(body(true).await, NEW);
    assert_eq!(
        (body(true).await, body(false).await),
        (NEW.into(), NEW.into())
    );
    assert_eq!(script.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_too_soon_without_a_document() {
    let script = Script::new(&[Act::Break]);
    let documents = over(&script).pauses(secs(1), secs(1)).build();
    assert_eq!(refresh_code(&documents, &key()).await, "fetch.resolve");
    assert_eq!(refresh_code(&documents, &key()).await, "fetch.backing_off");
    advance(secs(1)).await;
    assert_eq!(refresh_code(&documents, &key()).await, "fetch.too_soon");
    assert_eq!(script.count(), 1);
    advance(secs(29)).await;
    assert_eq!(refresh_code(&documents, &key()).await, "fetch.resolve");
    assert_eq!(script.count(), 2);
}

/// F-03: the work is not the leader's: it goes on when the leader is gone, and is done once.
#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_takes_nothing_along() {
    let script = Script::new(&[Act::Slow(10)]);
    let documents = over(&script).build();
    let leader = timeout(secs(5), documents.get(&key())).await;
    assert!(leader.is_err());
    let at = tokio::time::Instant::now();
    let followers = (0..50).map(|_| {
        let documents = documents.clone();
        tokio::spawn(async move { documents.get(&key()).await.unwrap().bytes().len() })
    });
    for follower in followers.collect::<Vec<_>>() {
        assert_eq!(follower.await.unwrap(), 2);
    }
    assert_eq!(at.elapsed(), secs(5));
    assert_eq!(script.count(), 1);
}

/// F-03: followers of a flight that panics or hangs get an error, and after the pause it is tried
/// anew.
#[tokio::test(start_paused = true)]
async fn a_flight_that_fails_ends_for_all() {
    for (act, expected) in [
        (Act::Panic, "fetch.interrupted"),
        (Act::Hang, "fetch.timeout"),
    ] {
        let script = Script::new(&[act, good("max-age=60")]);
        let documents = over(&script).build();
        let (one, two) = (key(), key());
        let at = tokio::time::Instant::now();
        let both = tokio::join!(code(&documents, &one), code(&documents, &two));
        assert_eq!(both, (expected, expected));
        assert!(at.elapsed() < secs(21));
        assert_eq!(script.count(), 1);
        advance(secs(5)).await;
        assert_eq!(code(&documents, &key()).await, "ok");
    }
}

/// F-03, F-14: a runtime that stops in the middle, and none at all.
#[test]
fn a_runtime_that_stops_poisons_nothing() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let script = Script::new(&[Act::Hang, good("max-age=60")]);
    let documents = over(&script).build();
    let first = runtime();
    first.block_on(async {
        assert!(timeout(secs(1), documents.get(&key())).await.is_err());
    });
    let waiting = std::thread::spawn({
        let (documents, second) = (documents.clone(), runtime());
        move || second.block_on(async { code(&documents, &key()).await })
    });
    drop(first);
    // It joined the flight that was dropped, or came later and flew itself.
    let waited = waiting.join().unwrap();
    assert!(["ok", "fetch.interrupted"].contains(&waited), "{waited}");
    assert_eq!(runtime().block_on(code(&documents, &key())), "ok");

    let documents = over(&Script::new(&[good("max-age=60")])).build();
    let key = key();
    let mut get = std::pin::pin!(documents.get(&key));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match get.as_mut().poll(&mut context) {
        std::task::Poll::Ready(result) => {
            assert_eq!(result.unwrap_err().code(), "fetch.interrupted");
        }
        std::task::Poll::Pending => panic!("it waits for nobody"),
    }
    assert_eq!(runtime().block_on(code(&documents, &key)), "ok");
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_delays_no_other() {
    let script = Script::new(&[good("max-age=60")]);
    let documents = over(&script).build();
    let hanging = tokio::spawn({
        let documents = documents.clone();
        async move { code(&documents, &key_of("https://as.example/hang")).await }
    });
    tokio::task::yield_now().await;
    let at = tokio::time::Instant::now();
    assert_eq!(code(&documents, &key()).await, "ok");
    assert_eq!(at.elapsed(), Duration::ZERO);
    assert_eq!(hanging.await.unwrap(), "fetch.timeout");
}

/// F-18: so many and no more; what has no document makes room first, and what is under way never.
#[tokio::test(start_paused = true)]
async fn the_room_is_bounded() {
    let script = Script::new(&[good("max-age=600"), Act::Break]);
    let documents = over(&script).capacity(3).build();
    assert_eq!(code(&documents, &key()).await, "ok");
    for at in 0..1000 {
        let url = format!("https://as.example/{at}");
        assert_eq!(code(&documents, &key_of(&url)).await, "fetch.resolve");
    }
    assert_eq!(documents.len(), 3);
    assert_eq!(code(&documents, &key()).await, "ok");
    assert_eq!(script.count(), 1001);

    let script = Script::new(&[Act::Hang]);
    let documents = over(&script).capacity(1).flights(1).build();
    let busy = tokio::spawn({
        let documents = documents.clone();
        async move { code(&documents, &key()).await }
    });
    tokio::task::yield_now().await;
    let other = key_of("https://as.example/other");
    assert_eq!(code(&documents, &other).await, "fetch.busy");
    assert_eq!(busy.await.unwrap(), "fetch.timeout");
    assert_eq!(code(&documents, &other).await, "fetch.timeout");
}

/// T-091: one URL, two owners, two purposes: nothing is shared.
#[tokio::test(start_paused = true)]
async fn owners_and_purposes_stay_apart() {
    let url = "https://as.example/jwks";
    let script = Script::new(&[good("max-age=600")]);
    let documents = over(&script).build();
    for (purpose, owner) in [
        ("jwks", "https://as.example"),
        ("jwks", "https://other.example"),
        ("metadata", "https://as.example"),
    ] {
        let key = DocumentKey::new(purpose, owner, url).unwrap();
        assert_eq!(
            (key.purpose(), key.owner(), key.url()),
            (purpose, owner, url)
        );
        documents.get(&key).await.unwrap();
        documents.get(&key).await.unwrap();
    }
    assert_eq!(script.count(), 3);
}

/// T-089: nothing secret in a URL, and nothing that is not one.
#[test]
fn urls_of_documents() {
    let long = format!("https://as.example/{}", "a".repeat(2048));
    for url in [
        "",
        "/jwks",
        "data:,x",
        "https://u:p@as.example/",
        "https://u@as.example/",
        "https://as.example/#x",
        "https:///",
        &long,
    ] {
        let error = DocumentKey::new("jwks", "x", url).unwrap_err();
        assert_eq!(error.code(), "fetch.url", "{url}");
        assert!(!error.to_string().contains("as.example"));
    }
}

/// A caller that knows of a suspension has the document fetched anew, without the least interval;
/// pauses after failures stay, and what came later is left.
#[tokio::test(start_paused = true)]
async fn what_is_expired_is_fetched_anew() {
    let script = Script::new(&[good("max-age=600"), good("max-age=600"), Act::Break]);
    let documents = over(&script).build();
    let first = documents.get(&key()).await.unwrap();
    assert_eq!(refresh_code(&documents, &key()).await, "ok");
    assert_eq!(script.count(), 1);
    documents.expire(&key(), &first);
    advance(secs(1)).await;
    let second = documents.get(&key()).await.unwrap();
    assert_eq!(script.count(), 2);
    // The first one is no longer what is kept.
    documents.expire(&key(), &first);
    assert!(!documents.get(&key()).await.unwrap().is_stale());
    assert_eq!(script.count(), 2);
    documents.expire(&key(), &second);
    assert_eq!(code(&documents, &key()).await, "fetch.resolve");
    for _ in 0..10 {
        documents.expire(&key(), &second);
        assert_eq!(code(&documents, &key()).await, "fetch.backing_off");
        assert_eq!(refresh_code(&documents, &key()).await, "fetch.backing_off");
    }
    assert_eq!(script.count(), 3);
}
