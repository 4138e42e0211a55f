//! A proxy as the only way out, and its effect on the checks.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::net::SocketAddr;

use aims_fetch::{Error, Fetch as _, Fetcher, FetcherBuilder, Resolve, ResolveFuture};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Records the requests, and connects to no server.
async fn proxy() -> (u16, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, requests) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            head.truncate(length);
            seen.send(String::from_utf8_lossy(&head).into_owned()).ok();
            let answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.ok();
        }
    });
    (port, requests)
}

/// Resolves only the proxy's name, like a network without DNS.
#[derive(Debug)]
struct Inside(&'static str);

impl Resolve for Inside {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        let known = name == "proxy.internal" || name == "direct.example";
        let address = self.0.parse::<SocketAddr>().map_err(io::Error::other);
        let found = if known {
            address.map(|it| vec![it])
        } else {
            Ok(Vec::new())
        };
        Box::pin(std::future::ready(found))
    }
}

fn inside() -> FetcherBuilder {
    Fetcher::builder().resolver(Inside("127.0.0.1:0"))
}

async fn error(fetcher: FetcherBuilder, url: &str) -> Error {
    let request = Request::get(url).body(Vec::new()).unwrap();
    fetcher.build().unwrap().send(request).await.unwrap_err()
}

/// Without a proxy, the error says how to set one.
#[tokio::test]
async fn the_way_out_is_named() {
    let error = error(inside(), "https://as.example/jwks").await;
    assert_eq!(error.code(), "fetch.resolve");
    assert!(error.to_string().contains("`proxy`"), "{error}");
}

/// `https` uses the proxy by CONNECT, with its credentials, and the proxy resolves the name.
#[tokio::test]
async fn https_goes_through_the_proxy() {
    let (port, mut requests) = proxy().await;
    for url in [
        format!("http://user:secret@127.0.0.1:{port}"),
        format!("http://user:secret@proxy.internal:{port}"),
    ] {
        let fetcher = inside().proxy(&url);
        assert!(!format!("{fetcher:?}").contains("secret"));
        assert!(!format!("{:?}", fetcher.clone().build().unwrap()).contains("secret"));
        let error = error(fetcher, "https://as.example/jwks").await;
        assert_eq!(error.code(), "fetch.connect", "{url}");
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("dXNlcjpzZWNyZXQ"),
            "{shown}"
        );
        let request = requests.recv().await.unwrap().to_ascii_lowercase();
        assert!(
            request.starts_with("connect as.example:443 http/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("proxy-authorization: basic dxnlcjpzzwnyzxq="),
            "{request}"
        );
        assert!(requests.try_recv().is_err());
    }
}

/// Addresses in a URL are checked as without a proxy, and nothing is sent for them.
#[tokio::test]
async fn literal_addresses_are_still_judged() {
    let (port, mut requests) = proxy().await;
    let proxied = || inside().proxy(&format!("http://127.0.0.1:{port}"));
    for (url, expected) in [
        ("https://127.0.0.1/", "fetch.address"),
        ("https://10.0.0.1/", "fetch.address"),
        ("https://169.254.169.254/", "fetch.address"),
        ("https://[fd00:ec2::254]/", "fetch.address"),
        ("https://[64:ff9b::a9fe:a9fe]/", "fetch.address"),
        ("http://as.example/", "fetch.scheme"),
    ] {
        assert_eq!(error(proxied(), url).await.code(), expected, "{url}");
    }
    let own = proxied().allow_private_networks();
    assert_eq!(
        error(own, "https://100.100.100.200/").await.code(),
        "fetch.address"
    );
    assert!(requests.try_recv().is_err());
}

/// The proxy's address may be private; a URL of an unknown client cannot use its name to get there.
#[tokio::test]
async fn the_name_of_the_proxy_is_for_the_proxy_alone() {
    let (port, mut requests) = proxy().await;
    let proxied = || inside().proxy(&format!("http://proxy.internal:{port}"));
    let to_itself = format!("https://proxy.internal:{port}/");
    assert_eq!(error(proxied(), &to_itself).await.code(), "fetch.url");
    assert!(requests.try_recv().is_err());
    // A metadata service cannot be a proxy.
    let proxied = Fetcher::builder().resolver(Inside("169.254.169.254:0"));
    let proxied = proxied.proxy(&format!("http://proxy.internal:{port}"));
    let code = error(proxied, "https://as.example/").await;
    assert_eq!(code.code(), "fetch.address");
}

/// Plain HTTP to loopback is for development, and does not use the proxy.
#[tokio::test]
async fn loopback_goes_without_the_proxy() {
    let (port, mut requests) = proxy().await;
    let (other, mut direct) = proxy().await;
    let fetcher = inside().proxy(&format!("http://127.0.0.1:{port}"));
    let fetcher = fetcher.allow_loopback_http().build().unwrap();
    let request = Request::get(format!("http://127.0.0.1:{other}/x"));
    let answer = fetcher.send(request.body(Vec::new()).unwrap()).await;
    assert_eq!(answer.unwrap().status(), 502);
    assert!(direct.recv().await.unwrap().starts_with("GET /x "));
    assert!(requests.try_recv().is_err());
}

#[test]
fn a_proxy_that_cannot_be_used_is_a_build_error() {
    for url in [
        "",
        "socks5://user:secret@127.0.0.1:1",
        "http://169.254.169.254",
    ] {
        let built = Fetcher::builder().proxy(url).build();
        let error = built.unwrap_err();
        assert_eq!(error.code(), "fetch.proxy", "{url}");
        assert!(!format!("{error} {error:?}").contains("secret"));
        let client = Fetcher::builder().proxy(url).http_client();
        assert_eq!(client.unwrap_err().code(), "fetch.proxy", "{url}");
    }
}
