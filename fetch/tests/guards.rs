//! Attacks by an unknown URL, name or server, against listeners on loopback that count what reaches
//! them.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aims_fetch::{Fetch as _, Fetcher, FetcherBuilder, Resolve, ResolveFuture};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Counts connections, at most a hundred, and answers each.
async fn counter() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        for _ in 0..100 {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let _length = stream.read(&mut [0; 1024]).await;
            stream.write_all(ANSWER).await.ok();
        }
    });
    (port, count)
}

async fn code(fetcher: FetcherBuilder, url: &str) -> &'static str {
    // A text that is not a URI does not become a request.
    let Ok(request) = Request::get(url).body(Vec::new()) else {
        return "no request";
    };
    match fetcher.build().unwrap().send(request).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

/// Returns a list of answers, the last one repeatedly.
#[derive(Clone, Debug)]
struct Names(Arc<AtomicUsize>, Vec<Vec<IpAddr>>);

impl Names {
    fn new(answers: &[&[&str]]) -> Self {
        let read = |it: &&[&str]| it.iter().map(|it| it.parse().unwrap()).collect();
        Self(Arc::default(), answers.iter().map(read).collect())
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str) -> ResolveFuture<'a> {
        let at = self.0.fetch_add(1, Ordering::SeqCst);
        let found = self.1.get(at).or_else(|| self.1.last()).unwrap();
        // A port that the resolver returns is not used.
        let found = found.iter().map(|it| SocketAddr::new(*it, 1)).collect();
        Box::pin(std::future::ready(Ok(found)))
    }
}

