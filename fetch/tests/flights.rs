//! Unknown callers choose the URLs that are fetched: the limits of concurrent fetches, and which
//! callers they affect (F-18, T-072). Time is paused, so no test waits.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_fetch::{DocumentKey, Documents, DocumentsBuilder, Error, Fetch, FetchFuture};
use http::{Request, Response};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::advance;

/// URLs under `/hang` never answer, those under `/break` fail, and all others are fresh for ten
/// minutes.
#[derive(Debug, Default)]
struct Web {
    seen: Mutex<Vec<String>>,
}

impl Web {
    /// Returns the number of requests to URLs that contain this text.
    fn count(&self, part: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|url| url.contains(part)).count()
    }

    fn documents(self: &Arc<Self>) -> DocumentsBuilder {
        Documents::builder(self.clone())
    }
}

impl Fetch for Web {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let url = request.uri().to_string();
        self.seen.lock().unwrap().push(url.clone());
        Box::pin(async move {
            if url.contains("/hang") {
                std::future::pending::<()>().await;
            }
            if url.contains("/break") {
                return Err(Error::Resolve);
            }
            let answer = Response::builder()
                .header("content-type", "application/json")
                .header("cache-control", "max-age=600");
            Ok(answer.body(b"{}".to_vec()).unwrap())
        })
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

async fn get(documents: &Documents, url: &str) -> &'static str {
    let key = DocumentKey::new("jwks", "https://as.example", url).unwrap();
    let got = documents.get(&key).await;
    got.map_or_else(|error| error.code(), |_| "ok")
}

/// Requests all of them at once, and lets them run as far as they can.
async fn ask_all(documents: &Documents, urls: Vec<String>) -> Vec<JoinHandle<&'static str>> {
    let tasks = urls.into_iter().map(|url| {
        let documents = documents.clone();
        tokio::spawn(async move { get(&documents, &url).await })
    });
    let tasks = tasks.collect();
    for _ in 0..32 {
        yield_now().await;
    }
    tasks
}

/// Returns how many of them had this result.
async fn how_many(tasks: Vec<JoinHandle<&'static str>>, code: &str) -> usize {
    let mut count = 0;
    for task in tasks {
        count += usize::from(task.await.unwrap() == code);
    }
    count
}

fn urls(count: usize, of: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(of).collect()
}

/// As many hanging URLs as the cache has room for: cached documents are returned, nothing is
/// fetched again, and one host gets a few requests.
#[tokio::test(start_paused = true)]
async fn what_hangs_evicts_nothing() {
    let web = Arc::new(Web::default());
    let documents = web.documents().build();
    assert_eq!(get(&documents, "https://good.example/keys").await, "ok");
    let strangers = urls(256, |it| format!("https://evil.example/hang?v={it}"));
    let strangers = ask_all(&documents, strangers).await;
    assert_eq!(get(&documents, "https://good.example/keys").await, "ok");
    assert_eq!(web.count("good.example"), 1);
    // It uses no place of another host either.
    assert_eq!(get(&documents, "https://other.example/keys").await, "ok");
    assert_eq!(web.count("evil.example"), 4);
    assert_eq!(how_many(strangers, "fetch.busy").await, 252);
}

/// With any number of hosts, a few are asked at a time, and cached documents are returned.
#[tokio::test(start_paused = true)]
async fn so_many_are_fetched_at_a_time() {
    let web = Arc::new(Web::default());
    let documents = web.documents().build();
    assert_eq!(get(&documents, "https://good.example/keys").await, "ok");
    let strangers = urls(256, |it| format!("https://evil-{it}.example/hang"));
    let strangers = ask_all(&documents, strangers).await;
    assert_eq!(web.count("evil"), 32);
    assert_eq!(get(&documents, "https://good.example/keys").await, "ok");
    let other = "https://other.example/keys";
    assert_eq!(get(&documents, other).await, "fetch.busy");
    assert_eq!(documents.len(), 33, "what is refused leaves no trace");
    assert_eq!(how_many(strangers, "fetch.timeout").await, 32);
    assert_eq!(get(&documents, other).await, "ok");
    assert_eq!(web.count("good.example"), 1);
}

/// A cached document is fetched again although many unknown URLs hang, even on its own host.
#[tokio::test(start_paused = true)]
async fn what_is_known_is_fetched_anew() {
    let web = Arc::new(Web::default());
    let documents = web.documents().flights(2).flights_per_host(1).build();
    let known = "https://good.example/keys";
    assert_eq!(get(&documents, known).await, "ok");
    advance(secs(600)).await;
    let strangers = ["https://evil.example/hang", "https://good.example/hang"];
    let strangers = strangers.map(str::to_owned).to_vec();
    let strangers = ask_all(&documents, strangers).await;
    assert_eq!(get(&documents, "https://x.example/").await, "fetch.busy");
    assert_eq!(get(&documents, known).await, "ok");
    assert_eq!(web.count(known), 2);
    assert_eq!(how_many(strangers, "fetch.timeout").await, 2);
}

