//! The fetcher against misbehaving servers on loopback.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aims_fetch::{
    Error, Fetch as _, Fetcher, FetcherBuilder, FinalUrl, Limits, Resolve, ResolveFuture,
    expect_json, expect_type,
};
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Gives each connection the same answer, at most a dozen, and returns what it received.
async fn server(answer: String) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for _ in 0..12 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            head.truncate(length);
            seen.send(String::from_utf8(head).unwrap()).ok();
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    (port, requests)
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn redirect(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

fn local() -> FetcherBuilder {
    Fetcher::builder().allow_loopback_http()
}

async fn get(fetcher: FetcherBuilder, url: &str) -> Result<Response<Vec<u8>>, Error> {
    let request = Request::get(url)
        .header("x-secret", "s")
        .header("accept", "application/json");
    let request = request.body(Vec::new()).unwrap();
    fetcher.build().unwrap().send(request).await
}

async fn code(fetcher: FetcherBuilder, url: &str) -> &'static str {
    match get(fetcher, url).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[tokio::test]
async fn a_document_is_fetched() {
    let (port, mut requests) = server(ok("{}")).await;
    let answer = get(local(), &format!("http://127.0.0.1:{port}/a?b"))
        .await
        .unwrap();
    assert_eq!(expect_json(&answer).unwrap(), b"{}");
    assert!(
        requests
            .recv()
            .await
            .unwrap()
            .starts_with("GET /a?b HTTP/1.1\r\n")
    );
}

/// T-080: only `https`, and `http` only to loopback and only if it is allowed.
#[tokio::test]
async fn only_https_unless_named() {
    let (port, _requests) = server(ok("{}")).await;
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(code(Fetcher::builder(), &url).await, "fetch.scheme");
    assert_eq!(code(local(), &url).await, "ok");
    assert_eq!(code(local(), "http://192.0.2.1/").await, "fetch.scheme");
    assert_eq!(
        code(local(), "http://localhost.example/").await,
        "fetch.scheme"
    );
    assert_eq!(code(local(), "http://user@localhost/").await, "fetch.url");
}

/// T-080, T-081: addresses that are not public, in the URL or behind a name.
#[tokio::test]
async fn no_address_that_is_not_public() {
    for host in [
        "127.0.0.1",
        "10.0.0.1",
        "[::1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "2130706433",
        "0x7f.1",
    ] {
        let url = format!("https://{host}/");
        assert_eq!(
            code(Fetcher::builder(), &url).await,
            "fetch.address",
            "{host}"
        );
    }
    assert_eq!(
        code(Fetcher::builder(), "https://localhost/").await,
        "fetch.address"
    );
}

/// Returns a public address first, and loopback from then on.
#[derive(Debug)]
struct Rebinding(AtomicUsize, Vec<&'static str>);

impl Resolve for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str) -> ResolveFuture<'a> {
        let at = self.0.fetch_add(1, Ordering::SeqCst);
        let address = *self.1.get(at).or_else(|| self.1.last()).unwrap();
        let address = format!("{address}:0").parse::<SocketAddr>();
        Box::pin(std::future::ready(
            address.map(|it| vec![it]).map_err(io::Error::other),
        ))
    }
}

/// T-081: the address that is connected to is checked, for each connection.
#[tokio::test]
async fn a_name_that_leads_to_loopback_is_refused() {
    let resolver = Rebinding(AtomicUsize::new(0), vec!["127.0.0.1"]);
    let fetcher = Fetcher::builder().resolver(resolver);
    assert_eq!(code(fetcher, "https://as.example/").await, "fetch.address");
    // A name other than `localhost`, if loopback is allowed.
    let resolver = Rebinding(AtomicUsize::new(0), vec!["127.0.0.1"]);
    let fetcher = local().resolver(resolver);
    assert_eq!(code(fetcher, "https://as.example/").await, "fetch.address");
}

#[derive(Debug)]
struct Nameless;

impl Resolve for Nameless {
    fn resolve<'a>(&'a self, _: &'a str) -> ResolveFuture<'a> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

#[tokio::test]
async fn a_name_without_an_address() {
    let fetcher = Fetcher::builder().resolver(Nameless);
    assert_eq!(code(fetcher, "https://as.example/").await, "fetch.resolve");
}

/// T-082: a redirect is an answer, unless redirects are enabled; then each URL is checked.
#[tokio::test]
async fn redirects_are_judged_anew() {
    let (target, mut seen) = server(ok("{}")).await;
    let (port, _requests) = server(redirect(&format!("http://127.0.0.1:{target}/"))).await;
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(get(local(), &url).await.unwrap().status(), 302);
    assert_eq!(code(local().redirects(1), &url).await, "ok");
    // To another origin (here another port), only `Accept` is sent.
    let request = seen.recv().await.unwrap();
    assert!(request.contains("accept: application/json"));
    assert!(!request.contains("x-secret"));
    for (to, expected) in [
        ("http://10.0.0.1/", "fetch.scheme"),
        ("https://10.0.0.1/", "fetch.address"),
        ("file:///etc/passwd", "fetch.redirect"),
    ] {
        let (port, _requests) = server(redirect(to)).await;
        let url = format!("http://127.0.0.1:{port}/");
        assert_eq!(code(local().redirects(3), &url).await, expected, "{to}");
    }
}

#[tokio::test]
async fn redirects_end() {
    let (port, mut requests) = server(redirect("/again")).await;
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(code(local().redirects(3), &url).await, "fetch.redirect");
    let mut count = 0;
    while requests.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, 4);
}