/// T-080: in no spelling does anything reach the listener.
#[tokio::test]
async fn no_spelling_of_an_address_gets_through() {
    let (port, count) = counter().await;
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "127.1.",
        "2130706433",
        "2130706433.",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.0x1",
        "0177.0.0.1",
        "0177.1",
        "127.255.255.254",
        "0.0.0.0",
        "0",
        "0x0",
        "127.0.0.256",
        "4294967296",
        "１２７.０.０.1",
        "%31%32%37.0.0.1",
        "127。0。0。1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:0:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001::7f00:1]",
        "[fe80::1%25lo]",
        "[::1%25lo]",
        "[::ffff:10.0.0.1]",
        "100.64.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ] {
        for scheme in ["https", "http"] {
            let code = code(Fetcher::builder(), &format!("{scheme}://{host}:{port}/")).await;
            let refused = [
                "no request",
                "fetch.url",
                "fetch.rewritten",
                "fetch.scheme",
                "fetch.address",
                "fetch.resolve",
            ];
            assert!(refused.contains(&code), "{scheme} {host}: {code}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

/// T-081: there is one lookup, and its result is connected to; forbidden addresses among allowed
/// ones are dropped.
#[tokio::test]
async fn the_address_that_was_judged_is_the_one_connected_to() {
    let (port, count) = counter().await;
    let url = format!("http://localhost:{port}/");
    let local = || Fetcher::builder().allow_loopback_http();

    let names = Names::new(&[&["127.0.0.1"], &["10.0.0.1"]]);
    assert_eq!(code(local().resolver(names.clone()), &url).await, "ok");
    assert_eq!(names.0.load(Ordering::SeqCst), 1);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // The next connection looks up and checks again.
    assert_eq!(code(local().resolver(names), &url).await, "fetch.address");

    let mixed = Names::new(&[&["10.0.0.1", "169.254.169.254", "127.0.0.1", "fd00:ec2::254"]]);
    assert_eq!(code(local().resolver(mixed), &url).await, "ok");
    assert_eq!(count.load(Ordering::SeqCst), 2);

    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::ffff:1.1.1.1",
        "fd00::1",
    ] {
        let names = Names::new(&[&[address]]);
        let url = format!("https://as.example:{port}/");
        let code = code(Fetcher::builder().resolver(names), &url).await;
        assert_eq!(code, "fetch.address", "{address}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

/// `https` to a port that speaks `http`, and `http` if only `https` is allowed: the error says what
/// to do.
#[tokio::test]
async fn the_wrong_scheme_is_told() {
    let (port, _count) = counter().await;
    let told = async |fetcher: FetcherBuilder, url: &str| {
        let request = Request::get(url).body(Vec::new()).unwrap();
        fetcher
            .build()
            .unwrap()
            .send(request)
            .await
            .unwrap_err()
            .to_string()
    };
    let names = Names::new(&[&["127.0.0.1"]]);
    let private = Fetcher::builder().allow_private_networks().resolver(names);
    let https = told(private, &format!("https://as.internal:{port}/")).await;
    assert!(
        https.ends_with("does the server speak http at this port?"),
        "{https}"
    );
    let http = told(Fetcher::builder(), &format!("http://127.0.0.1:{port}/")).await;
    assert!(http.contains("`.fetcher(..)` of the agent"), "{http}");
}

/// Private networks need an explicit setting, which allows no metadata service and only `https`.
#[tokio::test]
async fn private_networks_are_not_all_networks() {
    let (port, count) = counter().await;
    let private = || Fetcher::builder().allow_private_networks();
    let url = format!("https://as.internal:{port}/");
    let names = Names::new(&[&["127.0.0.1"]]);
    // The fetcher connects to it, and it does not answer with TLS.
    assert_eq!(code(private().resolver(names), &url).await, "fetch.tls");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    for address in [
        "169.254.169.254",
        "fd00:ec2::254",
        "0.0.0.0",
        "224.0.0.1",
        "fe80::1",
    ] {
        let names = Names::new(&[&[address]]);
        let code = code(private().resolver(names), &url).await;
        assert_eq!(code, "fetch.address", "{address}");
    }
    let literal = code(private(), "https://169.254.169.254/").await;
    assert_eq!(literal, "fetch.address");
    let plain = code(private(), &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(plain, "fetch.scheme");
    let way_out = aims_fetch::Error::Scheme.to_string();
    assert!(way_out.contains("`allow_loopback_http`"), "{way_out}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// F-16: a lookup that hangs ends with the timeout.
#[derive(Debug)]
struct Stuck;

impl Resolve for Stuck {
    fn resolve<'a>(&'a self, _: &'a str) -> ResolveFuture<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_hangs_is_bounded() {
    let fetcher = Fetcher::builder().resolver(Stuck);
    assert_eq!(code(fetcher, "https://as.example/").await, "fetch.timeout");
}

#[derive(Debug)]
struct Failing;

impl Resolve for Failing {
    fn resolve<'a>(&'a self, _: &'a str) -> ResolveFuture<'a> {
        Box::pin(std::future::ready(Err(io::Error::other("as told"))))
    }
}

#[tokio::test]
async fn a_lookup_that_fails() {
    let fetcher = Fetcher::builder().resolver(Failing);
    assert_eq!(code(fetcher, "https://as.example/").await, "fetch.resolve");
}

/// Sends a head, and then these bytes until the peer stops reading.
async fn drip(head: &'static [u8], bytes: &'static [u8], pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _length = stream.read(&mut [0; 1024]).await;
        stream.write_all(head).await.ok();
        while stream.write_all(bytes).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    });
    format!("http://127.0.0.1:{port}/")
}

/// T-083: single bytes, endless header fields, an endless body, a wrong length.
#[tokio::test]
async fn answers_without_end() {
    let local = || Fetcher::builder().allow_loopback_http();
    let quick = || local().timeout(Duration::from_millis(300));
    let pause = Duration::from_millis(20);
    let none = Duration::ZERO;
    let head = b"HTTP/1.1 200 OK\r\n".as_slice();
    let url = drip(b"", b"H", pause).await;
    assert_ne!(code(quick(), &url).await, "ok");
    let url = drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x", pause).await;
    assert_eq!(code(quick(), &url).await, "fetch.timeout");
    let url = drip(head, b"a: b\r\n", pause).await;
    assert_eq!(code(quick(), &url).await, "fetch.timeout");
    let url = drip(head, &[b'a'; 10_000], none).await;
    assert_eq!(code(local(), &url).await, "fetch.connect");
    let url = drip(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 1000], none).await;
    assert_eq!(code(local(), &url).await, "fetch.body_too_long");
    // Its announced length is too long: nothing of it is read.
    let url = drip(
        b"HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n",
        b"x",
        pause,
    )
    .await;
    assert_eq!(code(local(), &url).await, "fetch.body_too_long");
    let url = drip(
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"",
        none,
    );
    assert_eq!(code(local(), &url.await).await, "fetch.connect");
}

/// No coding is requested, and a body that is declared as gzip but is not is refused. No referrer
/// is sent.
#[tokio::test]
async fn no_coding_is_asked_for() {
    let body = b"\x1f\x8b\x08\x00\x00\x00\x00\x00";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1024];
        let length = stream.read(&mut head).await.unwrap();
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 8\r\n\r\n".as_slice();
        stream.write_all(&[answer, body].concat()).await.unwrap();
        head.truncate(length);
        String::from_utf8(head).unwrap()
    });
    let fetcher = Fetcher::builder().allow_loopback_http().build().unwrap();
    let request = Request::get(format!("http://127.0.0.1:{port}/"));
    let answer = fetcher.send(request.body(Vec::new()).unwrap()).await;
    assert_eq!(answer.unwrap_err().code(), "fetch.content_encoding");
    let asked = asked.await.unwrap().to_ascii_lowercase();
    assert!(asked.contains("accept-encoding: identity\r\n"), "{asked}");
    assert!(!asked.contains("referer"), "{asked}");
}

/// T-086: a proxy named in the environment gets nothing. The test runs itself again with a trap
/// there.
#[tokio::test]
async fn no_proxy_from_the_environment() {
    const MARK: &str = "AIMS_FETCH_TARGET";
    if let Ok(url) = std::env::var(MARK) {
        let local = Fetcher::builder().allow_loopback_http();
        assert_eq!(code(local, &url).await, "ok");
        return;
    }
    let (trap, caught) = counter().await;
    let (target, reached) = counter().await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "no_proxy_from_the_environment"]);
    child.env(MARK, format!("http://127.0.0.1:{target}/"));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, format!("http://127.0.0.1:{trap}"));
        child.env(
            name.to_ascii_lowercase(),
            format!("http://127.0.0.1:{trap}"),
        );
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = tokio::task::spawn_blocking(move || child.output()).await;
    assert!(output.unwrap().unwrap().status.success());
    assert_eq!(caught.load(Ordering::SeqCst), 0);
    assert_eq!(reached.load(Ordering::SeqCst), 1);
}

/// The plain client has the same resolver and proxy rules, and follows no redirect.
#[tokio::test]
async fn the_bare_client() {
    let client = Fetcher::builder().http_client().unwrap();
    let error = client.get("https://localhost/").send().await.unwrap_err();
    assert!(error.is_connect());
    let names = Names::new(&[&["127.0.0.1"]]);
    let (port, count) = counter().await;
    let client = Fetcher::builder().resolver(names).http_client().unwrap();
    let url = format!("http://as.example:{port}/");
    client.get(url).send().await.unwrap_err();
    assert_eq!(count.load(Ordering::SeqCst), 0);
}