/// Repeated fetches are limited as well: two valid documents, and a host that then hangs.
#[tokio::test(start_paused = true)]
async fn renewals_are_bounded() {
    #[derive(Debug, Default)]
    struct Once(Mutex<usize>);
    impl Fetch for Once {
        fn send(&self, _: Request<Vec<u8>>) -> FetchFuture<'_> {
            let mut count = self.0.lock().unwrap();
            *count += 1;
            let hangs = *count > 2;
            Box::pin(async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                let answer = Response::builder().header("content-type", "application/json");
                Ok(answer.body(b"{}".to_vec()).unwrap())
            })
        }
    }
    let urls = || urls(2, |it| format!("https://evil.example/{it}"));
    for (flights, per_host, busy) in [(2, 2, 0), (2, 1, 1), (1, 2, 1)] {
        let documents = Documents::builder(Arc::new(Once::default()));
        let documents = documents.flights(flights).flights_per_host(per_host);
        let documents = documents.build();
        for url in urls() {
            assert_eq!(get(&documents, &url).await, "ok");
        }
        advance(secs(3600)).await;
        let asked = ask_all(&documents, urls()).await;
        assert_eq!(how_many(asked, "fetch.busy").await, busy);
    }
}

/// A host is the same with any port or final dot.
#[tokio::test(start_paused = true)]
async fn a_host_is_counted_once() {
    let web = Arc::new(Web::default());
    let documents = web.documents().flights_per_host(1).build();
    let first = vec!["https://evil.example/hang".to_owned()];
    let first = ask_all(&documents, first).await;
    for url in [
        "https://evil.example:8443/hang",
        "https://evil.example./hang",
        "https://EVIL.example/hang?x",
    ] {
        assert_eq!(get(&documents, url).await, "fetch.busy", "{url}");
    }
    assert_eq!(how_many(first, "fetch.timeout").await, 1);
}

/// The room is for documents: a failure removes none, and a new document replaces the least
/// recently used one.
#[tokio::test(start_paused = true)]
async fn a_failure_takes_no_room_from_a_document() {
    let web = Arc::new(Web::default());
    let documents = web.documents().capacity(2).build();
    let [a, b, c] = ["a", "b", "c"].map(|it| format!("https://{it}.example/keys"));
    assert_eq!(get(&documents, &a).await, "ok");
    assert_eq!(get(&documents, &b).await, "ok");
    for at in 0..10 {
        let url = format!("https://evil.example/break/{at}");
        assert_eq!(get(&documents, &url).await, "fetch.resolve");
        assert_eq!(documents.len(), 2);
    }
    assert_eq!(get(&documents, &b).await, "ok");
    assert_eq!(get(&documents, &a).await, "ok");
    assert_eq!(web.count("/keys"), 2);
    assert_eq!(get(&documents, &c).await, "ok");
    assert_eq!(documents.len(), 2);
    assert_eq!(get(&documents, &a).await, "ok");
    assert_eq!(web.count("/keys"), 3);
    assert_eq!(get(&documents, &b).await, "ok");
    assert_eq!(web.count("/keys"), 4, "it made room");
}

/// A running fetch uses no room before its document has arrived.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_takes_no_room() {
    let web = Arc::new(Web::default());
    let documents = web.documents().capacity(2).build();
    assert_eq!(get(&documents, "https://a.example/keys").await, "ok");
    let strangers = urls(4, |it| format!("https://evil.example/hang/{it}"));
    let strangers = ask_all(&documents, strangers).await;
    assert_eq!(get(&documents, "https://b.example/keys").await, "ok");
    assert_eq!(get(&documents, "https://a.example/keys").await, "ok");
    assert_eq!(web.count("/keys"), 2);
    assert_eq!(how_many(strangers, "fetch.timeout").await, 4);
    assert_eq!(get(&documents, "https://b.example/keys").await, "ok");
    assert_eq!(get(&documents, "https://a.example/keys").await, "ok");
    assert_eq!((web.count("/keys"), documents.len()), (2, 2));
}

/// If the program chose all documents, no request for one has to wait.
#[tokio::test(start_paused = true)]
async fn ones_own_documents_are_fetched_at_once() {
    let web = Arc::new(Web::default());
    let own = || urls(100, |it| format!("https://as.example/hang/{it}"));
    for (least, most) in [(100, 100), (50, 50), (0, 4)] {
        let documents = web.documents().capacity_at_least(least).build();
        let asked = ask_all(&documents, own()).await;
        assert_eq!(how_many(asked, "fetch.busy").await, 100 - most);
    }
}