/// A request that changes something is not repeated at another URL, though the target would answer.
#[tokio::test]
async fn a_post_is_not_redirected() {
    let (target, mut seen) = server(ok("{}")).await;
    let (port, _requests) = server(redirect(&format!("http://127.0.0.1:{target}/"))).await;
    let post = Request::post(format!("http://127.0.0.1:{port}/"));
    let fetcher = local().redirects(3).build().unwrap();
    let answer = fetcher.send(post.body(b"secret".to_vec()).unwrap()).await;
    assert_eq!(answer.unwrap_err().code(), "fetch.redirect");
    assert!(seen.try_recv().is_err());
}

/// T-083: the limit counts received bytes, with any `Content-Length` or none.
#[tokio::test]
async fn bodies_are_bounded() {
    let endless = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
        "x".repeat(5_000)
    );
    let (port, _requests) = server(endless).await;
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(
        code(local().max_body(4_999), &url).await,
        "fetch.body_too_long"
    );
    assert_eq!(code(local().max_body(5_000), &url).await, "ok");
}

/// T-083: a server that never ends its answer.
#[tokio::test]
async fn time_is_bounded() {
    let (port, _requests) =
        server("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n".to_owned()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().port();
    let fetcher = || local().timeout(Duration::from_millis(300));
    let broken = code(fetcher(), &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(broken, "fetch.connect");
    let slow = code(fetcher(), &format!("http://127.0.0.1:{silent}/")).await;
    assert_eq!(slow, "fetch.timeout");
}

#[test]
fn documents_are_json_by_their_type_or_their_content() {
    let answer = |status: u16, kind: &str| {
        Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(b"{}".to_vec())
            .unwrap()
    };
    for kind in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/jwk-set+json",
        "text/json",
        "text/plain",
        "application/octet-stream",
        "application/jsonp",
        "application/x-json",
        "application/+json",
        "",
    ] {
        assert!(expect_json(&answer(200, kind)).is_ok(), "{kind}");
    }
    for kind in [
        "text/html",
        "Text/HTML; charset=utf-8",
        "application/xhtml+xml",
        "multipart/mixed; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json, text/html",
    ] {
        let error = expect_json(&answer(200, kind)).unwrap_err();
        assert_eq!(error.code(), "fetch.content_type", "{kind}");
    }
    let mut twice = answer(200, "application/json");
    let html = http::HeaderValue::from_static("text/html");
    twice.headers_mut().append("content-type", html);
    assert_eq!(
        expect_json(&twice).unwrap_err().code(),
        "fetch.content_type"
    );
    let mut latin = answer(200, "x");
    let html = http::HeaderValue::from_bytes(b"text/html; title=\xe9").unwrap();
    latin.headers_mut().insert("content-type", html);
    assert_eq!(
        expect_json(&latin).unwrap_err().code(),
        "fetch.content_type"
    );
    let mut none = answer(200, "x");
    none.headers_mut().clear();
    assert!(expect_json(&none).is_ok());
    // An answer that does not start like JSON is named by its type.
    *none.body_mut() = b"hello".to_vec();
    let error = expect_json(&none).unwrap_err();
    assert_eq!(error.code(), "fetch.content_type");
    assert!(error.to_string().contains("(none)"), "{error}");
    let mut plain = answer(200, "text/plain");
    *plain.body_mut() = b"[{}]".to_vec();
    let error = expect_json(&plain).unwrap_err();
    assert_eq!(error.code(), "fetch.content_type");
    assert!(error.to_string().contains("4 bytes"), "{error}");
    assert!(error.to_string().contains("`text/plain"), "{error}");
    let jwt = answer(200, "Application/JWT; x=y");
    assert!(expect_type(&jwt, &["text/plain", "application/jwt"]).is_ok());
    let error = expect_type(&jwt, &["application/json"]).unwrap_err();
    assert!(matches!(error, Error::ContentType { length: 2, .. }));
    assert_eq!(
        expect_json(&answer(201, "application/json"))
            .unwrap_err()
            .code(),
        "fetch.status"
    );
}

#[test]
fn codes_are_unique_and_complete() {
    let source: Arc<dyn std::error::Error + Send + Sync> = Arc::new(io::Error::other("x"));
    let all = [
        Error::Url { reason: "x" },
        Error::Rewritten,
        Error::Scheme,
        Error::Address {
            address: [10, 0, 0, 1].into(),
        },
        Error::Resolve,
        Error::Connect(source.clone()),
        Error::Tls(source.clone()),
        Error::Timeout,
        Error::Redirect,
        Error::body_too_long(1, &Response::new("{}")),
        Error::ContentType {
            found: "`text/html`".into(),
            length: 1,
            is_object: false,
        },
        Error::ContentEncoding { found: "br".into() },
        Error::Status { status: 500 },
        Error::Rejected,
        Error::TooSoon,
        Error::BackingOff {
            retry_in: Duration::ZERO,
            cause: Arc::new(Error::Timeout),
        },
        Error::Busy,
        Error::Interrupted,
        Error::Proxy { reason: "x" },
        Error::ClientCertificate { reason: "x" },
        Error::CertificateRefused {
            alert: "UnknownCA".into(),
        },
        Error::Build(source),
    ];
    let codes: Vec<_> = all.iter().map(Error::code).collect();
    assert_eq!(codes, Error::CODES);
    let unique: std::collections::BTreeSet<_> = codes.iter().collect();
    assert_eq!(unique.len(), codes.len());
}

/// T-075: a target is sent byte for byte, or not at all.
#[tokio::test]
async fn a_url_is_sent_as_it_was_given_or_not_at_all() {
    let (port, mut requests) = server(ok("{}")).await;
    for target in ["/a;b,c", "/a?", "/", "/a%2Fb?x=%20", "/a//b"] {
        let url = format!("http://127.0.0.1:{port}{target}");
        get(local(), &url).await.unwrap();
        let seen = requests.recv().await.unwrap();
        assert_eq!(seen.split(' ').nth(1), Some(target));
    }
    for other in [
        "http://127.0.0.1:PORT/a/../b",
        "http://127.0.0.1:PORT/a/%2e%2e/b",
        "http://127.0.0.1:PORT/%2E/b",
        "http://127.0.0.1:PORT/a\"b",
        "http://LOCALHOST:PORT/a",
        "http://127.1:PORT/a",
        "http://127.0.0.1:80/a",
        "http://127.0.0.1:0PORT/a",
    ] {
        let url = other.replace("PORT", &port.to_string());
        let error = get(local(), &url).await.unwrap_err();
        assert_eq!(error.code(), "fetch.rewritten", "{other}");
    }
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn the_limits_of_a_request_narrow_those_of_the_client() {
    for (limit, expected) in [(2, "ok"), (1, "fetch.body_too_long"), (usize::MAX, "ok")] {
        let (port, _requests) = server(ok("{}")).await;
        let mut request = Request::get(format!("http://127.0.0.1:{port}/"))
            .body(Vec::new())
            .unwrap();
        Limits::new().with_max_body(limit).apply(&mut request);
        let got = local().build().unwrap().send(request).await;
        assert_eq!(got.map_or_else(|it| it.code(), |_| "ok"), expected);
    }
    // They never widen the limits.
    let (port, _requests) = server(ok("{}")).await;
    let mut request = Request::get(format!("http://127.0.0.1:{port}/"))
        .body(Vec::new())
        .unwrap();
    Limits::new().with_max_body(9).apply(&mut request);
    let fetcher = local().max_body(1).build().unwrap();
    let error = fetcher.send(request).await.unwrap_err();
    assert_eq!(error.code(), "fetch.body_too_long");
}

#[tokio::test]
async fn the_answer_says_which_url_answered() {
    let (last, _requests) = server(ok("{}")).await;
    let target = format!("http://127.0.0.1:{last}/b");
    let (first, _requests) = server(redirect(&target)).await;
    let asked = format!("http://127.0.0.1:{first}/a");
    let answer = get(local().redirects(1), &asked);
    assert_eq!(
        FinalUrl::of(&answer.await.unwrap()).unwrap(),
        target.as_str()
    );
}

/// The error for a refused address names it, with the remedy if there is one.
#[tokio::test]
async fn a_refused_address_is_named() {
    for (host, address, way_out) in [
        ("10.0.0.1", "10.0.0.1", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("[fd12::1]", "fd12::1", true),
        ("169.254.169.254", "169.254.169.254", false),
        ("168.63.129.16", "168.63.129.16", false),
        ("[fd00:ec2::254]", "fd00:ec2::254", false),
        ("224.0.0.1", "224.0.0.1", false),
    ] {
        let url = format!("https://{host}/");
        let text = get(Fetcher::builder(), &url).await.unwrap_err().to_string();
        assert!(text.contains(&format!("found {address}")), "{text}");
        assert_eq!(text.contains("allow_private_networks"), way_out, "{text}");
    }
    let resolver = Rebinding(AtomicUsize::new(0), vec!["10.1.2.3"]);
    let fetcher = Fetcher::builder().resolver(resolver);
    let error = get(fetcher, "https://idp.internal/").await.unwrap_err();
    assert!(error.to_string().contains("10.1.2.3"), "{error}");
}
