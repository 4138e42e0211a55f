//! Calls with streaming bodies, against servers on loopback.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aims_fetch::{Body, BoxError, Call as _, Error, Fetcher, FetcherBuilder};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn local() -> FetcherBuilder {
    Fetcher::builder().allow_loopback_http()
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    (listener, url)
}

/// Reads until the received bytes end with this text.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut more = [0; 4096];
        let length = stream.read(&mut more).await.unwrap();
        assert!(length > 0, "{text}");
        text.push_str(std::str::from_utf8(more.get(..length).unwrap()).unwrap());
    }
    text
}

async fn call(fetcher: FetcherBuilder, url: &str, body: Body) -> Result<Response<Body>, BoxError> {
    let request = Request::post(url).body(body).unwrap();
    fetcher.build().unwrap().call(request).await
}

fn code(error: &BoxError) -> &'static str {
    error.downcast_ref::<Error>().unwrap().code()
}

async fn piece(answer: &mut Response<Body>) -> Result<Bytes, BoxError> {
    let frame = answer.body_mut().frame().await.unwrap();
    frame.map(|it| it.into_data().unwrap())
}

/// A body of pieces, each after a time.
struct Slowly(
    VecDeque<&'static str>,
    Pin<Box<tokio::time::Sleep>>,
    Duration,
);

impl Slowly {
    fn of(pieces: impl IntoIterator<Item = &'static str>, pause: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(pause));
        Self(pieces.into_iter().collect(), sleep, pause)
    }
}

impl http_body::Body for Slowly {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.1.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let pause = self.2;
        self.1.set(tokio::time::sleep(pause));
        let piece = self.0.pop_front();
        Poll::Ready(piece.map(|it| Ok(Frame::data(Bytes::from_static(it.as_bytes())))))
    }
}

/// Both bodies stream: each side gets a piece before the other sends the next.
#[tokio::test]
async fn bodies_stream() {
    let (listener, url) = listen().await;
    let (go, went) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_to(&mut stream, "0\r\n\r\n").await;
        stream.write_all(HEAD.as_bytes()).await.unwrap();
        stream.write_all(b"3\r\none\r\n").await.unwrap();
        went.await.unwrap();
        stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
        request
    });
    let body = Slowly::of(["some ", "more"], Duration::from_millis(1));
    let mut answer = call(local(), &url, Body::new(body)).await.unwrap();
    assert_eq!(piece(&mut answer).await.unwrap(), "one");
    go.send(()).unwrap();
    assert_eq!(piece(&mut answer).await.unwrap(), "two");
    assert!(answer.body_mut().frame().await.is_none());
    let request = server.await.unwrap();
    assert!(request.contains("transfer-encoding: chunked"), "{request}");
    assert!(
        request.contains("some ") && request.contains("more"),
        "{request}"
    );
}

/// A content in memory is sent with its length, and an empty one without.
#[tokio::test]
async fn a_whole_content_has_a_length() {
    for (body, length) in [(Body::from("{}"), "2"), (Body::empty(), "0")] {
        let (listener, url) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let end = if length == "2" { "{}" } else { "\r\n\r\n" };
            let request = read_to(&mut stream, end).await;
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
            request
        });
        let answer = call(local(), &url, body).await.unwrap();
        assert_eq!(answer.status(), 204);
        assert!(answer.body().is_end_stream());
        let request = server.await.unwrap();
        assert!(!request.contains("chunked"), "{request}");
        if length == "2" {
            assert!(request.contains("content-length: 2\r\n"), "{request}");
        }
    }
}

/// A redirect is an answer: a proof for one URL is sent to no other.
#[tokio::test]
async fn redirects_are_answers() {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_to(&mut stream, "\r\n\r\n").await;
        let answer = "HTTP/1.1 307 Temporary Redirect\r\nlocation: /other\r\ncontent-length: 0\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    });
    let request = Request::get(&url).body(Body::empty()).unwrap();
    let fetcher = local().redirects(3).build().unwrap();
    let answer = fetcher.call(request).await.unwrap();
    assert_eq!(answer.status(), 307);
}

/// The URL is checked as for a document.
#[tokio::test]
async fn urls_are_judged() {
    for (url, expected) in [
        ("https://127.0.0.1/", "fetch.address"),
        ("http://tools.example/", "fetch.scheme"),
        ("https://tools.example/a/../b", "fetch.rewritten"),
    ] {
        let error = call(Fetcher::builder(), url, Body::empty())
            .await
            .unwrap_err();
        assert_eq!(code(&error), expected, "{url}");
    }
}

/// A missing head ends with a timeout, and so does a body that pauses too long. A body that
/// continues is not ended, however long it takes.
#[tokio::test]
async fn time_limits_are_for_the_head_and_for_each_piece() {
    let (listener, url) = listen().await;
    let silent = tokio::spawn(async move { listener.accept().await.unwrap() });
    let fetcher = local().timeout(Duration::from_millis(50));
    let error = call(fetcher, &url, Body::from("{}")).await.unwrap_err();
    assert_eq!(code(&error), "fetch.timeout");
    drop(silent);

    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_to(&mut stream, "{}").await;
        stream.write_all(HEAD.as_bytes()).await.unwrap();
        stream.write_all(b"3\r\none\r\n").await.unwrap();
        stream
    });
    let fetcher = local().idle_timeout(Duration::from_millis(50));
    let mut answer = call(fetcher, &url, Body::from("{}")).await.unwrap();
    assert_eq!(piece(&mut answer).await.unwrap(), "one");
    let error = piece(&mut answer).await.unwrap_err();
    assert_eq!(code(&error), "fetch.timeout");
    assert!(answer.body_mut().frame().await.is_none());
    drop(server);
}

/// The limit of the head does not end a request or an answer that takes longer.
#[tokio::test]
async fn a_body_that_goes_on_outlives_the_limit_of_the_head() {
    let (listener, url) = listen().await;
    let pause = Duration::from_millis(300);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_to(&mut stream, "0\r\n\r\n").await;
        stream.write_all(HEAD.as_bytes()).await.unwrap();
        for _ in 0..8 {
            tokio::time::sleep(pause).await;
            stream.write_all(b"1\r\na\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    });
    let fetcher = local().timeout(Duration::from_secs(2));
    let body = Body::new(Slowly::of(["b"; 8], pause));
    let answer = call(fetcher, &url, body).await.unwrap();
    let content = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(content, "aaaaaaaa");
}

/// A request whose body pauses too long is given up.
#[tokio::test]
async fn a_request_that_stands_still_is_given_up() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move { listener.accept().await.unwrap() });
    let fetcher = local().idle_timeout(Duration::from_millis(50));
    let body = Slowly::of(["never"], Duration::from_secs(3_600));
    let error = call(fetcher, &url, Body::new(body)).await.unwrap_err();
    assert_eq!(code(&error), "fetch.timeout");
    drop(server);
}
