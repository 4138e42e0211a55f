//! Names that do not resolve, addresses that do not answer, and peers that close the connection
//! early.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aims_fetch::{Error, Fetch as _, Fetcher, FetcherBuilder, Resolve, ResolveFuture};
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

fn local() -> FetcherBuilder {
    Fetcher::builder().allow_loopback_http()
}

fn code(result: Result<Response<Vec<u8>>, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

/// Reads one request, including its body of two bytes. Returns `None` if the peer closed the
/// connection.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.windows(4).any(|it| it == b"\r\n\r\n")
        || text.starts_with(b"POST") && !text.ends_with(b"{}")
    {
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).await.ok().filter(|it| *it > 0)?;
        text.extend_from_slice(bytes.get(..length)?);
    }
    String::from_utf8(text).ok()
}

/// Never answers; counts the waiting callers.
#[derive(Clone, Debug, Default)]
struct Silent {
    waiting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// A waiting caller.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Resolve for Silent {
    fn resolve<'a>(&'a self, _: &'a str) -> ResolveFuture<'a> {
        Box::pin(async {
            let now = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let _waiting = Waiting(Arc::clone(&self.waiting));
            std::future::pending().await
        })
    }
}

/// Sends requests for this number of names, each in its own task.
fn names(
    fetcher: &Arc<Fetcher>,
    count: usize,
) -> Vec<JoinHandle<Result<Response<Vec<u8>>, Error>>> {
    let tasks = (0..count).map(|number| {
        let fetcher = Arc::clone(fetcher);
        let request = Request::get(format!("https://host{number}.example/"));
        let request = request.body(Vec::new()).unwrap();
        tokio::spawn(async move { fetcher.send(request).await })
    });
    tasks.collect()
}

/// F-16: a thousand requests for names that never resolve: a few lookups run at a time, and work
/// that needs no name or thread continues meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_that_hang_are_few() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await.unwrap();
        stream.write_all(ANSWER.as_bytes()).await.unwrap();
    });
    let silent = Silent::default();
    let fetcher = local().resolver(silent.clone()).timeout(NEVER);
    let fetcher = Arc::new(fetcher.build().unwrap());
    let requests = names(&fetcher, 1_000);
    while silent.most.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // An address needs no lookup.
    let request = Request::get(format!("http://127.0.0.1:{port}/"));
    let answer = fetcher.send(request.body(Vec::new()).unwrap()).await;
    assert_eq!(code(answer), "ok");
    tokio::task::spawn_blocking(|| ()).await.unwrap();
    let ended = requests.iter().filter(|it| it.is_finished()).count();
    assert_eq!(ended, 0, "the others wait for their lookups");
    let most = silent.most.load(Ordering::SeqCst);
    assert!(most <= 32, "{most} lookups at a time");
    requests.iter().for_each(JoinHandle::abort);
}

/// F-16: the deadline includes the lookup, and the wait for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_that_hang_end() {
    let silent = Silent::default();
    let fetcher = local().resolver(silent.clone());
    let fetcher = fetcher.timeout(Duration::from_millis(200)).build();
    for request in names(&Arc::new(fetcher.unwrap()), 100) {
        assert_eq!(code(request.await.unwrap()), "fetch.timeout");
    }
    assert_eq!(silent.waiting.load(Ordering::SeqCst), 0, "none is left");
}

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

/// Returns these addresses for any name.
#[derive(Debug)]
struct Addresses(&'static [&'static str]);

impl Resolve for Addresses {
    fn resolve<'a>(&'a self, _: &'a str) -> ResolveFuture<'a> {
        let found = self.0.iter();
        let found = found
            .map(|it| SocketAddr::new(it.parse().unwrap(), 0))
            .collect();
        Box::pin(std::future::ready(Ok(found)))
    }
}

/// F-25: if the first address does not answer, the next one is tried, and each is checked.
#[tokio::test]
async fn the_next_address_is_tried() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if read(&mut stream).await.is_some() {
                stream.write_all(ANSWER.as_bytes()).await.ok();
            }
        }
    });
    for (addresses, expected) in [
        (&["127.0.0.1"][..], "ok"),
        (&["::1", "127.0.0.1"], "ok"),
        (&["127.0.0.2", "127.0.0.1"], "ok"),
        (&["10.0.0.1", "127.0.0.1"], "ok"),
        (&["127.0.0.2"], "fetch.connect"),
        (&["10.0.0.1", "192.168.0.1"], "fetch.address"),
        (&[], "fetch.resolve"),
    ] {
        let fetcher = local().resolver(Addresses(addresses));
        let request = Request::get(format!("http://localhost:{port}/"));
        let request = request.body(Vec::new()).unwrap();
        let answer = fetcher.build().unwrap().send(request).await;
        assert_eq!(code(answer), expected, "{addresses:?}");
    }
}

/// F-13: if a peer closes the connection after it has read a request, on a new connection or a kept
/// one, there is an error: a `POST` is not sent a second time.
#[tokio::test]
async fn a_post_is_sent_once() {
    for kept in [false, true] {
        for cut in 0..ANSWER.len() {
            if cut % 9 != 0 && cut + 1 != ANSWER.len() {
                continue;
            }
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let seen = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&seen);
            tokio::spawn(async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    while let Some(request) = read(&mut stream).await {
                        if request.starts_with("GET") {
                            stream.write_all(ANSWER.as_bytes()).await.unwrap();
                            continue;
                        }
                        counted.fetch_add(1, Ordering::SeqCst);
                        let part = ANSWER.as_bytes().get(..cut).unwrap();
                        stream.write_all(part).await.unwrap();
                        break;
                    }
                }
            });
            let fetcher = local().timeout(Duration::from_secs(2)).build().unwrap();
            let url = format!("http://127.0.0.1:{port}/");
            if kept {
                let request = Request::get(&url).body(Vec::new()).unwrap();
                assert_eq!(code(fetcher.send(request).await), "ok");
            }
            let request = Request::post(&url).body(b"{}".to_vec()).unwrap();
            let answer = fetcher.send(request).await;
            assert_eq!(code(answer), "fetch.connect", "{cut} bytes, kept: {kept}");
            assert_eq!(seen.load(Ordering::SeqCst), 1, "{cut} bytes, kept: {kept}");
        }
    }
}
